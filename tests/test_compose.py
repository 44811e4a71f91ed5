"""docker-compose.yml and its Dockerfile name what there is: files, commands, settings, routes, users."""

import re
import shlex
import tomllib
from pathlib import Path

import yaml

from nexus_api.app import create_app
from nexus_pipeline.settings import Settings
from tests.commands import nexus

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
[NEXUS] = COMPOSE["services"].values()
DOCKERFILE = (ROOT / NEXUS["build"]["dockerfile"]).read_text("utf-8")


def instructions(name):
    """The arguments of each of them, continued lines joined."""
    whole = re.sub(r"\\\n", " ", DOCKERFILE)
    return [line.removeprefix(f"{name} ").strip() for line in whole.splitlines() if line.startswith(f"{name} ")]


def kept(path):
    """Whether .dockerignore lets it into the image."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines, "nothing comes in unless it is named"
    return any(path == line[1:] or path.startswith(f"{line[1:]}/") for line in lines if line.startswith("!"))


def test_all_that_the_image_is_made_of_is_there_and_may_come_in():
    copied = [source for told in instructions("COPY") for source in told.split()[:-1]]
    assert {"nexus_pipeline", "nexus_api", "dagster.yaml"} <= set(copied)
    assert [source for source in copied if not (ROOT / source).exists() or not kept(source)] == []
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {build["readme"], *build["license-files"]} <= set(copied)


def test_every_lock_that_it_installs_is_ours_and_checked_by_hashes():
    runs = [shlex.split(command) for told in instructions("RUN") for command in told.split("&&")]
    locks = [words for words in runs if "-r" in words]
    assert [words[words.index("-r") + 1] for words in locks] == ["requirements/main.txt", "requirements/models.txt"]
    assert all("--require-hashes" in words and (ROOT / words[words.index("-r") + 1]).exists() for words in locks)


def test_it_does_not_run_as_root_and_keeps_everything_in_its_volume():
    [user] = instructions("USER")
    assert user != "root"
    [volume] = instructions("VOLUME")
    assert [told.partition(":")[2] for told in NEXUS["volumes"]] == [volume]
    assert set(COMPOSE["volumes"]) == {told.partition(":")[0] for told in NEXUS["volumes"]}
    assert NEXUS["environment"]["NEXUS_HOME"] == volume


def test_it_starts_a_command_that_there_is_with_settings_that_there_are():
    [entry], [words] = (re.findall(r'"(\w+)"', told) for told in (*instructions("ENTRYPOINT"), *instructions("CMD")))
    assert entry in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    nexus(words, "--help")
    names = {f"NEXUS_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in NEXUS["environment"] if name.startswith("NEXUS_")} <= names


def test_its_health_is_asked_for_where_the_server_tells_it(tmp_path):
    told = " ".join(NEXUS["healthcheck"]["test"])
    [port, path] = re.search(r"http://127\.0\.0\.1:(\d+)(/[\w/]+)", told).groups()
    assert f"default: {port};" in nexus("up", "--help").output
    assert path in create_app(Settings(home=tmp_path, _env_file=None)).openapi()["paths"]

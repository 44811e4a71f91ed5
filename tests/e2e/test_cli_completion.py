"""What shells offer while one types, through the scripts that the shells themselves load."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_api.cli.completing import FILTERS
from nexus_pipeline.archive.filters import FIELDS
from tests.commands import ROOT, added, nexus

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture
def program(tmp_path):
    """A folder with `nexus` in it, as an installed one would be."""
    path = tmp_path / "bin" / "nexus"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m nexus_api.cli "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path.parent


def offered(shell, words, **environment):
    """What the program answers to the shell; it never fails and says nothing else."""
    more = {
        "bash": {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - (not words.endswith(" ")))},
        "zsh": {"_TYPER_COMPLETE_ARGS": words},
        "fish": {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    asked = {"_NEXUS_COMPLETE": f"complete_{shell}", **more, **environment}
    done = nexus(env=asked)
    assert done.stderr == "", (words, done.stderr)
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_and_options_are_offered(home, shell):
    assert "search" in offered(shell, "nexus se")
    assert "--limit" in offered(shell, "nexus ls --li")
    assert "waiting" in offered(shell, "nexus ls --state ")
    assert "enrichment" in offered(shell, "nexus rerun abcd --from enr")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("command", ["show", "transcript", "retry", "rerun", "cancel", "rm", "ask what --item"])
def test_ids_are_offered_from_the_catalog(parts, talk, shell, command):
    [item] = added(talk)
    assert item["id"] in offered(shell, f"nexus {command} {item['id'][:3]}")
    assert item["id"] in offered(shell, f"nexus {command} ")
    assert item["id"] not in offered(shell, f"nexus {command} zz")


def test_titles_stand_beside_ids_and_cannot_steer_the_shell(parts, talk):
    [item] = added(talk, "--title", "a `touch /tmp/x` $(id) \x1b[2J [red]b[/red]")
    assert "\x1b" not in offered("fish", "nexus show ")
    assert "touch" in offered("fish", "nexus show ")
    assert offered("bash", "nexus show ").strip() == item["id"]


def test_an_id_that_is_written_is_not_offered_again(parts, talk, tmp_path):
    (tmp_path / "b.mp3").write_text("b")
    [first], [second] = added(talk), added(tmp_path / "b.mp3")
    told = offered("bash", f"nexus cancel {first['id']} ")
    assert second["id"] in told
    assert first["id"] not in told


def test_engines_models_and_fields_are_offered(home):
    assert "transcript=faster-whisper" in offered("fish", "nexus add x --engine tran")
    assert "faster-whisper:tiny" in offered("fish", "nexus models get fas")
    assert "language=" in offered("fish", "nexus search x --filter lang")
    assert "item" in offered("fish", "nexus search x --group ")
    assert "--no-merge" in offered("fish", "nexus search x --no")
    assert set(FILTERS) | {"owner"} == set(FIELDS)


@pytest.mark.parametrize(
    "broken",
    [
        {"NEXUS_BATCH": "many"},
        {"NEXUS_CATALOG": "postgresql://127.0.0.1:9/none"},
        {"NEXUS_URL": "http://127.0.0.1:9"},
        {"NEXUS_URL": "nonsense"},
        {"NEXUS_HOME": "/proc/none"},
    ],
)
def test_whatever_is_wrong_nothing_is_said_and_nothing_is_made(home, broken):
    assert offered("bash", "nexus show ", **broken).strip() == ""
    assert not home.exists()


def test_a_catalog_that_is_not_there_is_not_made(home):
    offered("bash", "nexus show ")
    assert not home.exists()


def test_offering_ids_loads_nothing_heavy(parts, talk):
    [item] = added(talk)
    code = (
        "import sys; from nexus_api.cli import main\ntry: main(prog_name='nexus')\n"
        "except SystemExit: print(sorted(sys.modules))"
    )
    told = {**os.environ, "_NEXUS_COMPLETE": "complete_bash", "COMP_WORDS": "nexus show ", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=told, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = done.stdout.splitlines()[-1]
    assert item["id"] in done.stdout
    heavy = ("dagster", "lancedb", "pyarrow", "ctranslate2", "alembic", "boto3", "rich")
    assert [name for name in heavy if f"'{name}'" in loaded] == []


# ---------------------------------------------------------------- the shells themselves


def test_bash_itself_completes_with_the_script_that_is_shown(parts, talk, program):
    [item] = added(talk)
    script = f"""
export PATH={program}:$PATH
eval "$(nexus --show-completion)"
complete -p nexus >&2
COMP_WORDS=(nexus show {item["id"][:4]}); COMP_CWORD=2
_nexus_completion nexus
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, item["id"]), done.stderr


def test_it_installs_itself_into_the_home_of_whoever_asks(home, program, tmp_path):
    own = tmp_path / "person"
    own.mkdir()
    done = subprocess.run(
        ["bash", "-c", "nexus --install-completion; echo ended with $?"],
        env={**os.environ, "PATH": f"{program}:{os.environ['PATH']}", "HOME": str(own)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "ended with 0" in done.stdout, done
    assert "_NEXUS_COMPLETE" in next((own / ".bash_completions").iterdir()).read_text()
    assert ".bash_completions/nexus.sh" in (own / ".bashrc").read_text()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_scripts_of_other_shells_are_shell(shell, home):
    told = offered_script(shell)
    assert "_NEXUS_COMPLETE" in told
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=told, text=True, check=False).returncode == 0


def offered_script(shell):
    done = subprocess.run(
        [sys.executable, "-c", "from nexus_api.cli import main; main(prog_name='nexus')"],
        env={**os.environ, "_NEXUS_COMPLETE": f"source_{shell}"},
        cwd=Path(ROOT),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout

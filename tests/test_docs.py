"""What the docs say is true: settings, errors, commands and links."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from nexus_api import lock, problems, programs, refusals, supervisor
from nexus_api.cli import COMMANDS, loaded
from nexus_pipeline.domain import errors
from nexus_pipeline.domain.states import State
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import CATALOGUES
from samples.scripts import scripts

ROOT = Path(__file__).parents[1]
PROMISED = {ROOT / "docs" / "contract.md"}
"""It says what is to be, too: tests/test_contract.py compares it with what is."""
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "samples" / "README.md"} - PROMISED)


def text(path):
    return (ROOT / path).read_text("utf-8")


def rows(path):
    """The cells of a page's tables, without heads."""
    lines = text(path).splitlines()
    below_head = [line for head, line in pairwise(["", *lines]) if line.startswith("|") and head.startswith("|")]
    return [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in below_head if "---" not in line
    ]


def every_error(kind=errors.NexusError):
    """Those with a code of their own."""
    assert {lock, problems, programs, refusals, supervisor}, "loaded, so that their errors are known"
    if "code" in vars(kind):
        yield kind
    for below in kind.__subclasses__():
        if below.__module__.startswith("nexus_"):
            yield from every_error(below)


def variable(name, field):
    """What the environment calls a setting: Dagster's own keep their names."""
    return field.validation_alias or f"{Settings.model_config['env_prefix']}{name.upper()}"


def written(default):
    return str(default) if default or default == 0 else ""


def test_every_setting_stands_in_the_table_with_its_default():
    documented = {name: default for name, default, _ in rows("docs/settings.md")}
    fields = Settings.model_fields.items()
    expected = {variable(name, f): written(f.get_default(call_default_factory=True)) for name, f in fields}
    assert documented == expected


def test_every_setting_is_described_where_it_is_declared():
    assert [name for name, f in Settings.model_fields.items() if not f.description] == []


def test_every_error_stands_in_the_table_and_says_whether_it_is_tried_again():
    documented = {code: again for code, _, again, _ in rows("docs/errors.md")}
    assert documented == {e.code: "by itself" if e.retryable else "no" for e in every_error()}


def test_no_two_errors_share_a_code():
    codes = [e.code for e in every_error()]
    assert len(codes) == len(set(codes))


def test_the_tree_of_errors_is_drawn_as_it_is():
    inside = [e.__name__ for e in every_error() if e.__module__ == errors.__name__ and e is not errors.Unexpected]
    assert [name for name in inside if name not in errors.__doc__] == []


def test_the_words_name_every_state_of_a_step():
    assert [state for state in State if state not in text("docs/words.md")] == []


def test_every_engine_stands_in_the_table_with_what_it_needs_its_limits_and_its_licence():
    told = {(step, engine): cells for step, engine, *cells in rows("docs/engines.md")}
    there = {(step, engine) for step, catalogue in CATALOGUES.items() for engine in catalogue}
    assert there - set(told) == set()
    assert [engine for engine, cells in told.items() if len(cells) != 3 or not all(cells)] == []


def test_every_sample_stands_in_their_readme():
    documented = {file: (kind, ends.split(",")[0]) for file, kind, ends in rows("samples/README.md")}
    assert documented == {s.file: (s.kind, "done" if s.expect == "silent" else s.expect) for s in scripts()}


def test_the_readme_fits_a_screen_and_names_the_ways_in():
    readme = text("README.md")
    assert len(readme.splitlines()) <= 60
    assert [way for way in ("make run", "make test", "make demo", "pip install .") if way not in readme] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    local = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith("#")]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_that_is_named_exists(page):
    named = set(re.findall(r"(?:`|^)make ([a-z][a-z-]*)", page.read_text("utf-8"), re.MULTILINE))
    there = set(re.findall(r"^([a-z]+)(?=[ :])", text("Makefile"), re.MULTILINE))
    assert {name for name in named if not name.startswith("bench-")} <= there


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_is_named_exists(page):
    named = re.findall(r"\b(?:NEXUS|DAGSTER)_[A-Z0-9_]+\b", page.read_text("utf-8"))
    assert set(named) <= {variable(name, field) for name, field in Settings.model_fields.items()}


def test_every_file_that_the_architecture_names_exists():
    named = re.findall(r"`([a-z_]+/[a-z_]+\.py|[a-z_]+\.py)`", text("docs/architecture.md"))
    assert [path for path in named if not any((top / path).exists() for top in (ROOT / "nexus_pipeline", ROOT))] == []


def test_the_house_is_drawn_as_the_import_rules_have_it():
    contracts = tomllib.loads(text("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = [layer.split(" | ") for contract in contracts for layer in contract.get("layers", ())]
    drawn = re.search(r"```\n(worker .*?)```", text("docs/architecture.md"), re.DOTALL)[1].splitlines()
    assert [line.split()[: len(names)] for line, names in zip(drawn, layers, strict=True)] == layers


def test_every_command_that_is_named_exists():
    named = set(re.findall(r"`(?:\.venv/bin/)?nexus ([a-z]+)\b", "\n".join(text(page) for page in PAGES)))
    assert "search" in named
    assert named <= set(COMMANDS)


def every_command():
    """Name to the command itself, those below others too."""
    for name in COMMANDS:
        command = loaded(name)
        yield name, command
        yield from ((f"{name} {below}", one) for below, one in getattr(command, "commands", {}).items())


def test_every_command_stands_on_its_page_with_all_its_options():
    sections = dict(re.findall(r"^## nexus (.+?)$(.*?)(?=^## |\Z)", text("docs/cli.md"), re.MULTILINE | re.DOTALL))
    documented = {
        name: {
            option
            for cell in re.findall(r"^\| (`-.*?) \|", told, re.MULTILINE)
            for option in re.findall(r"`(.+?)`", cell)
        }
        for name, told in sections.items()
    }
    there = {
        name: {option for one in command.params if one.param_type_name == "option" for option in one.opts}
        for name, command in every_command()
    }
    assert documented == there


def test_numbered_decisions_have_titles_with_their_numbers():
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [p.name for p in pages if not p.read_text("utf-8").startswith(f"# {int(p.name[:4])}. ")] == []

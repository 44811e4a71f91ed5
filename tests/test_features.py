"""docs/features.md: it answers every row of the list that it was made for, and the tests that it names exist."""

import ast
import re

import pytest

from tests import contract
from tests.contract import ROOT

PAGE = ROOT / "docs" / "features.md"
BESIDE = ROOT.parent / "shared" / "features.md"
"""The list; a clone has the page only."""
STATES = {"yes", "partly", "not yet"}
ROWS = contract.cells(PAGE.read_text("utf-8"))


def defined_in(path):
    return {n.name for n in ast.parse((ROOT / path).read_text("utf-8")).body if isinstance(n, ast.FunctionDef)}


def wanted(text):
    """The names of all rows of the list: its table, the rows named in prose, and the ten."""
    yield from (row[0] for row in contract.cells(text))
    further = re.search(r"^Further rows .*?: (.*)\.$", text, re.MULTILINE)[1]
    yield from (re.sub(r" \([A-Z][^)]*\)$", "", one) for one in further.split(" · "))
    yield from re.findall(r"^\d+\. (.*)$", text, re.MULTILINE)


def answered(name, rows):
    """Whether a row begins as this one does: the page leaves out what a row says in explanation."""
    return any(name.startswith(re.sub(r"^\d+\. ", "", row)) for row in rows)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_a_row_says_how_far_it_is_and_is_shown_by_tests_that_exist(row):
    _, state, shown, missing = (*row, "")[:4]
    assert state in STATES
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", shown)
    assert [f"{path}::{name}" for path, name in named if name not in defined_in(path)] == []
    assert re.sub(r"`[^`]*`", "", shown).strip() == ""
    assert bool(named) is (state != "not yet")
    assert state == "yes" or missing.strip()


def test_every_row_of_the_list_is_answered_once_and_nothing_else_is():
    names = [row[0] for row in ROWS]
    assert len(names) == 36 + 14 + 10
    assert len(set(names)) == len(names)
    lists = [list(wanted(path.read_text("utf-8"))) for path in (BESIDE,) if path.exists()]
    for told in lists:
        assert [name for name in told if not answered(name, names)] == []
        assert len(told) == len(names)

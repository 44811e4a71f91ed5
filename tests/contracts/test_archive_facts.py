"""What ranking knows of passages without asking the table again."""

from datetime import UTC, datetime

import numpy as np
import pytest

from nexus_pipeline.archive.facts import Known
from nexus_pipeline.archive.snapshots import Snapshots
from nexus_pipeline.archive.words import asked
from tests.contracts.archive_parts import open_archive, rows_of
from tests.passages import facts_of


@pytest.fixture
def written(tmp_path):
    archive = open_archive(tmp_path / "archive")
    archive.replace([rows_of("a", 3, language="en", tags=("x", "y"))])
    archive.replace([rows_of("b", 2, owner="ann", created_at=datetime(2026, 4, 30, 23, tzinfo=UTC))])
    return archive


def newest(archive):
    return Snapshots().newest(archive._tables.existing())


def found(snapshot, known):
    places = np.sort(snapshot.words(asked("word ").query(), None, 100).places)
    facts = known.of(snapshot, places)
    return {facts.id(n): (facts.times(n), facts.text("language", n), facts.text("tags", n)) for n in range(len(facts))}


def test_they_are_the_same_whether_kept_or_read_for_the_search(written):
    snapshot = newest(written)
    kept = found(snapshot, Known())
    assert kept == found(snapshot, Known(rows=0)) == found(snapshot, Known(rows=3))
    assert kept["a:speech:2"] == ((20.0, 30.0), "en", "x\0y")
    assert kept["b:speech:0"] == ((0.0, 10.0), None, "")


def test_what_comes_is_read_and_what_is_there_is_not_read_again(written):
    known = Known()
    found(newest(written), known)
    before = {number: rows for number, (_, rows) in known._read.files.items()}
    written.replace([rows_of("c", 2)])
    assert set(found(newest(written), known)) >= {"a:speech:0", "c:speech:1"}
    assert len(known._read.files) == len(before) + 1
    assert all(known._read.files[number][1] is rows for number, rows in before.items())


def test_of_what_was_erased_nothing_is_kept(written):
    known = Known()
    found(newest(written), known)
    assert "a" in known._read.texts["item_id"].all
    written.remove(["a"])
    written.purge()
    assert set(found(newest(written), known)) == {"b:speech:0", "b:speech:1"}
    assert not {"a", "x\0y"} & {*known._read.texts["item_id"].all, *known._read.texts["tags"].all}


def test_a_search_of_before_a_removal_knows_what_was_there(written):
    before, known = newest(written), Known()
    expected = found(before, Known())
    written.replace([rows_of("a", 1, gen=2)])
    found(newest(written), known)
    assert found(before, known) == expected


def test_facets_count_what_is_asked_for_and_split_tags():
    facts = facts_of(
        ["a:speech:0", "a:speech:1", "b:summary:0"],
        speaker=["Ann", "Ann", None],
        tags=[["x", "y"], ["x"], []],
        item_created_at=[datetime(2026, 4, 30, 23, tzinfo=UTC)] * 2 + [datetime(2025, 12, 1, tzinfo=UTC)],
    )
    assert facts.facets([0, 1, 2]) == {
        "kind": {"speech": 2, "summary": 1},
        "source": {"inbox": 3},
        "speaker": {"Ann": 2},
        "language": {},
        "item_id": {"a": 2, "b": 1},
        "tags": {"x": 2, "y": 1},
        "month": {"2026-04": 2, "2025-12": 1},
    }
    assert facts.facets([2])["tags"] == {}
    assert set(facts.facets([])) == set(facts.facets([0]))


def test_neighbours_are_of_the_same_item_and_kind():
    ids = ["b:speech:0", "a:speech:10", "a:speech:9", "a:summary:11", "a:speech:12", "c:speech:1"]
    facts = facts_of(ids)
    assert facts.beside(1).tolist() == [-1, -1, 1, -1, -1, -1]
    assert facts.beside(-1).tolist() == [-1, 2, -1, -1, -1, -1]
    assert facts.beside(2).tolist() == [-1, 4, -1, -1, -1, -1]
    assert facts_of([]).beside(1).tolist() == []

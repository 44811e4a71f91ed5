"""Care of the archive changes its cost and no answer."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from nexus_pipeline.archive import tending
from nexus_pipeline.domain.errors import StoreError
from nexus_pipeline.domain.search import Query
from tests.contracts.archive_parts import (
    open_archive,
    rows_of,
    texts,
    vector,
)

ROOT = Path(__file__).parents[2]


# ---------------------------------------------------------------- care


def test_care_is_asked_for_after_fifty_commits_or_a_thousand_rows(archive, tmp_path):
    archive.replace([rows_of("a", 3)])
    archive.tend()
    assert not archive.needs_tending()
    archive.replace([rows_of("b", 1001)])
    assert archive.needs_tending()
    assert open_archive(tmp_path / "archive").tend()["unindexed_rows"] == 1001
    time.sleep(1.1)
    assert not archive.needs_tending()
    for n in range(50):
        archive.replace([rows_of("c", 1, gen=n + 1)])
    assert open_archive(tmp_path / "archive").needs_tending()
    archive.tend()
    assert not archive.needs_tending()
    assert tending.unindexed(archive._tables.existing()) == 0


def test_a_table_that_was_made_anew_wants_care(archive, tmp_path):
    for n in range(20):
        archive.replace([rows_of("a", 1, gen=n + 1)])
    archive.tend()
    shutil.rmtree(tmp_path / "archive" / "passages__tiny.lance")
    anew = open_archive(tmp_path / "archive")
    anew.replace([rows_of("a", 1)])
    assert anew.needs_tending()


def test_care_changes_no_answer(filled):
    def answers():
        return [
            [(hit.text, hit.highlights) for hit in filled.search(Query("fox fence", mode), vector(1)).hits]
            for mode in ("words", "meaning", "hybrid")
        ]

    before = answers()
    filled.tend()
    filled.tend(full=True)
    assert answers() == before


def test_care_makes_the_indexes_that_a_killed_process_left_out(filled):
    table = filled._tables.existing()
    table.drop_index("tags_idx")
    table.drop_index("indexed_text_idx")
    assert filled.tend()["indexes_made"] == 2
    assert texts(filled.search(Query("zebra", "words", {"tags": "animals"}))) == ["A zebra looked on."]


def test_large_indexes_grow_by_segments_and_full_care_merges_them(archive, monkeypatch):
    monkeypatch.setattr(tending, "WORDS_SEGMENT_ROWS", 300)
    monkeypatch.setattr(tending, "VECTORS_FROM", 600)
    archive.replace([rows_of("first", 700)])
    assert archive.tend()["vectors_trained"] == 700
    for n in range(3):
        archive.replace([rows_of(f"more{n}", 310)])
        assert tending.without_words(archive._tables.existing()) == 0  # their writer has indexed them
        assert archive.tend()["unindexed_rows"] == 310
    table = archive._tables.existing()
    assert tending._segments(table, "indexed_text") == [700, 310, 310, 310]
    assert sum(tending._segments(table, "vector")) == 700 + 3 * 310
    found = archive.search(Query("word 5 of more1", "words", {"item_id": "more1"}))
    assert found.hits[0].text == "word 5 of more1 gen 1"
    done = archive.tend(full=True)
    assert done["words_segments_merged"] == 4
    assert archive.tend()["version"] == done["version"]  # nothing was left to do
    assert len(tending._segments(table, "indexed_text")) == len(tending._segments(table, "vector")) == 1
    for mode in ("words", "meaning", "hybrid"):
        assert archive.search(Query("word", mode), vector(3)).hits
    # the owner's few rows are compared one by one
    archive.replace([rows_of("small", 2, owner="small")])
    assert archive.search(Query("word", "meaning", {"owner": "small"}), vector(1)).total == 2


def test_searches_go_on_while_care_cleans(archive):
    archive.replace([rows_of("a", 50)])
    stop, failures = threading.Event(), []

    def search():
        while not stop.is_set():
            try:
                assert archive.search(Query("word"), vector(0)).total >= 50
            except StoreError as error:
                failures.append(error)
                return

    searching = threading.Thread(target=search)
    searching.start()
    try:
        for n in range(10):
            archive.replace([rows_of(f"b{n}", 5)])
            archive.tend(full=n % 3 == 0)
    finally:
        stop.set()
        searching.join()
    assert failures == []


def test_the_environment_of_the_vendor_is_set_and_a_persons_own_wins():
    code = "import nexus_pipeline.archive, os; print(os.environ['LANCEDB_LOG'])"
    for own, told in (({}, "error"), ({"LANCEDB_LOG": "debug"}, "debug")):
        environment = {k: v for k, v in os.environ.items() if k != "LANCEDB_LOG"} | own
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True)
        assert done.stdout.decode().strip() == told

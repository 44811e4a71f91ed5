"""The archive's contract: what was written last is there, whoever wrote beside it and whenever it was killed."""

import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_pipeline.archive import LanceArchive
from nexus_pipeline.domain.errors import StoreError, StoreFull
from nexus_pipeline.domain.search import Query
from nexus_pipeline.ports import ItemPassages
from tests.contracts.archive_parts import (
    DIMENSIONS,
    expected,
    item,
    open_archive,
    passages,
    rows_of,
    texts,
    vector,
    vectors,
    whole,
)
from tests.contracts.s3_server import BUCKET

ROOT = Path(__file__).parents[2]


def child(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.contracts.archive_parts", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


# ---------------------------------------------------------------- writing


def test_an_archive_in_which_nothing_was_written_is_empty_and_makes_no_files(tmp_path):
    archive = open_archive(tmp_path / "archive")
    assert archive.search(Query("anything"), vector(0)).hits == ()
    assert (archive.count(), archive.counts(["a"]), archive.passages("a")) == (0, {}, [])
    archive.remove(["a"])
    archive.replace([rows_of("a", 0)])
    assert not archive.needs_tending()
    assert archive.tend() == {}
    assert not (tmp_path / "archive").exists()


def test_rows_say_what_was_written(archive):
    created_at = datetime(2026, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    found = passages(["Spoken words."], speaker="Ann", title="A title")
    archive.replace(
        [ItemPassages(item("a", 3, "me", created_at), found, vectors(1), tags=("x", "y"), language="en", partial=True)]
    )
    assert archive.passages("a") == [
        {
            "id": "a:speech:0",
            "item_id": "a",
            "gen": 3,
            "partial": True,
            "owner": "me",
            "kind": "speech",
            "position": 0,
            "start_s": 0.0,
            "end_s": 10.0,
            "text": "Spoken words.",
            "indexed_text": "A title: Spoken words.",
            "speaker": "Ann",
            "language": "en",
            "tags": ["x", "y"],
            "item_created_at": created_at,
        }
    ]
    assert archive.counts(["a", "b"]) == {"a": 1}


_WRITES = st.lists(
    st.tuples(
        st.sampled_from(["replace", "partial", "again", "remove"]),
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), min_size=1, max_size=3),
    ),
    max_size=6,
)


@settings(max_examples=15, deadline=None)
@given(_WRITES)
def test_any_sequence_of_writes_leaves_exactly_the_last_of_each_item(writes):
    with tempfile.TemporaryDirectory() as folder:
        archive = open_archive(folder)
        last, gens = {}, dict.fromkeys("abc", 1)
        for n, (what, pairs) in enumerate(writes):
            if what == "remove":
                archive.remove([id_ for id_, _ in pairs])
                last.update({id_: rows_of(id_, 0) for id_, _ in pairs})
                continue
            for id_, _ in pairs:
                gens[id_] += what == "replace"
            batch = [
                rows_of(id_, size, gen=gens[id_], partial=what == "partial", word=f"w{n}-{i}")
                for i, (id_, size) in enumerate(pairs)
            ]
            archive.replace(batch)
            last.update({one.item.id: one for one in batch})
        assert whole(archive, *"abc") == expected(*(last[id_] for id_ in "abc" if id_ in last))
        assert archive.count() == sum(len(one.passages) for one in last.values())


def test_an_older_gen_changes_nothing(archive):
    newer = rows_of("a", 3, gen=5)
    archive.replace([newer])
    archive.replace([rows_of("a", 7, gen=4)])
    archive.replace([rows_of("a", 0, gen=4)])
    archive.replace([rows_of("a", 1, gen=4, partial=True)])
    assert whole(archive, "a") == expected(newer)


def test_a_batch_with_an_item_twice_keeps_the_newer(archive):
    archive.replace([rows_of("a", 2, gen=2), rows_of("a", 5, gen=1)])
    assert whole(archive, "a") == expected(rows_of("a", 2, gen=2))


def test_kinds_of_passages_are_counted_apart(archive):
    def write(speech, scenes):
        found = passages(["said"] * speech) + passages(["seen"] * scenes, kind="scene")
        archive.replace([ItemPassages(item("a"), found, vectors(len(found)))])
        return sorted(row["id"] for row in archive.passages("a"))

    write(3, 4)
    assert write(2, 1) == ["a:scene:0", "a:speech:0", "a:speech:1"]
    assert write(0, 1) == ["a:scene:0"]


def test_positions_with_gaps_are_kept(archive):
    found = [p for p in passages(["x"] * 6) if p.position in {1, 5}]
    archive.replace([rows_of("a", 6)])
    archive.replace([ItemPassages(item("a"), found, vectors(2))])
    assert [row["position"] for row in archive.passages("a")] == [1, 5]


def test_items_with_quotes_in_their_ids_are_replaced_and_removed(archive):
    for id_ in ("o'brien", "a''b", "x' OR '1'='1", "ünï\\c"):
        archive.replace([rows_of(id_, 3), rows_of("other", 1)])
        archive.replace([rows_of(id_, 2)])
        assert archive.counts([id_, "other"]) == {id_: 2, "other": 1}
        archive.remove([id_])
        assert archive.counts([id_, "other"]) == {"other": 1}


def test_large_batches_are_written_in_several_commits(archive, monkeypatch):
    monkeypatch.setattr("nexus_pipeline.archive.lance.ROWS_AT_ONCE", 10)
    archive.replace([rows_of(f"i{n}", n) for n in range(9)])
    assert archive.count() == sum(range(9))


def test_a_first_write_is_one_commit_and_a_repeat_another(archive):
    archive.replace([rows_of("warm", 1)])
    table = archive._tables.existing()
    before = table.version
    archive.replace([rows_of(f"i{n}", 3) for n in range(10)])
    assert table.version == before + 1
    archive.replace([rows_of(f"i{n}", 3) for n in range(10)])
    assert table.version == before + 2


@pytest.mark.parametrize(
    "bad", [np.zeros((2, DIMENSIONS), np.float32), np.zeros((3, 4), np.float32), np.full((3, DIMENSIONS), np.nan)]
)
def test_vectors_that_do_not_fit_are_refused(archive, bad):
    with pytest.raises(ValueError, match=r"vectors|finite"):
        archive.replace([ItemPassages(item("a"), passages(["x"] * 3), bad)])
    assert archive.count() == 0


def test_a_table_of_other_dimensions_is_said(archive, tmp_path):
    archive.replace([rows_of("a", 1)])
    other = LanceArchive(str(tmp_path / "archive"), "tiny", DIMENSIONS + 1)
    with pytest.raises(StoreError, match="nexus rebuild"):
        other.count()


def test_each_embedder_has_a_table_of_its_own(tmp_path):
    for name in ("minilm", "gemini:embed-001", "a/b c"):
        archive = LanceArchive(str(tmp_path), name, DIMENSIONS)
        archive.replace([rows_of("a", 1)])
        assert archive.count() == 1


def test_an_archive_where_nothing_can_be_written_says_so():
    with pytest.raises(StoreFull, match="free space"):
        open_archive("/sys/nexus").replace([rows_of("a", 1)])


def test_the_archive_lives_on_s3_too(s3):
    options = {
        "aws_endpoint": s3.endpoint,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "aws_region": "us-east-1",
        "allow_http": "true",
    }
    archive = LanceArchive(f"s3://{BUCKET}/archive", "tiny", DIMENSIONS, storage_options=options)
    assert archive.count() == 0
    archive.replace([rows_of("a", 4), rows_of("b", 2)])
    archive.replace([rows_of("a", 1)])
    assert archive.counts(["a", "b"]) == {"a": 1, "b": 2}
    assert archive.tend()["rows"] == 3
    assert texts(archive.search(Query("word", "words", {"item_id": "a"}))) == ["word 0 of a gen 1"]


# ---------------------------------------------------------------- side by side


def test_processes_that_write_at_once_lose_nothing(archive, tmp_path):
    archive.replace([rows_of("first", 1)])
    writers = [child("side_by_side", tmp_path / "archive", name, 8) for name in "xy"]
    while any(w.poll() is None for w in writers):
        archive.tend()
        time.sleep(0.05)
    assert [w.wait() for w in writers] == [0, 0]
    for w in writers:
        w.stdout.close()
    own = [f"{name}-{n}" for name in "xy" for n in range(8)]
    reader = open_archive(tmp_path / "archive")
    assert reader.counts(own) == dict.fromkeys(own, 3)
    assert whole(reader, "shared") == expected(rows_of("shared", 5, gen=8))
    assert reader.count() == 1 + 3 * 16 + 5


def test_threads_share_one_archive(archive):
    def write(name):
        for n in range(4):
            archive.replace([rows_of(f"{name}{n}", 2), rows_of("shared", 3 + n % 2)])
            archive.search(Query("word"), vector(1))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own = [f"{name}{n}" for name in "abcd" for n in range(4)]
    assert archive.counts(own) == dict.fromkeys(own, 2)
    assert archive.count("shared") in {3, 4}


def test_a_handle_sees_what_others_commit_within_a_second(tmp_path):
    writer, reader = open_archive(tmp_path), open_archive(tmp_path)
    writer.replace([rows_of("a", 1)])
    assert reader.count() == 1
    writer.replace([rows_of("b", 2)])
    until = time.monotonic() + 2.0
    while reader.count() != 3 and time.monotonic() < until:
        time.sleep(0.05)
    assert reader.count() == 3
    writer.remove(["a"])
    time.sleep(1.1)
    assert reader.search(Query("word", "words"), None).total == 2


def test_killed_in_the_middle_of_a_replace_a_repeat_leaves_the_exact_rows(tmp_path):
    path = tmp_path / "archive"
    for attempt in range(4):
        with child("for_ever", path) as writer:
            for _ in range(3):
                assert writer.stdout.readline()
            time.sleep(random.Random(attempt).uniform(0.0, 0.05))
            writer.send_signal(signal.SIGKILL)
            said = writer.stdout.read().split()
        archive = open_archive(path)
        last = int(said[-1]) if said else 3
        gen = max(row["gen"] for row in archive.passages("item0")) if archive.count("item0") else last + 1
        assert gen >= last - 1
        again = [rows_of(f"item{i}", (7 * (i + 1)) % 11, gen=10_000 + attempt) for i in range(6)]
        archive.replace(again)
        assert whole(archive, *(one.item.id for one in again)) == expected(*again)
        assert archive.count() == sum(len(one.passages) for one in again)
        archive.remove([one.item.id for one in again])
        assert archive.count() == 0


def test_a_lock_of_a_dead_process_stops_nobody_and_a_living_one_only_its_kind(archive, tmp_path):
    archive.replace([rows_of("a", 1)])
    with open_turn(tmp_path / "archive" / "passages__tiny.tended"):
        assert archive.tend() == {"busy": 1.0}
        archive.replace([rows_of("b", 1)])
    assert archive.tend()["rows"] == 2


def open_turn(path):
    from nexus_pipeline.archive.locks import turn

    return turn(path, 0.0)

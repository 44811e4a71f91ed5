"""What was removed is in no file: data, indexes, old versions, tables of other embedders, leftovers of the killed."""

import struct
from datetime import timedelta

import pyarrow.compute as pc
import pytest
from lance.file import LanceFileReader

from nexus_pipeline.archive import LanceArchive, erasing, tending
from nexus_pipeline.domain.search import Query
from nexus_pipeline.ports import ItemPassages
from tests.contracts.archive_parts import DIMENSIONS, item, open_archive, passages, rows_of, texts, vectors

WORDS = ("zyxquokka", "plaincassowary", "Titlenumbat", "Speakerbilby", "tagpotoroo")


@pytest.fixture(autouse=True)
def nobody_reads(monkeypatch):
    """Old versions may go at once: the tests have no readers in them."""
    monkeypatch.setattr(erasing, "KEPT_FOR", timedelta(0))


def planted(id_="gone"):
    said = passages([f"{WORDS[0]} {WORDS[1]} {n}" for n in range(3)], title=WORDS[2], speaker=WORDS[3])
    return ItemPassages(item(id_), said, vectors(63)[60:], tags=(WORDS[4],), language="en")


def bytes_with(folder, *needles):
    """Files that hold any of these."""
    found = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return sorted(f"{path.name}: {n!r}" for path, data in found.items() for n in needles if n in data)


def needles():
    return [word.encode() for word in WORDS] + [row.tobytes() for row in planted().vectors]


def index_sizes(folder):
    """Words that the index of words knows (an FST ends in their number), and codes in the index of vectors."""
    tokens = [LanceFileReader(str(p)).read_all().to_table() for p in folder.rglob("*_tokens.lance")]
    codes = [LanceFileReader(str(p)).read_all().to_table() for p in folder.rglob("auxiliary.idx")]
    words = sum(struct.unpack("<Q", table["_token_fst_bytes"][0].as_py()[-20:-12])[0] for table in tokens)
    return words, sum(table.num_rows for table in codes)


def wiped(archive):
    purged = archive.purge()
    assert archive.held(purged.marks) == 0
    return purged


@pytest.mark.parametrize("cared_for", [True, False])
def test_nothing_of_what_was_removed_is_in_any_file(archive, tmp_path, monkeypatch, cared_for):
    monkeypatch.setattr(tending, "VECTORS_FROM", 50)
    archive.replace([rows_of(f"n{i}", 30) for i in range(4)])
    archive.tend(full=True)
    before = wiped(archive) and index_sizes(tmp_path)
    archive.replace([planted()])
    # its own file, whose rows all go at once, or one with others
    archive.tend(full=cared_for)
    if cared_for:
        tending._index(archive._tables.existing(), "vector", merging=tending._ALL)
    assert bytes_with(tmp_path, *needles())
    assert index_sizes(tmp_path) != before
    archive.remove(["gone"])
    assert bytes_with(tmp_path, *needles())
    purged = archive.purge()
    assert purged.versions > 0
    assert archive.held(purged.marks) == 0
    assert bytes_with(tmp_path, *needles()) == []
    assert index_sizes(tmp_path) == before
    assert archive.count() == 120
    assert texts(archive.search(Query("word 3 of n2", "words", {"item_id": "n2"})))[0] == "word 3 of n2 gen 1"
    assert archive.search(Query("word"), vectors(1)[0]).total > 0
    table = archive._tables.existing()
    assert len(table.list_versions()) == 1
    assert not pc.any(pc.match_substring(table.to_arrow()["indexed_text"], WORDS[0])).as_py()


def test_it_goes_from_the_tables_of_other_embedders_too(archive, tmp_path):
    other = LanceArchive(str(tmp_path / "archive"), "another", DIMENSIONS)
    for one in (archive, other):
        one.replace([rows_of("n", 3), planted()])
    archive.remove(["gone"])
    assert LanceArchive(str(tmp_path / "archive"), "another", DIMENSIONS).count("gone") == 0
    assert sorted(wiped(archive).marks) == ["passages__another", "passages__tiny"]
    assert bytes_with(tmp_path, *needles()) == []
    assert other.count("n") == archive.count("n") == 3


def test_what_a_killed_writer_left_behind_goes_too(archive, tmp_path):
    archive.replace([rows_of("n", 3), planted()])
    data = tmp_path / "archive" / "passages__tiny.lance" / "data"
    orphan = data / "0123456789.lance"
    orphan.write_bytes(next(p for p in data.iterdir() if WORDS[0].encode() in p.read_bytes()).read_bytes())
    archive.remove(["gone"])
    wiped(archive)
    assert not orphan.exists()
    assert archive.count("n") == 3


def test_versions_that_somebody_may_still_read_are_kept_for_a_minute(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(erasing, "KEPT_FOR", tending.KEPT_FOR)
    archive.replace([rows_of("n", 3), planted()])
    archive.remove(["gone"])
    purged = archive.purge()
    assert archive.held(purged.marks) == purged.versions > 0
    assert bytes_with(tmp_path, *needles())
    monkeypatch.setattr(erasing, "KEPT_FOR", timedelta(0))
    assert archive.held(purged.marks) == 0


def test_an_archive_without_tables_and_a_table_made_anew_hold_nothing(archive, tmp_path):
    assert archive.purge().marks == {}
    assert archive.held({"passages__tiny": 7}) == 0
    archive.remove(["gone"])
    open_archive(tmp_path / "archive").replace([rows_of("n", 3)])
    assert archive.held({"passages__tiny": 10_000}) == 0

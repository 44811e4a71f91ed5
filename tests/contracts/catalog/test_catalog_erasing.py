"""Receipts of erased items, and what is left of them in the catalog's own files."""

import pytest

from nexus_pipeline.domain.errors import NotFound

WORDS = ("zyxquokka", "plaincassowary", "titlenumbat", "tagpotoroo", "speakerbilby", "authorkea", "somewherekoala")


@pytest.fixture
def erased(catalog, add):
    item = add()
    catalog.bury(item.id)
    return item.id


def numbers(receipt):
    return receipt.blobs, receipt.rows, receipt.passages, receipt.versions


def test_burying_opens_a_receipt_and_nothing_else_has_one(catalog, add):
    item = add()
    with pytest.raises(NotFound, match="nothing of this id was erased"):
        catalog.receipt(item.id)
    assert not catalog.is_erased(item.id)
    assert not catalog.is_erased("never")
    assert catalog.open_receipts() == []
    catalog.bury(item.id)
    assert catalog.is_erased(item.id)
    told = catalog.receipt(item.id)
    assert (told.owner, numbers(told), told.marks, told.at) == ("local", (0, 0, 0, 0), None, None)
    assert catalog.open_receipts() == [told]
    assert catalog.bury(item.id).id == item.id
    assert catalog.receipt(item.id) == told


def test_a_receipt_counts_the_most_that_was_there_however_often_it_is_done_again(catalog, erased):
    catalog.counted(erased, blobs=7, passages=25)
    rows = catalog.forget(erased)
    assert rows > 0
    catalog.counted(erased, blobs=2, passages=0)
    catalog.forget(erased)
    assert numbers(catalog.receipt(erased)) == (7, rows, 25, 0)


def test_a_receipt_is_complete_once_the_archive_is_clean(catalog, erased):
    catalog.purged([erased], {"passages__tiny": 12}, 5)
    told = catalog.receipt(erased)
    assert (told.marks, told.versions, told.at) == ({"passages__tiny": 12}, 5, None)
    assert told.buried_at <= told.purged_at
    assert catalog.open_receipts() == [told]
    catalog.settle([erased])
    assert catalog.receipt(erased).at >= told.purged_at
    assert catalog.open_receipts() == []


def test_what_comes_late_takes_another_round(catalog, erased):
    catalog.purged([erased], {"passages__tiny": 12}, 5)
    catalog.counted(erased, blobs=0, passages=0)
    assert catalog.receipt(erased).marks == {"passages__tiny": 12}
    catalog.counted(erased, blobs=1, passages=0)
    told = catalog.receipt(erased)
    assert (told.marks, told.purged_at, told.versions) == (None, None, 5)


def test_an_item_that_came_back_and_is_erased_again_has_one_receipt_of_the_last_time(catalog, add):
    item = add(origin="file:again")
    catalog.bury(item.id)
    catalog.counted(item.id, blobs=3, passages=4)
    catalog.forget(item.id)
    catalog.settle([item.id])
    first = catalog.receipt(item.id)
    add(origin="file:again")
    assert not catalog.is_erased(item.id)
    assert catalog.receipt(item.id) == first
    catalog.bury(item.id)
    assert numbers(catalog.receipt(item.id)) == (0, 0, 0, 0)
    assert catalog.receipt(item.id).buried_at > first.buried_at


def test_nothing_that_an_item_said_is_left_in_the_catalogs_files(catalog, add, run, tmp_path, database):
    neighbours = [add(title=f"Neighbour {n} " + "x" * 200) for n in range(60)]
    item = add(title=WORDS[2], origin=f"https://{WORDS[6]}.example/a", filename=f"{WORDS[2]}.mp3", tags=(WORDS[3],))
    more = [add(title=f"Later {n} " + "y" * 200) for n in range(60)]
    catalog.edit(item.id, title=f"{WORDS[2]} again")
    run.through(item, author=WORDS[5], description=f"{WORDS[0]} {WORDS[1]} " * 400, summary=WORDS[4])
    for one in (*neighbours[::3], *more[::2]):
        catalog.edit(one.id, title="short")
    catalog.bury(item.id)
    catalog.forget(item.id)
    assert catalog.scrub()
    if database == "sqlite":  # of a server's files its administrator decides
        files = [path.read_bytes().lower() for path in tmp_path.iterdir() if path.name.startswith("catalog.sqlite")]
        assert [word for word in WORDS for data in files if word.encode() in data] == []
        assert any(b"neighbour 1 " in data for data in files)
    assert catalog.get(neighbours[1].id).title.startswith("Neighbour 1")


def test_a_reader_keeps_the_log_from_being_emptied_and_it_is_said(catalog, add, database):
    add()
    with catalog.reading() as r:
        r.items(["any"])
        add()
        assert catalog.scrub() == (database == "postgresql")
    assert catalog.scrub()

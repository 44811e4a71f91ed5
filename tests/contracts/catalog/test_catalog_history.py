"""One's own searches: kept, opened, listed, pruned, forgotten."""

from datetime import timedelta

import pytest

from nexus_pipeline.catalog import history
from nexus_pipeline.domain.errors import BadInput, NotFound
from nexus_pipeline.domain.items import NewItem


@pytest.fixture
def searched(catalog):
    def one(query, owner="local", hits=3, **more):
        told = {"mode": "hybrid", "filters": {"language": ["en"]}, "took_ms": 12.5} | more
        return catalog.remember(owner, query, hits=hits, **told)

    return one


def queries(page):
    return [one.query for one in page.items]


def test_searches_are_kept_the_newest_first_for_their_owner(catalog, searched):
    searched("red rose")
    searched("theirs", owner="ann")
    last = searched("Blue bridge", hits=0)
    page = catalog.searches("local")
    assert queries(page) == ["Blue bridge", "red rose"]
    one = page.items[0]
    assert (one.id, one.mode, one.filters, one.hits, one.took_ms, one.opened) == (
        last, "hybrid", {"language": ["en"]}, 0, 12.5, (),
    )  # fmt: skip
    assert queries(catalog.searches("ann")) == ["theirs"]


def test_a_search_that_is_still_being_typed_takes_the_place_of_its_beginning(catalog, searched):
    first = searched("red")
    assert searched("Red ros", hits=7) == first
    assert [(one.query, one.hits) for one in catalog.searches("local").items] == [("Red ros", 7)]
    assert searched("bridge") != first
    assert searched("red rose") != first


def test_a_search_of_long_ago_is_not_typed_on(catalog, searched, sql):
    first = searched("red")
    sql(f"UPDATE searches SET at = at - {int(history.TYPED_ON.total_seconds() * 2e6)}")
    assert searched("red rose") != first


def test_an_opened_hit_answers_its_search(catalog, searched, add):
    item = add()
    first, second = searched("red rose"), searched("bridge")
    catalog.opened("local", first, item.id, 12.5)
    catalog.opened("local", first, item.id, 12.5)
    catalog.opened("local", first, item.id, 40.0)
    assert queries(catalog.searches("local", unanswered=True)) == ["bridge"]
    answered = catalog.searches("local").items[1]
    assert ([(o.item_id, o.start_s) for o in answered.opened], answered.opened_count) == (
        [(item.id, 12.5), (item.id, 40.0)],
        2,
    )
    assert searched("red rose thorn") not in {first, second}


def test_only_ones_own_can_be_opened(catalog, searched, add):
    own, theirs = add(), add(owner="ann")
    number = searched("red")
    for owner, search, item in (("ann", number, own.id), ("local", 999, own.id), ("local", number, "nothing")):
        with pytest.raises(NotFound):
            catalog.opened(owner, search, item, 0.0)
    with pytest.raises(NotFound):
        catalog.opened("local", number, theirs.id, 0.0)


def test_an_erased_item_leaves_the_history(catalog, searched, add):
    item = add()
    number = searched("red")
    catalog.opened("local", number, item.id, 1.0)
    catalog.bury(item.id)
    catalog.forget(item.id)
    [one] = catalog.searches("local").items
    assert (one.opened, one.opened_count) == ((), 1)


def test_pages_follow_one_another_while_more_is_searched(catalog, searched):
    for n in range(7):
        searched(f"{n} query")
    first = catalog.searches("local", limit=3)
    searched("new")
    second = catalog.searches("local", limit=3, cursor=first.next_cursor)
    last = catalog.searches("local", limit=3, cursor=second.next_cursor)
    assert queries(first) + queries(second) + queries(last) == [f"{n} query" for n in range(6, -1, -1)]
    assert last.next_cursor is None
    for wrong in ("x", "-1", "", "9" * 30):
        with pytest.raises(BadInput, match="cursor"):
            catalog.searches("local", cursor=wrong)


def test_what_is_asked_often_is_counted_together(catalog, searched, add):
    for query, hits in (("Rose", 1), ("bridge", 1), ("rose", 2), ("once", 1), ("bridge", 5), ("ROSE", 9)):
        number = searched(query, hits=hits)
    catalog.opened("local", number, add().id, 0.0)
    told = [(one.query, one.count, one.opened, one.hits) for one in catalog.frequent("local")]
    assert told == [("ROSE", 3, 1, 9), ("bridge", 2, 0, 5)]
    assert catalog.frequent("ann") == []
    assert len(catalog.frequent("local", limit=1)) == 1


def test_only_so_many_are_kept_and_only_for_so_long(catalog, searched, monkeypatch, sql):
    monkeypatch.setattr(history, "KEPT", 5)
    monkeypatch.setattr(history, "LOOKED_EVERY", 10)
    searched("theirs", owner="ann")
    for n in range(9):
        searched(f"{n} query")
    assert queries(catalog.searches("local")) == [f"{n} query" for n in range(8, 3, -1)]
    sql(f"UPDATE searches SET at = at - {(history.KEPT_FOR + timedelta(days=1)) // timedelta(microseconds=1)}")
    for n in range(10):
        searched(f"{n} later")
    assert all("later" in query for query in queries(catalog.searches("local")))
    assert queries(catalog.searches("ann")) == ["theirs"]


def test_forgetting_leaves_nothing_of_ones_own(catalog, searched, sql, tmp_path, database):
    item = catalog.add([NewItem("local", "file:x", "inbox", "Talk")])[0]
    catalog.opened("local", searched("quokka"), item.id, 0.0)
    searched("theirs", owner="ann")
    assert catalog.forget_searches("local") == 1
    assert catalog.searches("local").items == ()
    assert sql("SELECT count(*) FROM opened_hits") == 0
    assert queries(catalog.searches("ann")) == ["theirs"]
    assert catalog.forget_searches("local") == 0
    assert catalog.scrub()
    if database == "sqlite":
        files = [path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("catalog.sqlite")]
        assert not [data for data in files if b"quokka" in data]

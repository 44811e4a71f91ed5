"""Pages, merged neighbours, groups, facets, summaries, and items that say the like."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from nexus_pipeline.domain.errors import BadInput, StoreError
from nexus_pipeline.domain.search import Query
from nexus_pipeline.ports import ItemPassages
from tests.contracts.archive_parts import item, open_archive, passages, rows_of, texts, vector, vectors


def places(found):
    return [(hit.item_id, hit.start_s, hit.end_s) for hit in found.hits]


def pages(archive, query, size, meanwhile=lambda _n: None):
    found = []
    for n in range(200):
        page = archive.search(replace(query, limit=size, offset=n * size), vector(1) if query.mode != "words" else None)
        shown = page.hits if page.groups is None else page.groups
        if not shown:
            return found
        found += shown
        meanwhile(n)
    raise AssertionError("there is no last page")


@pytest.mark.parametrize("mode", ["words", "meaning", "hybrid"])
@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("group", [None, "item"])
def test_pages_repeat_nothing_and_skip_nothing(archive, tmp_path, mode, merge, group):
    archive.replace([rows_of(f"item{i}", 5 + i, word="same") for i in range(9)])
    query = Query("same", mode, merge=merge, group=group)
    whole = archive.search(replace(query, limit=1000), None if mode == "words" else vector(1))
    everything = list(whole.hits if group is None else whole.groups)
    for size in (1, 4, 7):
        assert pages(archive, query, size) == everything
        assert pages(open_archive(tmp_path / "archive"), query, size) == everything
    if not merge and not group:
        assert len(everything) == whole.total


def test_pages_go_on_as_they_began_while_items_come_and_go(archive):
    archive.replace([rows_of(f"item{i}", 5, word="same") for i in range(6)])
    query = Query("same")
    before = list(archive.search(replace(query, limit=100), vector(1)).hits)

    def meanwhile(n):
        archive.replace([rows_of(f"new{n}", 5, word="same")])
        if n == 2:
            archive.remove(["item5"])

    found = pages(archive, query, 4, meanwhile)
    assert len(set(found)) == len(found)
    assert [hit for hit in found if hit.item_id != "item5"] == [hit for hit in before if hit.item_id != "item5"]
    last = archive.search(replace(query, limit=4, offset=8), vector(1))
    assert last.total == 25
    assert "item5" not in last.facets["item_id"]
    again = archive.search(replace(query, limit=100), vector(1))
    assert {"new0", "new1"} <= {hit.item_id for hit in again.hits}


def test_neighbours_are_one_hit_that_begins_with_the_first(archive):
    said = ["Nothing here.", "The budget of this", "year a budget of", "Something else.", "Budget again."]
    archive.replace([ItemPassages(item("a"), passages(said, speaker="Ann"), vectors(5), language="en")])
    apart = archive.search(Query("budget ", "words"))
    assert len(apart.hits) == 3
    merged = archive.search(Query("budget ", "words", merge=True))
    assert [(hit.text, hit.start_s, hit.end_s) for hit in merged.hits if hit.start_s == 10.0] == [
        ("The budget of this year a budget of", 10.0, 30.0)
    ]
    [hit] = [hit for hit in merged.hits if hit.start_s == 10.0]
    assert [hit.text[a:b] for a, b in hit.highlights] == ["budget", "budget"]
    assert merged.total == apart.total == 3
    assert len(merged.hits) == 2


def test_hits_of_an_item_are_grouped(archive):
    archive.replace([rows_of("many", 9, word="fox"), rows_of("few", 2, word="fox"), rows_of("none", 3, word="hen")])
    found = archive.search(Query("fox ", "words", group="item", limit=1))
    [best] = found.groups
    assert found.hits == (best.hits[0],)
    rest = archive.search(Query("fox ", "words", group="item", limit=5, offset=1)).groups
    both = {group.item_id: (len(group.hits), group.more) for group in (best, *rest)}
    assert both == {"many": (3, 6), "few": (2, 0)}
    assert found.total == 11
    with pytest.raises(BadInput, match="by item"):
        archive.search(Query("fox", "words", group="title"))


def test_facets_tell_source_and_month_and_both_can_be_filtered_by(archive):
    for id_, source, at in (
        ("a", "url", datetime(2026, 3, 31, 23, 59, tzinfo=UTC)),
        ("b", "inbox", datetime(2026, 4, 1, tzinfo=UTC)),
        ("c", "inbox", datetime(2025, 12, 31, 12, tzinfo=UTC)),
    ):
        of = replace(item(id_, created_at=at), source=source)
        archive.replace([ItemPassages(of, passages(["A fox."]), vectors(1), language="en")])
    found = archive.search(Query("fox ", "words"))
    assert found.facets["source"] == {"inbox": 2, "url": 1}
    assert found.facets["month"] == {"2025-12": 1, "2026-03": 1, "2026-04": 1}

    def ids(mode="words", **filters):
        return {h.item_id for h in archive.search(Query("fox", mode, filters), vector(0)).hits}

    for mode in ("words", "meaning", "hybrid"):
        assert ids(mode, source="inbox") == {"b", "c"}
        assert ids(mode, month="2026-03") == {"a"}
        assert ids(mode, month=["2025-12", "2026-04"]) == {"b", "c"}
        assert ids(mode, month=[]) == set()
        assert ids(mode, month="2025-12", source="url") == set()
    for wrong in ("2026", "2026-13", "march", 3, None):
        with pytest.raises(BadInput, match="month"):
            ids(month=wrong)


def test_a_summary_is_found_with_the_moments_and_stands_behind_them(archive):
    said = passages(["The budget was cut.", "Nothing."])
    told = replace(passages(["They cut the budget by half."], kind="summary")[0], start_s=0.0, end_s=600.0)
    archive.replace(
        [ItemPassages(item("a"), [*said, told], np.stack([vector(1), vector(3), vector(0)]), language="en")]
    )
    for mode in ("words", "meaning", "hybrid"):
        found = archive.search(Query("cut budget ", mode), vector(0))
        kinds = [hit.kind for hit in found.hits]
        assert kinds.index("summary") == 1, mode
        assert found.facets["kind"]["summary"] == 1
    [only] = archive.search(Query("cut budget ", "hybrid", {"kind": "summary"}), vector(0)).hits
    assert (only.kind, only.start_s, only.end_s) == ("summary", 0.0, 600.0)


# ---------------------------------------------------------------- alike


def test_items_that_say_the_like_are_near(archive):
    def mean(*numbers):
        return np.stack([vector(n) for n in numbers])

    archive.replace(
        [
            ItemPassages(item("a"), passages(["x"] * 2), mean(1, 2)),
            ItemPassages(item("same"), passages(["y"] * 2), mean(2, 1)),
            ItemPassages(item("half"), passages(["z"] * 2), np.stack([vector(1), -vector(7)])),
            ItemPassages(item("far"), passages(["w"]), -mean(1)),
            ItemPassages(item("theirs", owner="ann"), passages(["v"] * 2), mean(1, 2)),
        ]
    )
    found = archive.near("a", owner="local")
    assert found[0].item_id == "same"
    assert found[0].likeness == pytest.approx(1.0, abs=1e-5)
    assert {one.item_id for one in found} == {"same", "half", "far"}
    assert found[-1].item_id == "far"
    assert [one.item_id for one in archive.near("a", owner="local", limit=1)] == ["same"]
    assert archive.near("nothing", owner="local") == []
    assert [archive.near("a", owner="local") for _ in range(5)] == [found] * 5


# ---------------------------------------------------------------- another layout


def test_a_table_of_an_older_nexus_is_said_and_a_rebuild_makes_it_anew(archive, tmp_path):
    archive.replace([rows_of("a", 2)])
    assert not archive.renew()
    table = archive._tables.existing()
    table.drop_columns(["source"])
    later = open_archive(tmp_path / "archive")
    with pytest.raises(StoreError, match="run `nexus rebuild`"):
        later.search(Query("word", "words"))
    assert later.renew()
    assert later.search(Query("word", "words")).hits == ()
    later.replace([rows_of("a", 2)])
    assert len(texts(later.search(Query("word ", "words")))) == 2

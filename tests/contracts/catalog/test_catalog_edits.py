"""What people wrote over transcripts: the last word of each span and kind, a version, what is asked for with it."""

from dataclasses import replace

import pytest

from nexus_pipeline.domain.edits import Edit
from nexus_pipeline.domain.errors import NotFound
from nexus_pipeline.domain.states import State

TEXT = Edit(4.0, 9.0, "text", "a door of would", "a door of wood")
SPEAKER = Edit(4.0, 9.0, "speaker", "", "Ann")
LATER = Edit(10.0, 13.5, "text", "Nobody plays it.", "")


def told(catalog, item):
    return [(e.start_s, e.end_s, e.what, e.old, e.new) for e in catalog.edits(item.id)]


def plain(*edits):
    return [(e.start_s, e.end_s, e.what, e.old, e.new) for e in edits]


def test_they_are_kept_in_the_order_in_which_they_were_written(catalog, add):
    item = add()
    assert (catalog.edits(item.id), item.edited) == ((), None)
    catalog.edit(item.id, edits=[LATER, SPEAKER])
    now = catalog.edit(item.id, edits=[TEXT])
    assert told(catalog, item) == plain(LATER, SPEAKER, TEXT)
    assert all(e.id > 0 and e.at is not None for e in catalog.edits(item.id))
    assert now == catalog.get(item.id)
    changes = [(c.kind, c.state) for c in catalog.changes(0, item_id=item.id)]
    assert changes[-2:] == [("item", "changed")] * 2


def test_of_a_span_and_kind_the_last_word_counts(catalog, add):
    item = add()
    catalog.edit(item.id, edits=[TEXT, SPEAKER])
    again = replace(TEXT, start_s=4.004, new="a gate")
    catalog.edit(item.id, edits=[again])
    assert told(catalog, item) == plain(SPEAKER, again)


def test_the_items_version_of_them_is_that_of_what_stands(catalog, add):
    item = add()
    first = catalog.edit(item.id, edits=[TEXT]).edited
    assert len(first) == 16
    both = catalog.edit(item.id, edits=[LATER]).edited
    assert both not in {None, first}
    [_, later] = catalog.edits(item.id)
    assert catalog.edit(item.id, taken_back=[later.id]).edited == first
    assert catalog.edit(item.id, taken_back=[e.id for e in catalog.edits(item.id)]).edited is None
    assert catalog.edits(item.id) == ()


def test_nobody_takes_back_what_stands_over_another_item(catalog, add):
    mine, other = add(), add()
    catalog.edit(other.id, edits=[TEXT])
    [theirs] = catalog.edits(other.id)
    catalog.edit(mine.id, taken_back=[theirs.id])
    assert told(catalog, other) == plain(TEXT)


def test_what_follows_is_asked_for_with_it_once_and_only_where_something_is_another_now(catalog, add, run):
    item = run.through(add())
    now = catalog.edit(item.id, edits=[TEXT], again="embedding")
    assert (now.step("embedding").state, now.step("enrichment").state) == (State.WAITING, State.DONE)
    asks = [("rerun", item.id, "embedding")]
    assert [(a.ask, a.item_id, a.from_step) for a in catalog.asks()] == asks
    catalog.edit(item.id, title="New", again="embedding")  # it waits already
    assert [(a.ask, a.item_id, a.from_step) for a in catalog.asks()] == asks
    catalog.answered([a.id for a in catalog.asks()])
    item = run.land(run.take(now), "embedding")
    catalog.release(run.id)
    catalog.edit(item.id, title="New", tags=(), speakers={}, again="embedding")
    assert catalog.asks() == []
    for change in ({"title": "Newer"}, {"tags": ("t",)}, {"speakers": {"S1": "Ann"}}, {"edits": [LATER]}):
        assert catalog.edit(item.id, **change, again="embedding").step("embedding").state is State.WAITING
        run.land(run.take(catalog.get(item.id)), "embedding")
        catalog.release(run.id)


def test_an_item_that_is_not_there_cannot_be_written_over(catalog, add):
    item = add()
    catalog.bury(item.id)
    for item_id in (item.id, "never"):
        with pytest.raises(NotFound):
            catalog.edit(item_id, edits=[TEXT])


def test_they_go_with_their_item_and_are_counted(catalog, add, rows, database, tmp_path):
    item, other = add(), add()
    catalog.edit(item.id, edits=[replace(TEXT, new="the zyxquokka"), SPEAKER])
    catalog.edit(other.id, edits=[TEXT])
    catalog.bury(item.id)
    gone = catalog.forget(item.id)
    assert gone >= 2
    assert (rows("edits"), rows("items", "edited IS NOT NULL")) == (1, 1)
    back = add(origin=item.origin)
    assert (back.id, back.edited, catalog.edits(back.id)) == (item.id, None, ())
    assert catalog.scrub()
    if database == "sqlite":
        files = [path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("catalog.sqlite")]
        assert not any(b"zyxquokka" in data for data in files)


def test_the_copy_that_becomes_first_takes_them_over_in_its_own_seconds(catalog, add, run):
    first, copy = run.through(add(), duration_s=20.0), run.through(add(), duration_s=5.0)
    catalog.edit(first.id, edits=[TEXT, SPEAKER, LATER, Edit(0.0, 4.0, "text", "x", "y")])
    catalog.link(copy, first.id, 4.5)
    catalog.bury(first.id)
    assert told(catalog, copy) == [
        (-0.5, 4.5, "text", TEXT.old, TEXT.new),
        (-0.5, 4.5, "speaker", "", "Ann"),
    ]
    assert catalog.get(copy.id).edited is not None

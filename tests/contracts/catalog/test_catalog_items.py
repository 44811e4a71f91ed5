"""Items: adding, reading, changing, listing, erasing."""

import itertools

import pytest

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.errors import BadInput, LeaseLost, NotFound, StoreError
from nexus_pipeline.domain.fingerprints import Related
from nexus_pipeline.domain.items import Kind, NewItem, Priority
from nexus_pipeline.domain.listing import ItemQuery
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.ports import Catalog


def test_the_catalog_implements_the_port(catalog):
    port: Catalog = catalog
    public = {name for name in vars(Catalog) if not name.startswith("_")}
    assert all(callable(getattr(port, name)) for name in public)


def test_a_new_item_waits_with_all_its_steps(catalog, add):
    item = add(title="Talk", tags=("a", "b", "a"), engines={"transcript": "x:y"}, priority=Priority.HIGH, bytes=2**40)
    assert item.state is ItemState.WAITING
    assert [s.step for s in item.steps] == list(STEPS)
    assert (item.tags, item.engines, item.priority, item.bytes) == (("a", "b"), {"transcript": "x:y"}, "high", 2**40)
    assert catalog.get(item.id) == item
    assert catalog.find([item.id, "nothing"]) == {item.id: item}
    assert [(c.kind, c.state, c.step) for c in catalog.changes(0)] == [("item", "new", None)]


def test_adding_twice_is_the_same_item(catalog, add, rows):
    first = add(origin="o", title="one")
    again = add(origin="o", title="two")
    assert again == first
    assert rows("items") == 1
    assert len(catalog.changes(0)) == 1


def test_the_same_item_twice_in_a_batch_is_one(catalog):
    new = NewItem("local", "o", "inbox", "t")
    a, b = catalog.add([new, new])
    assert a == b


def test_a_thousand_at_once_come_in_order(catalog):
    new = [NewItem("local", f"file:{n}", "inbox", f"t{n}") for n in range(1000)]
    items = catalog.add(new)
    assert [i.id for i in items] == [n.id for n in new]
    assert all(a.created_at < b.created_at for a, b in itertools.pairwise(items))
    assert [c.item_id for c in catalog.changes(0, limit=2000)] == [n.id for n in new]


def test_a_place_in_the_inbox_is_filled_in_only_before_raw_is_done(catalog, add, run):
    item = add(origin="o")
    assert add(origin="o", inbox_key="inbox/a").inbox_key == "inbox/a"
    assert add(origin="o", inbox_key="inbox/b").inbox_key == "inbox/a"
    run.through(item, "raw", inbox_key=None)
    assert add(origin="o", inbox_key="inbox/c").inbox_key is None


def test_names_that_databases_refuse_are_stored(catalog, add):
    item = add(title="a\0b\udcff 🎙️ 'x\" --", filename="-- \udc80.wav")
    assert item.title == "a\ufffdb\ufffd 🎙️ 'x\" --"
    assert catalog.get(item.id).filename == "-- \ufffd.wav"


def test_an_unknown_item_is_not_found(catalog):
    with pytest.raises(NotFound, match="nothing"):
        catalog.get("nothing")


def test_ids_are_found_by_their_first_characters_within_the_owner(catalog, add):
    mine, theirs = add(), add(owner="b")
    assert catalog.ids(mine.id[:6].upper(), owner="local") == [mine.id]
    assert catalog.ids(theirs.id, owner="local") == []
    assert len(catalog.ids("", owner="local")) == 1


def test_a_person_changes_an_item(catalog, add):
    item = add(tags=("a",))
    hinted = catalog.edit(item.id, prompt="About bees.", vocabulary=("Varroa",))
    assert (hinted.prompt, hinted.vocabulary) == ("About bees.", ("Varroa",))
    after = catalog.edit(item.id, title="New", tags=["b", "c"], language="de", priority="low", unique=True)
    assert (after.title, after.tags, after.language, after.priority, after.unique) == (
        "New",
        ("b", "c"),
        "de",
        "low",
        True,
    )
    assert after.updated_at > item.updated_at
    assert catalog.changes(0)[-1].state == "changed"
    assert [i.id for i in catalog.page(ItemQuery(tag="c")).items] == [item.id]
    assert catalog.page(ItemQuery(tag="a")).items == ()


def test_a_person_cannot_change_what_steps_find_out(catalog, add):
    item = add()
    with pytest.raises(StoreError, match="digest"):
        catalog.edit(item.id, digest="x")


def test_facts_land_on_the_item(catalog, add, run):
    item = run.take(add(filename="talk.mp3", title="talk", tags=("mine",)))
    item = run.land(
        item, "raw", facts={"kind": Kind.AUDIO, "duration_s": 3.5, "title": "The talk", "tags": ["theirs", "mine"]}
    )
    assert (item.kind, item.duration_s, item.title, item.tags) == (Kind.AUDIO, 3.5, "The talk", ("mine", "theirs"))
    assert catalog.get(item.id) == item


def test_a_title_that_a_person_gave_stays(catalog, add, run):
    item = run.take(add(title="Mine"))
    assert run.land(item, "raw", facts={"title": "Theirs"}).title == "Mine"
    item = run.take(add(title="https://example.org/v", origin="url"))
    catalog.edit(item.id, title="Edited")
    assert run.land(item, "raw", facts={"title": "Theirs"}).title == "Edited"


def test_facts_that_items_have_no_place_for_are_refused_and_nothing_lands(catalog, add, run):
    item = run.take(add())
    with pytest.raises(StoreError, match="colour"):
        run.land(item, "raw", facts={"colour": "red"})
    assert catalog.get(item.id).step("raw").state is State.RUNNING


def test_counts_are_by_state(catalog, add, run):
    add(), run.through(add()), run.fails(add())
    assert catalog.counts() == {
        "waiting": 1, "running": 0, "done": 1, "failed": 1, "duplicate": 0, "blocked": 0, "cancelled": 0,
    }  # fmt: skip


def test_pointers_are_set_and_set_again(catalog):
    assert catalog.pointer("embedder") is None
    catalog.point("embedder", "a")
    catalog.point("embedder", "b")
    assert catalog.pointer("embedder") == "b"


# ---------------------------------------------------------------- erasing


def test_a_buried_item_is_in_no_answer_and_what_lands_is_dropped(catalog, add, run):
    item = run.take(add(tags=("t",)))
    catalog.begin(item, "raw", run.id, run.id)
    gone = catalog.bury(item.id)
    assert (gone.gen, gone.deleted_at is not None) == (item.gen + 1, True)
    with pytest.raises(NotFound):
        catalog.get(item.id)
    assert catalog.find([item.id]) == {}
    assert catalog.page(ItemQuery()).items == catalog.page(ItemQuery(tag="t")).items == ()
    assert catalog.lease([item.id], "other") == {}
    assert catalog.due() == []
    with pytest.raises(LeaseLost):
        run.land(item, "raw")
    with pytest.raises(LeaseLost):
        catalog.fingerprinted(item, "d", [1])
    assert catalog.bury(item.id).gen == gone.gen
    assert [i.id for i in catalog.buried()] == [item.id]


def test_a_forgotten_item_leaves_only_that_it_was(catalog, add, run, rows):
    item, other = add(title="Secret", tags=("t",), inbox_key="k", filename="secret.wav"), add()
    catalog.fingerprinted(item, "digest", range(1000))
    catalog.relate(item, [Related(other.id, "shared")], [other.id])
    run.through(item, description="secret words")
    catalog.ask("rerun", [item.id])
    catalog.bury(item.id)
    assert catalog.forget(item.id) > 1000
    assert catalog.forget(item.id) == 0
    assert catalog.buried() == []
    for table in ("item_steps", "item_tags", "leases", "asks", "relations", "edits"):
        assert rows(table, f"item_id = '{item.id}'") == 0, table
    assert rows("postings") == rows("posted") == 0
    assert [(c.kind, c.state) for c in catalog.changes(0, item_id=item.id)] == [("item", "erased")]
    kept = "title || title_key || source || platform || origin || coalesce(filename, '') || coalesce(description, '')"
    assert rows("items", f"id = '{item.id}' AND {kept} = '' AND digest IS NULL AND deleted_at IS NOT NULL") == 1
    assert catalog.get(other.id).id == other.id


def test_forgetting_leaves_alone_what_lives(catalog, add):
    item = add()
    assert catalog.forget(item.id) == 0
    assert catalog.get(item.id) == item


def test_a_tombstone_comes_back_as_a_new_item(catalog, add, run):
    item = run.through(add(origin="o", title="old", tags=("old",)), duration_s=3.0)
    catalog.bury(item.id)
    catalog.forget(item.id)
    back = add(origin="o", title="new")
    assert (back.id, back.gen, back.title, back.tags, back.duration_s) == (item.id, item.gen + 2, "new", (), None)
    assert {s.state for s in back.steps} == {State.WAITING}
    assert back.state is ItemState.WAITING
    assert run.through(back).state is ItemState.DONE


def test_a_tombstone_that_was_not_forgotten_comes_back_with_nothing_of_what_it_was(catalog, add, run, rows):
    item = run.through(add(origin="o", tags=("old",)), summary="secret")
    catalog.fingerprinted(item, "d", [1, 2])
    catalog.bury(item.id)
    back = add(origin="o")
    assert (back.summary, back.digest, back.step("raw").blob) == (None, None, None)
    assert rows("postings") == 0


# ---------------------------------------------------------------- listings


def _everything(catalog, **fields) -> list[str]:
    titles, cursor = [], None
    for _ in range(100):
        page = catalog.page(ItemQuery(limit=3, cursor=cursor, **fields))
        assert len(page.items) <= 3
        titles += [i.title for i in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return titles
    raise AssertionError("the pages have no end")


def test_a_listing_goes_page_by_page_newest_first_or_by_title(catalog, add):
    for title in ("b", "Z", "a", "ä", "C", "a"):
        add(title=title)
    assert _everything(catalog) == ["a", "C", "ä", "a", "Z", "b"]
    assert _everything(catalog, sort="title") == ["a", "a", "b", "C", "Z", "ä"]


def test_what_is_added_meanwhile_moves_nothing(catalog, add):
    for n in range(4):
        add(title=f"{n}")
    page = catalog.page(ItemQuery(limit=2))
    add(title="new")
    assert [i.title for i in catalog.page(ItemQuery(limit=2, cursor=page.next_cursor)).items] == ["1", "0"]


def test_a_listing_of_several_states_is_merged_in_order(catalog, add, run):
    for n in range(3):
        add(title=f"w{n}"), run.through(add(title=f"d{n}")), run.fails(add(title=f"f{n}"))
    wanted = (ItemState.DONE, ItemState.FAILED)
    assert _everything(catalog, states=wanted) == ["f2", "d2", "f1", "d1", "f0", "d0"]
    assert _everything(catalog, states=wanted, sort="title") == ["d0", "d1", "d2", "f0", "f1", "f2"]


def test_listings_are_filtered(catalog, add, run):
    mine = add(title="Weekly Meeting 100%", tags=("x",), platform="youtube", source="url", language="de")
    add(title="other", tags=("y",)), add(title="weekly", owner="b", tags=("x",))
    run.through(mine, kind=Kind.VIDEO, category="work", sentiment="positive")
    for fields in (
        {"q": "MEETING"}, {"q": "100%"}, {"q": "weekly"}, {"tag": "x"}, {"tag": "x", "sort": "title"},
        {"platform": "youtube"}, {"source": "url"}, {"language": "de"}, {"kind": "video"}, {"category": "work"},
        {"sentiment": "positive"}, {"states": (ItemState.DONE,)}, {"tag": "x", "q": "100%", "states": ("done",)},
    ):  # fmt: skip
        assert _everything(catalog, owner="local", **fields) == ["Weekly Meeting 100%"], fields
    assert _everything(catalog, owner="local", q="%") == ["Weekly Meeting 100%"]
    assert _everything(catalog, owner="local", q="0_") == []
    assert _everything(catalog, tag="x") == ["weekly", "Weekly Meeting 100%"]


@pytest.mark.parametrize("cursor", ["", "x", "bm9wZQ==", "WzEsMiwzLDRd", "WyJ0aXRsZSIsImEiLCJiIl0="])
def test_a_cursor_of_something_else_is_refused(catalog, cursor):
    with pytest.raises(BadInput, match="cursor"):
        catalog.page(ItemQuery(cursor=cursor))


def test_an_unknown_order_is_refused(catalog):
    with pytest.raises(BadInput, match="bytes"):
        catalog.page(ItemQuery(sort="bytes"))


# ---------------------------------------------------------------- names of speakers


def test_people_name_speakers_and_take_names_away(catalog, add):
    item = catalog.edit(add().id, speakers={"S1": "Mia", "S2": "Ann\0"}, title="A talk")
    assert (item.speakers, item.title) == ({"S1": "Mia", "S2": "Ann\ufffd"}, "A talk")
    item = catalog.edit(item.id, speakers={"S1": None, "S3": "Bo"})
    assert item.speakers == {"S2": "Ann\ufffd", "S3": "Bo"}
    assert catalog.edit(item.id, tags=("x",)).speakers == item.speakers
    assert catalog.find([item.id, add().id])[item.id].speakers == item.speakers


def test_names_go_with_their_item(catalog, add, rows):
    item, other = add(origin="file:named"), add()
    for one in (item, other):
        catalog.edit(one.id, speakers={"S1": "Mia"})
    catalog.bury(item.id)
    catalog.forget(item.id)
    assert catalog.get(other.id).speakers == {"S1": "Mia"}
    assert add(origin="file:named").speakers == {}

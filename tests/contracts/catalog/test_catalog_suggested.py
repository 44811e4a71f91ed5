"""What one is offered while one types: titles, tags and speakers, of the owner's items, from one index."""

import pytest
import sqlalchemy as sa

from nexus_pipeline.catalog import SqlCatalog, suggested
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import NewItem
from tests.contracts.catalog.before import made_by


def offered(catalog, begin, owner="local", **how):
    return [(one.kind, one.text) for one in catalog.suggest(owner, begin, **how)]


@pytest.fixture
def spoken(add, run):
    """An item that was embedded: who speaks in it and a model's tags are known."""

    def one(speakers=(), tags=(), **fields):
        item = run.take(add(**fields))
        for step in STEPS[:-1]:
            item = run.land(item, step)
        told = {"speaker": list(speakers), "inferred": list(tags)}
        item = run.land(item, "embedding", facts={"suggested": told})
        run.catalog.release(run.id, [item.id])
        return item

    return one


def test_titles_tags_and_speakers_are_offered_by_any_of_their_words(catalog, spoken):
    spoken(title="The Red Bridge", tags=("bridges", "Work"), speakers=("Ann Bridger", "S1"))
    assert offered(catalog, "brid") == [("tag", "bridges"), ("title", "The Red Bridge"), ("speaker", "Ann Bridger")]
    assert offered(catalog, "BRIDGE")[0] == ("tag", "bridges")
    assert offered(catalog, "red br") == [("title", "The Red Bridge")]
    assert offered(catalog, "br red") == []
    assert offered(catalog, "ann") == [("speaker", "Ann Bridger")]
    assert offered(catalog, "wor") == [("tag", "Work")]
    for nothing in ("", " ", "!", "x", "bridgex"):
        assert offered(catalog, nothing) == []


def test_a_models_tags_are_offered_as_tags_and_the_same_text_once(catalog, spoken):
    for n in range(3):
        spoken(title=f"Talk {n}", tags=("budget",), speakers=("Ann",))
    spoken(title="Budget", tags=())
    assert offered(catalog, "budg") == [("tag", "budget"), ("title", "Budget")]
    assert offered(catalog, "ann") == [("speaker", "Ann")]


def test_what_begins_with_all_that_was_typed_comes_first(catalog, add):
    add(title="Alpha of the bridge")
    add(title="Bridge works")
    assert offered(catalog, "bridge")[0] == ("title", "Bridge works")


def test_titles_are_found_by_any_of_their_words(catalog, spoken, add):
    bridge = spoken(title="The Red Bridge", tags=("tunnel",), speakers=("Ann Bridge",))
    tunnel = add(title="Bridge to tunnel")
    add(title="bridge", owner="ann")
    both = {bridge.id: "The Red Bridge", tunnel.id: "Bridge to tunnel"}
    assert catalog.titles("local", "which BRIDGE?") == catalog.titles("local", "red tunnel") == both
    assert catalog.titles("local", "bridges tunne") == catalog.titles("local", "") == {}
    catalog.bury(bridge.id)
    assert catalog.titles("local", "red bridge") == {tunnel.id: "Bridge to tunnel"}


def test_of_a_word_of_very_many_titles_some_are_found(catalog):
    catalog.add([NewItem("local", f"file:{n}", "inbox", f"Meeting {n}") for n in range(100)])
    found = catalog.titles("local", "meeting 99")
    assert "Meeting 99" in found.values()
    assert len(found) <= suggested.TITLES + 1


def test_only_the_owners_own_are_offered(catalog, add):
    add(title="Bridge", owner="ann")
    assert offered(catalog, "bridge") == []
    assert offered(catalog, "bridge", owner="ann") == [("title", "Bridge")]


def test_a_change_is_offered_and_what_was_before_is_not(catalog, add):
    item = add(title="Bridge", tags=("old",))
    catalog.edit(item.id, title="Tunnel", tags=["new"])
    assert offered(catalog, "bridge") + offered(catalog, "old") == []
    assert offered(catalog, "tunn") + offered(catalog, "new") == [("title", "Tunnel"), ("tag", "new")]


def test_of_a_buried_item_nothing_is_offered_and_nothing_is_left(catalog, spoken, sql):
    item = spoken(title="Bridge", tags=("span",), speakers=("Ann",), origin="file:again")
    catalog.bury(item.id)
    assert [offered(catalog, word) for word in ("bridge", "span", "ann")] == [[], [], []]
    catalog.forget(item.id)
    assert sql("SELECT count(*) FROM suggestions") == 0
    catalog.add([NewItem("local", "file:again", "inbox", "Bridge")])
    assert offered(catalog, "bridge") == [("title", "Bridge")]


def test_an_address_is_no_title(catalog, add):
    add(title="https://bridge.example/x")
    assert offered(catalog, "bridge") == []


def test_a_tag_of_very_many_items_hides_nothing(catalog):
    catalog.add([NewItem("local", f"file:{n}", "inbox", f"x{n}", tags=("bridge",)) for n in range(500)])
    catalog.add([NewItem("local", "file:one", "inbox", "Bridgehead")])
    assert offered(catalog, "bridge") == [("tag", "bridge"), ("title", "Bridgehead")]
    many = catalog.suggest("local", "x", limit=10_000)
    assert len(many) == suggested.LONGEST


def test_odd_letters_are_no_trouble(catalog, add):
    add(title="a\0b \ud800 ﬁn% _x")
    assert offered(catalog, "ﬁn") == offered(catalog, "fin") != []
    assert offered(catalog, "%") == offered(catalog, "\0") == []
    assert offered(catalog, "x" * 300) == []


def test_what_there_was_before_this_table_is_offered_too(empty_url):
    engine = sa.create_engine(empty_url)
    titles = {"kept": {"title": "Bridge 0"}, "gone": {"title": "Bridge 1", "deleted_at": 1}}
    made_by(
        engine,
        "0007",
        {item_id: ({}, told) for item_id, told in titles.items()},
        item_tags=[{"item_id": "kept", "tag": "span", "owner": "local", "created_at": 0}],
        speakers=[{"item_id": "kept", "label": "S1", "name": "Ann Lee"}],
    )
    opened = SqlCatalog.open(empty_url, STEPS)
    assert [offered(opened, word) for word in ("bridge", "span", "lee")] == [
        [("title", "Bridge 0")],
        [("tag", "span")],
        [("speaker", "Ann Lee")],
    ]
    opened.close()
    engine.dispose()

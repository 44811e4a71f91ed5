"""Action items: kept with the step that found them, found again by later runs, listed over all items."""

from dataclasses import asdict, replace

import pytest

from nexus_pipeline.domain.errors import BadInput, LeaseLost, NotFound, StoreError
from nexus_pipeline.domain.states import State
from nexus_pipeline.domain.timeline import ActionItem

INVOICE = ActionItem(1, "Send the invoice to finance", "high", 8.0, "Anna must send the invoice.", "Anna")
CONTRACT = ActionItem(2, "Review the contract", "medium", 16.0, "Please review the contract.", None, "two hours")
REPORT = ActionItem(3, "Prepare the report", "low", 20.0, "I will prepare the report.")


@pytest.fixture
def found(catalog, run):
    """Lands an enrichment with these action items; those of the item then."""

    def land(item, *several):
        item = run.take(catalog.get(item.id))
        run.land(item, "enrichment", facts={"summary": "S", "action_items": [asdict(one) for one in several]})
        catalog.release(run.id, [item.id])
        return catalog.action_items(item.id)

    return land


def test_what_a_run_found_is_kept_with_its_step(catalog, add, found):
    item = add()
    assert catalog.action_items(item.id) == ()
    assert found(item, INVOICE, CONTRACT, REPORT) == (INVOICE, CONTRACT, REPORT)
    assert catalog.get(item.id).summary == "S"


def test_a_run_without_the_lease_keeps_nothing(catalog, add, run):
    item = run.take(add())
    catalog.begin(item, "enrichment", run.id, run.id)
    catalog.release(run.id, [item.id])
    with pytest.raises(LeaseLost):
        run.land(item, "enrichment", facts={"action_items": [asdict(INVOICE)]})
    assert catalog.action_items(item.id) == ()


def test_a_step_that_says_nothing_of_them_leaves_them(catalog, add, run, found):
    item = add()
    found(item, INVOICE)
    run.land(run.take(catalog.get(item.id)), "enrichment", State.FAILED)
    assert catalog.action_items(item.id) == (INVOICE,)


def test_a_person_changes_one_and_the_others_stay(catalog, add, found):
    item = add()
    found(item, INVOICE, CONTRACT)
    changed = catalog.change_action_item(item.id, 1, {"done": True, "assignee": None, "task": "Pay"})
    assert changed == replace(INVOICE, done=True, assignee=None, task="Pay")
    assert catalog.action_items(item.id) == (changed, CONTRACT)
    changes = [(c.kind, c.state) for c in catalog.changes(0, item_id=item.id)]
    assert changes[-1] == ("item", "changed")


def test_what_is_not_there_cannot_be_changed(catalog, add, found):
    item = add()
    found(item, INVOICE)
    with pytest.raises(NotFound, match="has no action item 7"):
        catalog.change_action_item(item.id, 7, {"done": True})
    with pytest.raises(NotFound, match="no item never"):
        catalog.change_action_item("never", 1, {"done": True})
    with pytest.raises(StoreError, match="at_s"):
        catalog.change_action_item(item.id, 1, {"at_s": 3.0})
    catalog.bury(item.id)
    with pytest.raises(NotFound):
        catalog.change_action_item(item.id, 1, {"done": True})


def test_of_what_was_enriched_before_the_first_change_brings_all(catalog, add):
    item = add()
    changed = catalog.change_action_item(item.id, 2, {"done": True}, seed=[INVOICE, CONTRACT])
    assert catalog.action_items(item.id) == (INVOICE, changed)
    again = catalog.change_action_item(item.id, 1, {"done": True}, seed=[REPORT])
    assert catalog.action_items(item.id) == (again, changed)


# ---------------------------------------------------------------- later runs


def test_a_run_that_finds_it_again_keeps_tick_changes_and_number(catalog, add, found):
    item = add()
    found(item, INVOICE, CONTRACT)
    catalog.change_action_item(item.id, 1, {"done": True})
    catalog.change_action_item(item.id, 2, {"task": "Read the contract aloud", "estimate": None})
    later = [
        ActionItem(1, "Review the contract before Monday", "high", 17.5, "Please review it."),
        ActionItem(2, "send invoice to the finance team", "low", 7.0, "Anna must send it.", "Anna Meyer"),
    ]
    assert found(item, *later) == (
        ActionItem(1, "send invoice to the finance team", "low", 7.0, "Anna must send it.", "Anna Meyer", done=True),
        ActionItem(2, "Read the contract aloud", "high", 17.5, "Please review it."),
    )
    assert found(item, INVOICE, CONTRACT)[1].task == "Read the contract aloud"


def test_what_is_not_found_again_goes_unless_a_person_touched_it(catalog, add, found):
    item = add()
    found(item, INVOICE, CONTRACT, REPORT)
    kept = catalog.change_action_item(item.id, 2, {"done": True})
    assert found(item) == (kept,)
    assert found(item, replace(REPORT, n=1)) == (kept, replace(REPORT, n=1))
    undone = catalog.change_action_item(item.id, 2, {"done": False})
    assert found(item) == (undone,)


def test_another_task_never_takes_a_number_that_somebody_may_have_seen(catalog, add, found):
    item = add()
    found(item, INVOICE, CONTRACT)
    other = ActionItem(1, "Water the garden", "medium", 90.0, "Remember to water the garden.")
    assert found(item, other) == (replace(other, n=3),)


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (("Send the invoice to finance", "low", 8.0), True),
        (("Send the invoice to finance", "low", 37.0), True),
        (("Send the invoice to finance", "low", 39.0), False),
        (("Invoice finance", "low", 8.0), True),
        (("Review the garden", "low", 8.0), False),
    ],
)
def test_the_same_promise_is_nearly_the_same_task_near_the_same_second(catalog, add, found, one, same):
    item = add()
    found(item, INVOICE)
    catalog.change_action_item(item.id, 1, {"done": True})
    after = found(item, ActionItem(1, *one, "said"))
    assert [one.done for one in after] == ([True] if same else [True, False])


def test_of_two_alike_each_is_found_again_as_itself(catalog, add, found):
    item = add()
    two = [
        replace(INVOICE, n=n, at_s=8.0 + n, task=f"Send the invoice to {who}") for n, who in ((1, "Anna"), (2, "Ben"))
    ]
    found(item, *two)
    catalog.change_action_item(item.id, 2, {"done": True})
    after = found(item, replace(two[1], n=1), replace(two[0], n=2))
    assert [(one.task.split()[-1], one.done) for one in after] == [("Anna", False), ("Ben", True)]


# ---------------------------------------------------------------- erasing


def test_they_go_with_their_item_and_are_counted(catalog, add, found, rows):
    item, other = add(), add()
    found(item, INVOICE, CONTRACT)
    found(other, REPORT)
    before = catalog_rows(catalog, item, rows)
    catalog.bury(item.id)
    assert catalog.forget(item.id) >= before
    assert rows("action_items") == 1
    add(origin=item.origin)
    assert catalog.action_items(item.id) == ()


def catalog_rows(catalog, item, rows):
    return rows("action_items", f"item_id = '{item.id}'")


def test_what_was_promised_leaves_the_catalogs_files(catalog, add, found, tmp_path, database):
    item = add()
    found(item, *(replace(INVOICE, n=n, at_s=100.0 * n, task=f"Feed the zyxquokka {n}") for n in range(1, 30)))
    catalog.change_action_item(item.id, 1, {"assignee": "tagpotoroo"})
    catalog.bury(item.id)
    catalog.forget(item.id)
    assert catalog.scrub()
    if database == "sqlite":
        files = [path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("catalog.sqlite")]
        assert not any(word in data for word in (b"zyxquokka", b"tagpotoroo") for data in files)


def test_the_copy_that_becomes_first_takes_over_what_people_did(catalog, add, found):
    first, copy, enriched = add(), add(), add()
    found(first, INVOICE, CONTRACT, REPORT)
    found(enriched, replace(REPORT, n=1, at_s=21.0))
    catalog.change_action_item(first.id, 1, {"done": True})
    catalog.change_action_item(first.id, 2, {"assignee": "Ben"})
    catalog.link(copy, first.id, 10.0)
    catalog.bury(first.id)
    assert catalog.action_items(copy.id) == (replace(CONTRACT, at_s=6.0, assignee="Ben"),)
    assert found(copy, replace(CONTRACT, n=1, at_s=6.0)) == (replace(CONTRACT, at_s=6.0, assignee="Ben"),)
    catalog.change_action_item(copy.id, 2, {"done": True})
    catalog.link(enriched, copy.id)
    catalog.bury(copy.id)
    [old, new] = catalog.action_items(enriched.id)
    assert (old.task, old.n, old.done) == (CONTRACT.task, 2, True)
    assert (new.task, new.n, new.done) == (REPORT.task, 1, False)


# ---------------------------------------------------------------- over all items


@pytest.fixture
def many(catalog, add, found):
    """Five items with three each; the second of each is done."""
    made = [add(title=f"Talk {n}") for n in range(5)]
    for item in made:
        found(item, INVOICE, CONTRACT, REPORT)
        catalog.change_action_item(item.id, 2, {"done": True})
    return made


def all_of(catalog, limit=4, **how):
    told, cursor = [], None
    while True:
        page = catalog.promises("local", limit=limit, cursor=cursor, **how)
        assert len(page.items) <= limit
        told += page.items
        cursor = page.next_cursor
        if cursor is None:
            return told


@pytest.mark.parametrize(("done", "numbers"), [(False, [3, 1]), (True, [2]), (None, [3, 2, 1])])
def test_a_listing_begins_with_the_newest_item(catalog, many, done, numbers):
    told = all_of(catalog, done=done)
    assert [(one.title, one.action_item.n) for one in told] == [
        (f"Talk {item}", n) for item in (4, 3, 2, 1, 0) for n in numbers
    ]
    assert told[0].item_id == many[4].id


def test_a_cursor_survives_what_is_ticked_meanwhile(catalog, many):
    page = catalog.promises("local", done=False, limit=4)
    catalog.change_action_item(many[4].id, 1, {"done": True})
    catalog.change_action_item(many[1].id, 1, {"done": True})
    rest = catalog.promises("local", done=False, limit=100, cursor=page.next_cursor)
    assert [(one.title, one.action_item.n) for one in rest.items] == [
        ("Talk 2", 3), ("Talk 2", 1), ("Talk 1", 3), ("Talk 0", 3), ("Talk 0", 1),
    ]  # fmt: skip
    assert rest.next_cursor is None


def test_only_the_owners_are_listed_and_none_of_what_is_buried(catalog, add, found, many):
    theirs = add(owner="ann")
    found(theirs, INVOICE)
    catalog.bury(many[0].id)
    assert {one.item_id for one in all_of(catalog)} == {item.id for item in many[1:]}
    assert [one.item_id for one in catalog.promises("ann").items] == [theirs.id]


def test_a_duplicates_are_told_once_of_its_first(catalog, many):
    catalog.link(many[3], many[1].id)
    assert {one.item_id for one in all_of(catalog)} == {item.id for item in many if item is not many[3]}


@pytest.mark.parametrize("cursor", ["", "x", "W10=", "WzEsIDIsIDNd", "bnVsbA==", "WzEsICIwXHUwMDAwIiwgM10="])
def test_a_cursor_that_is_none_is_refused(catalog, cursor):
    with pytest.raises(BadInput, match="begin without one"):
        catalog.promises("local", cursor=cursor)

"""Which items are one and the same."""

import pytest

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.errors import LeaseLost, StoreError
from nexus_pipeline.domain.fingerprints import Related
from nexus_pipeline.domain.states import ItemState, State


def _link(catalog, item, other, offset_s=0.0):
    return catalog.link(catalog.get(item.id), other.id, offset_s)


def _firsts(catalog, *items):
    return [catalog.get(i.id).duplicate_of for i in items]


def test_the_first_with_the_same_bytes_is_the_oldest_of_the_owner(catalog, add):
    a, b, c, theirs = add(), add(), add(), add(owner="b")
    for item in (c, b, a, theirs):
        catalog.fingerprinted(item, "d", [])
    assert catalog.first_of(c, "d").id == a.id
    assert catalog.first_of(a, "d").id == b.id
    assert catalog.first_of(theirs, "d") is None
    assert catalog.first_of(a, "e") is None
    catalog.bury(a.id)
    assert catalog.first_of(c, "d").id == b.id
    _link(catalog, c, b)
    assert catalog.first_of(b, "d") is None


def test_candidates_share_sub_fingerprints_within_the_owner(catalog, add):
    a, b, c, theirs = add(), add(), add(), add(owner="b")
    catalog.fingerprinted(a, "a", [1, 2, 3, 2**32 - 1, 2**28])
    catalog.fingerprinted(b, "b", [1, 2, 9])
    catalog.fingerprinted(c, "c", [9, 3])
    catalog.fingerprinted(theirs, "t", [1, 2, 3])
    # 9 is held by two, 1 and 2 by three
    assert catalog.candidates(a, [1, 2, 3, 9, 2**32 - 1]) == [(b.id, 3), (c.id, 2)]
    assert catalog.candidates(a, [1, 2, 3, 9], limit=1) == [(b.id, 3)]
    assert catalog.candidates(a, [1, 2, 3], least=1) == [(b.id, 2), (c.id, 1)]
    assert catalog.candidates(b, [2**32 - 1, 2**28]) == [(a.id, 2)]
    assert catalog.candidates(theirs, [1, 2, 3]) == []
    assert catalog.candidates(a, []) == []


def test_fingerprinting_again_replaces_what_was_there(catalog, add, rows):
    a, b = add(), add()
    catalog.fingerprinted(a, "a", range(1200))
    catalog.fingerprinted(a, "a2", [5000, 5001, 5000])
    assert catalog.get(a.id).digest == "a2"
    assert rows("postings") == 2
    assert catalog.candidates(b, range(1200)) == []
    assert catalog.candidates(b, range(6000)) == [(a.id, 2)]


def test_keys_that_many_items_hold_say_nothing(catalog, add):
    items = [add() for _ in range(202)]
    for n, item in enumerate(items):
        catalog.fingerprinted(item, "d", [7, 8, 1000 + n // 2, 2000 + n // 2])
    assert catalog.candidates(items[0], [7, 8, 1000, 2000]) == [(items[1].id, 2)]


def test_the_older_one_is_first_whoever_looks(catalog, add):
    old, young = add(), add()
    assert _link(catalog, old, young, 2.5) is None
    assert _firsts(catalog, old, young) == [None, old.id]
    assert catalog.get(young.id).duplicate_offset_s == -2.5
    old, young = add(), add()
    assert _link(catalog, young, old, 2.5).id == old.id
    assert catalog.get(young.id).duplicate_offset_s == 2.5
    assert [i.id for i in catalog.copies_of(old.id)] == [young.id]


def test_a_chain_of_duplicates_never_forms(catalog, add):
    a, b, c = add(), add(), add()
    _link(catalog, c, b, 1.0)
    assert _link(catalog, b, a, 2.0).id == a.id
    assert _firsts(catalog, a, b, c) == [None, a.id, a.id]
    assert catalog.get(c.id).duplicate_offset_s == 3.0
    d = add()
    assert _link(catalog, d, c, 0.5).id == a.id
    assert catalog.get(d.id).duplicate_offset_s == 3.5
    assert _link(catalog, d, b).id == a.id
    assert _link(catalog, a, d) is None


def test_two_that_find_each_other_agree(catalog, add):
    a, b = add(), add()
    assert _link(catalog, b, a).id == a.id
    assert _link(catalog, a, b) is None
    assert _firsts(catalog, a, b) == [None, a.id]


def test_what_the_younger_has_not_begun_is_skipped(catalog, add, run):
    old, young = add(), run.fails(run.through(add(), "fingerprint"), "transcript")
    _link(catalog, old, young)
    after = catalog.get(young.id)
    assert [s.state for s in after.steps] == ["done"] * 2 + ["skipped"] * len(STEPS[2:])
    assert {s.reason for s in after.steps[2:]} == {"duplicate"}
    assert after.state is ItemState.DUPLICATE


def test_what_the_younger_has_made_stays(catalog, add, run):
    old, young = add(), run.through(add())
    _link(catalog, old, young)
    assert {s.state for s in catalog.get(young.id).steps} == {State.DONE}
    assert catalog.get(young.id).state is ItemState.DUPLICATE


def test_an_item_unlinked_by_a_person_is_never_linked_again(catalog, add, run):
    old, young = run.through(add()), run.through(add(), "fingerprint")
    _link(catalog, old, young)
    (after,) = catalog.ask("unlink", [young.id])
    assert (after.unique, after.duplicate_of, after.state) == (True, None, ItemState.WAITING)
    assert [s.state for s in after.steps] == ["done"] * 2 + ["waiting"] * len(STEPS[2:])
    assert _link(catalog, old, young) is None
    assert _link(catalog, young, old) is None
    assert catalog.get(young.id).duplicate_of is None


def test_an_adopted_item_may_be_linked_again(catalog, add):
    old, young = add(), add()
    _link(catalog, old, young)
    (after,) = catalog.ask("adopt", [young.id])
    assert (after.unique, after.duplicate_of, after.state) == (False, None, ItemState.WAITING)
    assert _link(catalog, young, old).id == old.id


def test_when_the_first_is_buried_the_oldest_duplicate_takes_its_place(catalog, add, run):
    a, b, c = (run.through(add(), "fingerprint") for _ in range(3))
    _link(catalog, a, c, 5.0)
    _link(catalog, a, b, 2.0)
    catalog.bury(a.id)
    assert _firsts(catalog, b, c) == [None, b.id]
    assert catalog.get(c.id).duplicate_offset_s == -3.0
    assert catalog.get(b.id).state is ItemState.WAITING
    assert catalog.get(c.id).state is ItemState.DUPLICATE


def test_an_item_is_no_copy_of_itself(catalog, add):
    a = add()
    with pytest.raises(StoreError, match="itself"):
        catalog.link(a, a.id)


def test_what_was_deleted_meanwhile_is_related_to_nothing(catalog, add):
    a, b = add(), add()
    catalog.bury(a.id)
    assert catalog.link(b, a.id) is None
    with pytest.raises(LeaseLost):
        catalog.link(a, b.id)
    catalog.relate(b, [Related(a.id, "shared")], [a.id])
    with pytest.raises(LeaseLost):
        catalog.relate(a, [Related(b.id, "shared")], [b.id])
    assert catalog.related(b.id) == []
    assert _firsts(catalog, b) == [None]


def test_fingerprinting_a_duplicate_again_leaves_it_to_be_linked_anew(catalog, add, run):
    a, b = run.through(add()), run.through(add(), "fingerprint")
    _link(catalog, a, b)
    catalog.fingerprinted(b, "d", [1])
    assert (catalog.get(b.id).duplicate_of, catalog.get(b.id).state) == (None, ItemState.DONE)


def test_what_a_step_says_of_duplicates_does_not_undo_a_link(catalog, add, run):
    a, b = add(), run.take(add())
    _link(catalog, a, b, 2.0)
    item = run.land(b, "raw", facts={"digest": "d", "duplicate_of": None, "duplicate_offset_s": 0.0})
    assert (item.digest, item.duplicate_of, item.duplicate_offset_s) == ("d", a.id, -2.0)

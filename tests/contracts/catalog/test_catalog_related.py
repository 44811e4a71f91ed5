"""Which items share sound, seen from either side."""

import pytest

from nexus_pipeline.catalog import related
from nexus_pipeline.domain.errors import NotFound, StoreError
from nexus_pipeline.domain.fingerprints import Related, Stretch

HERE = Stretch(100.0, 110.0, 0.0, 10.0)
LATER = Stretch(400.0, 415.0, 20.0, 35.0)


@pytest.fixture
def lasting(add, run):
    """Adds an item of so many seconds, done up to its fingerprint."""

    def one(duration_s: float = 600.0, **fields):
        return run.through(add(**fields), "fingerprint", duration_s=duration_s)

    return one


def _relate(catalog, item, *found, compared=None):
    found = [x if isinstance(x, Related) else Related(x.id, "shared", (HERE,)) for x in found]
    compared = [x.other_id for x in found] if compared is None else [x.id for x in compared]
    catalog.relate(catalog.get(item.id), found, compared)


def _others(catalog, item, **limit):
    return [x.other_id for x in catalog.related(item.id, **limit)]


def test_what_two_share_is_told_from_the_side_that_asks(catalog, lasting, rows):
    long, short = lasting(), lasting(40.0)
    _relate(catalog, long, Related(short.id, "excerpt", (HERE, LATER), short.id))
    assert catalog.related(long.id) == [Related(short.id, "excerpt", (HERE, LATER), short.id)]
    assert catalog.related(short.id) == [Related(long.id, "excerpt", (HERE.turned, LATER.turned), short.id)]
    _relate(catalog, short, Related(long.id, "shared", (HERE.turned,)))
    assert catalog.related(long.id) == [Related(short.id, "shared", (HERE,))]
    assert rows("relations") == 1


def test_doing_it_again_changes_nothing_and_finding_less_takes_away(catalog, lasting, rows):
    a, b, c = lasting(), lasting(), lasting()
    for _ in range(2):
        _relate(catalog, a, b, c)
    assert rows("relations") == 2
    _relate(catalog, a, c, compared=[b, c])
    assert _others(catalog, a) == [c.id]
    assert _others(catalog, b) == []


def test_what_another_found_stays_unless_it_was_compared(catalog, lasting):
    a, b, c = lasting(), lasting(), lasting()
    _relate(catalog, b, a)
    _relate(catalog, a, c)
    assert set(_others(catalog, a)) == {b.id, c.id}
    _relate(catalog, a, compared=[b])
    assert _others(catalog, a) == [c.id]


def test_copies_come_first_then_excerpts_then_what_shares_most(catalog, lasting):
    a, copy, excerpt, much, little = (lasting() for _ in range(5))
    found = Related(little.id, "shared", (HERE,)), Related(much.id, "shared", (HERE, LATER))
    _relate(catalog, a, *found, Related(excerpt.id, "excerpt", (HERE,), excerpt.id))
    catalog.link(catalog.get(copy.id), a.id, 2.0)
    assert _others(catalog, a) == [copy.id, excerpt.id, much.id, little.id]
    assert _others(catalog, a, limit=2) == [copy.id, excerpt.id]
    assert _others(catalog, a, limit=None) == _others(catalog, a)
    # 600 s both, the copy lacks the first two
    assert catalog.related(a.id)[0].stretches == (Stretch(2.0, 600.0, 0.0, 598.0),)


def test_all_copies_know_each_other(catalog, lasting):
    a, b, c = lasting(), lasting(590.0), lasting(580.0)
    catalog.link(catalog.get(b.id), a.id, 10.0)
    catalog.link(catalog.get(c.id), b.id, 5.0)
    assert {x.other_id: x.stretches for x in catalog.related(c.id)} == {
        a.id: (Stretch(0.0, 580.0, 15.0, 595.0),),
        b.id: (Stretch(0.0, 580.0, 5.0, 585.0),),
    }
    assert {x.relation for x in catalog.related(c.id)} == {"duplicate"}


def test_a_copy_shares_what_its_first_shares_in_its_own_seconds(catalog, lasting):
    first, copy, other = lasting(), lasting(300.0), lasting()
    _relate(catalog, first, Related(other.id, "shared", (HERE, LATER)))
    catalog.link(catalog.get(copy.id), first.id, 50.0)
    told = {x.other_id: x for x in catalog.related(copy.id)}
    # the second stretch lies behind the copy's end
    assert told[other.id] == Related(other.id, "shared", (Stretch(50.0, 60.0, 0.0, 10.0),))
    assert _others(catalog, other) == [first.id]


def test_a_copy_of_what_is_related_is_told_as_its_first(catalog, lasting):
    item, first, copy = lasting(), lasting(), lasting()
    _relate(catalog, item, Related(copy.id, "excerpt", (HERE,), copy.id))
    catalog.link(catalog.get(copy.id), first.id, 7.0)
    assert catalog.related(item.id) == [Related(first.id, "excerpt", (Stretch(100.0, 110.0, 7.0, 17.0),), first.id)]
    _relate(catalog, item, compared=[first])
    assert catalog.related(item.id) == []


def test_when_the_first_is_buried_its_heir_shares_what_it_shared(catalog, lasting, rows):
    first, heir, other = lasting(), lasting(), lasting()
    _relate(catalog, other, Related(first.id, "excerpt", (HERE.turned,), first.id))
    catalog.link(catalog.get(heir.id), first.id, 50.0)
    catalog.bury(first.id)
    shared = Related(other.id, "excerpt", (Stretch(50.0, 60.0, 0.0, 10.0),), heir.id)
    assert catalog.related(heir.id) == [shared]
    catalog.forget(first.id)
    assert catalog.related(heir.id) == [shared]
    assert _others(catalog, other) == [heir.id]
    assert rows("relations", f"item_id = '{first.id}' OR other_id = '{first.id}'") == 0
    with pytest.raises(NotFound, match="no item"):
        catalog.related(first.id)


def test_an_item_kept_apart_shares_with_what_it_was_a_copy_of(catalog, lasting):
    first, copy, other = lasting(), lasting(), lasting()
    _relate(catalog, first, Related(other.id, "shared", (HERE,)))
    catalog.link(catalog.get(copy.id), first.id, 50.0)
    catalog.ask("unlink", [copy.id])
    told = {x.other_id: x for x in catalog.related(copy.id)}
    assert told[first.id] == Related(first.id, "shared", (Stretch(0.0, 550.0, 50.0, 600.0),))
    assert told[other.id].stretches == (Stretch(50.0, 60.0, 0.0, 10.0),)
    assert {x.relation for x in catalog.related(first.id)} == {"shared"}


def test_nothing_is_told_across_owners_or_of_what_was_erased(catalog, lasting):
    mine, theirs, gone = lasting(), lasting(owner="b"), lasting()
    _relate(catalog, mine, theirs, gone)
    assert _others(catalog, mine) == [gone.id]
    catalog.bury(gone.id)
    assert _others(catalog, mine) == []
    assert _others(catalog, theirs) == []


def test_an_intro_of_very_many_fills_no_list(catalog, lasting, monkeypatch, rows):
    monkeypatch.setattr(related, "MOST", 3)
    popular, *others = (lasting() for _ in range(6))
    for other in others:
        _relate(catalog, other, popular)
    assert len(catalog.related(popular.id)) == 3
    _relate(catalog, others[4], Related(popular.id, "excerpt", (HERE,), others[4].id))
    assert len(catalog.related(popular.id)) == 4
    _relate(catalog, others[3], *others[:3], others[4])
    assert rows("relations") == 7


def test_only_what_is_known_relates(catalog, lasting):
    a, b = lasting(), lasting()
    with pytest.raises(StoreError, match="cousin"):
        _relate(catalog, a, Related(b.id, "cousin"))


def test_a_jingle_of_many_does_not_hide_what_two_alone_share(catalog, add):
    one, other, *many = (add() for _ in range(100))
    for item in many:
        catalog.fingerprinted(item, "d", range(30))
    catalog.fingerprinted(other, "d", [5000, 5001])
    assert catalog.candidates(one, [*range(30), 5000, 5001], limit=1) == [(other.id, 2)]


def test_duplicates_are_no_candidates_their_first_is(catalog, add):
    item, first, copy = add(), add(), add()
    catalog.fingerprinted(first, "d", [1, 2])
    catalog.fingerprinted(copy, "d", [1, 2, 3])
    catalog.link(catalog.get(copy.id), first.id)
    assert catalog.candidates(item, [1, 2, 3]) == [(first.id, 3)]
    assert catalog.candidates(catalog.get(first.id), [1, 2, 3]) == []


def test_a_key_that_very_many_hold_is_posted_no_more(catalog, add, rows):
    for _ in range(203):
        catalog.fingerprinted(add(), "d", [7])
    assert rows("postings") == 201

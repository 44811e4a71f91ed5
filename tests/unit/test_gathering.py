"""A ranking as people read it."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.archive import gathering
from tests.passages import facts_of


def moments(*positions, item="a", kind="speech"):
    return [f"{item}:{kind}:{n}" for n in positions]


def merged(ranking, scores, gap_s=0.0):
    facts = facts_of(ranking, length_s=20.0, gap_s=gap_s)
    hits = gathering.merged(range(len(ranking)), np.array([scores[id_] for id_ in ranking]), facts)
    return [tuple(ranking[n] for n in hit) for hit in hits]


def moments_first(ranking):
    return [ranking[n] for n in gathering.moments_first(range(len(ranking)), facts_of(ranking))]


def test_neighbours_that_are_found_alike_are_one_hit_that_begins_with_the_first():
    ranking = moments(5, 9, 4, 20)
    scores = dict(zip(ranking, (1.0, 0.95, 0.93, 0.7), strict=True))
    assert merged(ranking, scores) == [
        ("a:speech:4", "a:speech:5"),
        ("a:speech:9",),
        ("a:speech:20",),
    ]


def test_what_is_found_much_worse_or_after_a_pause_stays_alone():
    ranking = moments(5, 4, 6)
    alone = [(id_,) for id_ in ranking]
    worse = {"a:speech:5": 1.0, "a:speech:4": 0.91, "a:speech:6": 0.92}
    assert merged(ranking, worse)[0] == ("a:speech:5", "a:speech:6")
    assert merged(ranking, dict.fromkeys(ranking, 1.0), gap_s=7) == alone
    assert merged(ranking, dict.fromkeys(ranking, -1.0)) == alone
    assert gathering.alone([2, 0]) == [(2,), (0,)]


def test_a_hit_has_three_passages_of_one_item_and_kind_at_most():
    ranking = [*moments(5, 4, 3, 2, 6), *moments(6, item="b"), *moments(5, kind="summary")]
    assert merged(ranking, dict.fromkeys(ranking, 1.0)) == [
        ("a:speech:3", "a:speech:4", "a:speech:5"),
        ("a:speech:2",),
        ("a:speech:6",),
        ("b:speech:6",),
        ("a:summary:5",),
    ]


@given(st.permutations(range(30)), st.lists(st.floats(-1, 1), min_size=30, max_size=30))
def test_every_passage_is_in_one_hit_and_the_best_of_each_keep_their_order(order, values):
    ranking = moments(*order)
    hits = merged(ranking, dict(zip(ranking, sorted(values, reverse=True), strict=True)))
    assert sorted(id_ for hit in hits for id_ in hit) == sorted(ranking)
    best = [min(hit, key=ranking.index) for hit in hits]
    assert best == sorted(best, key=ranking.index)
    assert all(len(hit) <= gathering.TOGETHER for hit in hits)
    assert all(int(b.rsplit(":")[-1]) - int(a.rsplit(":")[-1]) == 1 for hit in hits for a, b in pairwise(hit))


def test_a_summary_stands_behind_its_items_best_moment_where_that_is_near():
    summary = moments(0, kind="summary")
    assert moments_first([*summary, *moments(1, item="b"), *moments(3, 4)]) == [
        *moments(1, item="b"),
        *moments(3),
        *summary,
        *moments(4),
    ]
    others = moments(*range(gathering.NEAR_RANKS), item="b")
    far = [*summary, *others, *moments(3)]
    assert moments_first(far) == far
    assert moments_first([*summary, *moments(1, item="b")]) == [*summary, *moments(1, item="b")]


def test_hits_of_an_item_come_together_in_the_order_of_the_best():
    ids = [*moments(1), *moments(1, item="b"), *moments(2, 3, 4, 5)]
    first, second = gathering.grouped(gathering.alone(range(len(ids))), facts_of(ids))
    assert (first.hits, first.more) == (((0,), (2,), (3,)), 2)
    assert (second.hits, second.more) == (((1,),), 0)


def test_texts_that_overlap_are_said_once():
    assert gathering.joined(["One two.", "Three four."]) == ("One two. Three four.", [0, 9])
    assert gathering.joined(["one two three", "two three four"]) == ("one two three four", [0, 4])
    assert gathering.joined(["the end", "end of it"]) == ("the end end of it", [0, 8])
    assert gathering.joined(["alone"]) == ("alone", [0])

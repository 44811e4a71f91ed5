"""A ranking as people read it."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.archive import gathering


def moments(*positions, item="a", kind="speech"):
    return [f"{item}:{kind}:{n}" for n in positions]


def times(ids, length_s=20.0, gap_s=0.0):
    def at(id_):
        return int(id_.rsplit(":", 1)[1]) * (length_s + gap_s)

    return {id_: (at(id_), at(id_) + length_s) for id_ in ids}


def test_neighbours_that_are_found_alike_are_one_hit_that_begins_with_the_first():
    ranking = moments(5, 9, 4, 20)
    scores = dict(zip(ranking, (1.0, 0.95, 0.93, 0.7), strict=True))
    assert gathering.merged(ranking, scores, times(ranking)) == [
        ("a:speech:4", "a:speech:5"),
        ("a:speech:9",),
        ("a:speech:20",),
    ]


def test_what_is_found_much_worse_or_after_a_pause_stays_alone():
    ranking = moments(5, 4, 6)
    worse = {"a:speech:5": 1.0, "a:speech:4": 0.91, "a:speech:6": 0.92}
    assert gathering.merged(ranking, worse, times(ranking))[0] == ("a:speech:5", "a:speech:6")
    same = dict.fromkeys(ranking, 1.0)
    assert gathering.merged(ranking, same, times(ranking, gap_s=7)) == gathering.alone(ranking)
    below = dict.fromkeys(ranking, -1.0)
    assert gathering.merged(ranking, below, times(ranking)) == gathering.alone(ranking)


def test_a_hit_has_three_passages_of_one_item_and_kind_at_most():
    ranking = [*moments(5, 4, 3, 2, 6), *moments(6, item="b"), *moments(5, kind="summary")]
    same = dict.fromkeys(ranking, 1.0)
    assert gathering.merged(ranking, same, times(ranking)) == [
        ("a:speech:3", "a:speech:4", "a:speech:5"),
        ("a:speech:2",),
        ("a:speech:6",),
        ("b:speech:6",),
        ("a:summary:5",),
    ]


@given(st.permutations(range(30)), st.lists(st.floats(-1, 1), min_size=30, max_size=30))
def test_every_passage_is_in_one_hit_and_the_best_of_each_keep_their_order(order, values):
    ranking = moments(*order)
    scores = dict(zip(ranking, sorted(values, reverse=True), strict=True))
    hits = gathering.merged(ranking, scores, times(ranking))
    assert sorted(id_ for hit in hits for id_ in hit) == sorted(ranking)
    best = [min(hit, key=ranking.index) for hit in hits]
    assert best == sorted(best, key=ranking.index)
    assert all(len(hit) <= gathering.TOGETHER for hit in hits)
    assert all(int(b.rsplit(":")[-1]) - int(a.rsplit(":")[-1]) == 1 for hit in hits for a, b in pairwise(hit))


def test_a_summary_stands_behind_its_items_best_moment_where_that_is_near():
    summary = moments(0, kind="summary")
    assert gathering.moments_first([*summary, *moments(1, item="b"), *moments(3, 4)]) == [
        *moments(1, item="b"),
        *moments(3),
        *summary,
        *moments(4),
    ]
    others = moments(*range(gathering.NEAR_RANKS), item="b")
    far = [*summary, *others, *moments(3)]
    assert gathering.moments_first(far) == far
    assert gathering.moments_first([*summary, *moments(1, item="b")]) == [*summary, *moments(1, item="b")]


def test_hits_of_an_item_come_together_in_the_order_of_the_best():
    hits = [(id_,) for id_ in [*moments(1), *moments(1, item="b"), *moments(2, 3, 4, 5)]]
    first, second = gathering.grouped(hits)
    assert (first.item_id, first.hits, first.more) == ("a", (hits[0], hits[2], hits[3]), 2)
    assert (second.item_id, second.hits, second.more) == ("b", (hits[1],), 0)


def test_texts_that_overlap_are_said_once():
    assert gathering.joined(["One two.", "Three four."]) == ("One two. Three four.", [0, 9])
    assert gathering.joined(["one two three", "two three four"]) == ("one two three four", [0, 4])
    assert gathering.joined(["the end", "end of it"]) == ("the end end of it", [0, 8])
    assert gathering.joined(["alone"]) == ("alone", [0])

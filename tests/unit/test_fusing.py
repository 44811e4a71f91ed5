"""One ranking out of two: who is named, what stands around, which item has more of it."""

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from nexus_pipeline.archive import fusing
from nexus_pipeline.archive.fusing import DAYS_GAIN, NEIGHBOUR_GAIN, SPEAKER_GAIN, SUMMARY_GAIN, TIME_GAIN, TITLE_GAIN
from nexus_pipeline.domain.days import Days
from tests.passages import facts_of


def fused(words, meaning=(), question="anything", days=(), entitled=(), **columns):
    ids = list({**words, **dict(meaning)})
    sides = [np.array([dict(side).get(id_, 0.0) for id_ in ids]) for side in (words, meaning)]
    return told(ids, fusing.fused(question, *sides, facts_of(ids, **columns), days=days, entitled=entitled))


def around(scores):
    return told(scores, fusing.around(np.array([*scores.values()]), facts_of(scores)))


def told(ids, scores):
    return dict(zip(ids, scores.tolist(), strict=True))


def test_the_best_is_one_and_an_average_one_is_nothing_as_is_what_was_not_found():
    assert fusing.scaled(np.array([0.9, 0.5, np.nan, 0.3]), 0.5).tolist() == pytest.approx([1.0, 0.0, 0.0, -0.5])
    assert fusing.scaled(np.array([0.4, np.nan]), 0.5).tolist() == [0.0, 0.0]
    assert fusing.scaled(np.array([np.nan]), 0.0).tolist() == [0.0]
    assert fusing.scaled(np.array([]), 0.0).tolist() == []


def test_both_sides_weigh_alike_and_what_one_did_not_find_is_average():
    found = fused({"a:speech:0": 1.0, "b:speech:0": 0.5}, {"b:speech:0": 1.0})
    assert found == pytest.approx({"a:speech:0": 0.5, "b:speech:0": 0.75})


def test_neighbours_of_the_same_item_and_kind_give_a_share():
    places = ("a:speech:4", "a:speech:5", "a:speech:6", "a:summary:5", "b:speech:5", "a:speech:1000005")
    found = around(dict.fromkeys(places, 0.0) | {"a:speech:4": 0.5})
    assert found == pytest.approx(dict.fromkeys(places, 0.0) | {"a:speech:4": 0.5, "a:speech:5": 0.5 * NEIGHBOUR_GAIN})


def test_a_passage_between_two_gains_of_both():
    found = around({"a:speech:9": 0.5, "a:speech:10": 0.2, "a:speech:11": 0.3})
    assert found["a:speech:10"] == pytest.approx(0.2 + 0.8 * NEIGHBOUR_GAIN)


def test_what_is_below_average_gives_its_neighbours_nothing():
    assert around({"a:speech:4": -1.0, "a:speech:5": 0.0}) == {"a:speech:4": -1.0, "a:speech:5": 0.0}


def test_the_named_speaker_gains():
    found = fused(
        {"a:speech:0": 0.0, "b:speech:0": 0.0, "c:speech:0": 0.0},
        question="What did Ann Lee say?",
        speaker=["Tom Hill", "Ann Lee", None],
    )
    assert found["b:speech:0"] == pytest.approx(SPEAKER_GAIN)
    assert found["a:speech:0"] == found["c:speech:0"] == 0.0


def test_what_lies_where_the_question_says_gains():
    found = fused({"a:speech:0": 0.0, "a:speech:60": 0.0}, question="What came up around minute 10?")
    assert found["a:speech:60"] - found["a:speech:0"] == pytest.approx(TIME_GAIN)


def test_what_is_named_by_its_title_gains_as_surely_as_it_is():
    ids = {"a:speech:0": 0.0, "a:speech:9": 0.0, "b:speech:0": 0.0}
    found = fused(ids, entitled={"a": 0.8, "gone": 1.0})
    assert found == pytest.approx(ids | {"a:speech:0": 0.8 * TITLE_GAIN, "a:speech:9": 0.8 * TITLE_GAIN})


def test_what_came_when_the_question_says_gains_the_more_the_fewer_came_then():
    ids = {"a:speech:0": 0.0, "b:speech:0": 0.0, "c:speech:0": 0.0, "d:speech:0": 0.0}
    came = [datetime(2026, 3, day, 23, 59, tzinfo=UTC) for day in (1, 2, 3, 4)]
    days = [Days(date(2026, 3, 2), date(2026, 3, 2))]

    def told(days):
        return fused(ids, days=days, item_created_at=pa.array(came, pa.timestamp("us", "UTC")))

    assert told(days) == pytest.approx(ids | {"b:speech:0": 0.75 * DAYS_GAIN})
    found = told([*days, Days(date(2026, 3, 4), date(2026, 3, 9))])
    assert found == pytest.approx(ids | {"b:speech:0": 0.5 * DAYS_GAIN, "d:speech:0": 0.5 * DAYS_GAIN})
    assert told([Days(date(2026, 3, 1), date(2026, 3, 4))]) == told([]) == ids


def test_a_summary_comes_first_where_one_is_asked_for_and_last_where_a_moment_is():
    both = {"a:speech:0": 0.5, "a:summary:0": 0.5}
    moment, summary = (fused(both, question=told) for told in ("the new bridge", "a summary of the new bridge"))
    assert moment["a:summary:0"] == pytest.approx(0.25 - SUMMARY_GAIN)
    assert moment["a:speech:0"] > moment["a:summary:0"]
    assert summary["a:speech:0"] < summary["a:summary:0"]


def test_nothing_found_is_nothing():
    none = facts_of([])
    assert len(fusing.fused("what", np.array([]), np.array([]), none)) == len(fusing.around(np.array([]), none)) == 0
    assert fusing.ranked(np.array([]), none).tolist() == fusing.spread([], none) == []


def test_equal_scores_stand_in_the_same_order_wherever_the_rows_lie():
    ids = ["b:speech:0", "a:summary:0", "a:speech:10", "a:speech:9"]
    for order in (ids, ids[::-1], ids[2:] + ids[:2]):
        ranking = fusing.ranked(np.array([1.0 if id_ == "b:speech:0" else 0.5 for id_ in order]), facts_of(order))
        assert [order[n] for n in ranking] == ["b:speech:0", "a:speech:9", "a:speech:10", "a:summary:0"]


def test_a_direct_neighbour_of_a_better_one_goes_behind():
    ids = ["a:speech:5", "a:speech:6", "a:speech:4", "a:speech:7", "b:speech:6"]
    spread = fusing.spread(range(5), facts_of(ids))
    assert [ids[n] for n in spread] == ["a:speech:5", "a:speech:7", "b:speech:6", "a:speech:6", "a:speech:4"]

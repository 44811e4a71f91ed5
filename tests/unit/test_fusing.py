"""One ranking out of two: who is named, what stands around, which item has more of it."""

import pyarrow as pa
import pytest

from nexus_pipeline.archive import fusing
from nexus_pipeline.archive.fusing import NEIGHBOUR_GAIN, SPEAKER_GAIN, SUMMARY_GAIN, TIME_GAIN


def fused(words, meaning=(), question="anything", **columns):
    meaning = dict(meaning)
    found = fusing.ids(words, meaning)
    told = {
        "kind": [id_.split(":")[1] for id_ in found],
        "speaker": pa.array([None] * len(found), pa.utf8()),
        "start_s": [10.0 * int(id_.split(":")[2]) for id_ in found],
        "end_s": [10.0 * int(id_.split(":")[2]) + 10 for id_ in found],
        **columns,
    }
    return fusing.fused(question, words, meaning, pa.table(told))


def test_both_sides_weigh_alike_and_what_one_did_not_find_is_average():
    found = fused({"a:speech:0": 1.0, "b:speech:0": 0.5}, {"b:speech:0": 1.0})
    assert found == pytest.approx({"a:speech:0": 0.5, "b:speech:0": 0.75})


def test_neighbours_of_the_same_item_and_kind_give_a_share():
    places = ("a:speech:4", "a:speech:5", "a:speech:6", "a:summary:5", "b:speech:5", "a:speech:1000005")
    found = fusing.around(dict.fromkeys(places, 0.0) | {"a:speech:4": 0.5})
    assert found == pytest.approx(dict.fromkeys(places, 0.0) | {"a:speech:4": 0.5, "a:speech:5": 0.5 * NEIGHBOUR_GAIN})


def test_a_passage_between_two_gains_of_both():
    found = fusing.around({"a:speech:9": 0.5, "a:speech:10": 0.2, "a:speech:11": 0.3})
    assert found["a:speech:10"] == pytest.approx(0.2 + 0.8 * NEIGHBOUR_GAIN)


def test_what_is_below_average_gives_its_neighbours_nothing():
    assert fusing.around({"a:speech:4": -1.0, "a:speech:5": 0.0}) == {"a:speech:4": -1.0, "a:speech:5": 0.0}


def test_the_named_speaker_gains():
    found = fused(
        {"a:speech:0": 0.0, "b:speech:0": 0.0, "c:speech:0": 0.0},
        question="What did Ann Lee say?",
        speaker=pa.chunked_array([["Tom Hill", "Ann Lee", None]]),
    )
    assert found["b:speech:0"] == pytest.approx(SPEAKER_GAIN)
    assert found["a:speech:0"] == found["c:speech:0"] == 0.0


def test_what_lies_where_the_question_says_gains():
    found = fused({"a:speech:0": 0.0, "a:speech:60": 0.0}, question="What came up around minute 10?")
    assert found["a:speech:60"] - found["a:speech:0"] == pytest.approx(TIME_GAIN)


def test_a_summary_comes_first_where_one_is_asked_for_and_last_where_a_moment_is():
    both = {"a:speech:0": 0.5, "a:summary:0": 0.5}
    moment, summary = (fused(both, question=told) for told in ("the new bridge", "a summary of the new bridge"))
    assert moment["a:summary:0"] == pytest.approx(0.25 - SUMMARY_GAIN)
    assert moment["a:speech:0"] > moment["a:summary:0"]
    assert summary["a:speech:0"] < summary["a:summary:0"]


def test_nothing_found_is_nothing():
    assert fusing.fused("what", {}, {}, pa.table({})) == fusing.around({}) == {}


def test_a_direct_neighbour_of_a_better_one_goes_behind():
    ranking = ["a:speech:5", "a:speech:6", "a:speech:4", "a:speech:7", "b:speech:6"]
    assert fusing.spread(ranking, 3) == ["a:speech:5", "a:speech:7", "b:speech:6"]
    assert fusing.spread(ranking, 5) == ["a:speech:5", "a:speech:7", "b:speech:6", "a:speech:6", "a:speech:4"]

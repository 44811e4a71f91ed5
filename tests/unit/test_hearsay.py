"""Times that a model says: believed where they can be true, else made from the text; no word is lost to them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.engines.hearsay import LETTERS_A_S, Said, placed

WORDS = ["The old piano is behind the red door.", "They will clean the oven.", "A small comet was near the moon."]


def said(*times, texts=WORDS):
    return [Said(start, end, text) for (start, end), text in zip(times, texts, strict=False)]


def spans(found):
    return [(round(one.start_s, 2), round(one.end_s, 2)) for one in found]


def test_times_that_can_be_true_are_kept():
    assert spans(placed(said((1.0, 4.0), (4.5, 6.0), (8.0, 11.5)), 12.0)) == [(1.0, 4.0), (4.5, 6.0), (8.0, 11.5)]


def test_an_end_is_cut_where_the_next_begins_and_where_the_piece_ends():
    assert spans(placed(said((1.0, 5.0), (4.5, 6.0), (8.0, 12.6)), 12.0)) == [(1.0, 4.5), (4.5, 6.0), (8.0, 12.0)]


def test_one_that_is_out_of_order_is_placed_between_its_neighbours():
    assert spans(placed(said((1.0, 4.0), (900.0, 901.0), (8.0, 11.5)), 12.0)) == [(1.0, 4.0), (4.0, 8.0), (8.0, 11.5)]
    assert spans(placed(said((170.0, 174.0), (4.5, 6.0), (8.0, 11.5)), 180.0))[0] == (0.0, 4.5)


@pytest.mark.parametrize(
    "times", [[(0, 0)] * 3, [(5, 4)] * 3, [(-3, -1)] * 3, [(0.01, 0.02), (0.03, 0.04), (0.05, 0.06)]]
)
def test_times_that_say_nothing_are_replaced_by_the_texts_share(times):
    found = placed(said(*times), 12.0)
    assert [one.text for one in found] == WORDS
    assert (found[0].start_s, found[-1].end_s) == (0.0, 12.0)
    assert all(a.end_s == pytest.approx(b.start_s) for a, b in pairwise(found))


def test_a_clock_that_ran_fast_loses_no_words():
    """The last ones leave the piece."""
    times = [(n * 6.0, n * 6.0 + 6.0) for n in range(10)]
    texts = [f"This is sentence number {n}." for n in range(10)]
    found = placed(said(*times, texts=texts), 40.0)
    assert [one.text for one in found] == texts
    assert found[-1].end_s == pytest.approx(40.0)


def test_what_could_not_be_said_in_the_time_is_dropped():
    loop = ["So it is. " * 20] * 50
    found = placed(said((0.0, 3.0), *[(3.0, 3.0)] * 50, texts=[WORDS[0], *loop]), 6.0)
    assert [one.text for one in found] == [WORDS[0]]


def test_nothing_but_blanks_is_nothing():
    assert placed(said((0.0, 1.0), (1.0, 2.0), texts=["", "  "]), 3.0) == []


times = st.one_of(st.floats(-10, 400), st.sampled_from([float("nan"), float("inf"), 0.0]))


@given(st.lists(st.builds(Said, times, times, st.text("ab .", max_size=60)), max_size=12), st.floats(0.1, 300))
def test_whatever_a_model_says_the_times_are_possible(told, length_s):
    found = placed(told, length_s)
    assert all(0 <= one.start_s < one.end_s <= length_s + 1e-6 for one in found)
    assert all(a.end_s <= b.start_s + 1e-6 for a, b in pairwise(found))
    texts = [one.text.strip() for one in told if one.text.strip()]
    if sum(map(len, texts)) <= LETTERS_A_S * length_s:
        assert [one.text for one in found] == texts

"""The measures of bench-diarize, on cases that one can reckon by hand."""

import pytest

from bench.der import der, names_of, wrong_words

TRUTH = [(0.0, 10.0, "A"), (10.0, 20.0, "B")]


def test_what_is_found_as_it_is_has_no_error_whatever_it_is_called():
    assert der(TRUTH, [(0, 10, "x"), (10, 20, "y")], 20) == 0
    assert der(TRUTH, [(0.2, 10.2, "y"), (10.2, 19.9, "x")], 20) == 0


def test_everything_missed_confused_or_false_counts():
    assert der(TRUTH, [], 20) == 1
    assert der(TRUTH, [(0, 20, "x")], 20, collar_s=0) == pytest.approx(0.5)
    assert der(TRUTH, [*TRUTH, (0, 5, "z")], 20, collar_s=0) == pytest.approx(0.25)
    assert der([(0, 10, "A"), (5, 10, "B")], [(0, 10, "x")], 10, collar_s=0) == pytest.approx(5 / 15)


def test_the_collar_counts_nothing_around_the_boundaries_of_the_truth():
    assert der(TRUTH, [(0, 10.5, "x"), (10.5, 20, "y")], 20, collar_s=0.25) == pytest.approx(0.25 / 19)


def test_words_are_compared_where_both_have_them():
    assert names_of(TRUTH, [(0, 10, "x"), (10, 20, "y")]) == {"x": "A", "y": "B"}
    truth = [("One", "A"), ("two,", "A"), ("three", "B"), ("four", "B")]
    found = [("one", "x"), ("too", "x"), ("three", "x"), ("four.", "y")]
    assert wrong_words(truth, found, {"x": "A", "y": "B"}) == (1, 3)

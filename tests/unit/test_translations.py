"""Languages that are the same, and words laid over segments by time."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.domain.timeline import Segment, Word
from nexus_pipeline.domain.translations import closest, laid, same


def said(*spans, texts=None):
    return tuple(
        Segment(10 + n, start, end, texts[n] if texts else f"said {n}", "A", (Word(start, end, "said"),))
        for n, (start, end) in enumerate(spans)
    )


def told(*lines):
    return [Segment(0, start, end, text) for start, end, text in lines]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("en", "en", True),
        ("en", "EN-gb", True),
        ("pt_BR", "pt", True),
        ("en", "de", False),
        (None, "de", False),
        (None, None, False),
        ("", "", False),
    ],
)
def test_codes_name_one_language_or_two(one, other, expected):
    assert same(one, other) is expected
    assert same(other, one) is expected


def test_the_wanted_code_comes_before_another_of_its_language():
    assert closest("pt-BR", ["en", "pt", "pt-br"]) == "pt-br"
    assert closest("pt-BR", ["en", "pt"]) == "pt"
    assert closest("de", ["en", "pt"]) is None


def test_segments_keep_all_but_their_words():
    [first, second] = laid(told((0.1, 1.9, "Guten Tag."), (2.2, 4.0, "Wie geht es?")), said((0, 2), (2, 4)))
    assert (first.id, first.start_s, first.end_s, first.speaker, first.words) == (10, 0, 2, "A", ())
    assert (first.text, second.text) == ("Guten Tag.", "Wie geht es?")


def test_what_lies_mostly_over_one_segment_is_not_torn():
    assert [s.text for s in laid(told((0, 4.4, "all of it belongs here")), said((0, 4), (4, 8)))] == [
        "all of it belongs here",
        "",
    ]


def test_what_was_told_in_one_is_laid_over_several_word_by_word():
    segments = laid(told((0, 6, "aa bb cc dd ee ff")), said((0, 2), (2, 4), (4, 6)))
    assert [s.text for s in segments] == ["aa bb", "cc dd", "ee ff"]


def test_what_was_told_in_several_comes_together_in_order():
    assert [s.text for s in laid(told((0, 1, "one"), (1, 2, "two"), (2, 3, "three")), said((0, 3)))] == [
        "one two three"
    ]


def test_what_was_told_over_nothing_goes_to_the_nearest():
    segments = laid(told((2.1, 2.4, "before"), (8.5, 9.5, "after"), (50, 51, "late")), said((0, 2), (10, 12)))
    assert [s.text for s in segments] == ["before", "after late"]


def test_over_no_segments_nothing_is_laid():
    assert laid(told((0, 1, "one")), ()) == ()


_steps = st.lists(st.tuples(st.floats(0, 5), st.floats(0, 8)), max_size=12)


def _spans(steps):
    ends = accumulate(gap + long for gap, long in steps)
    return [(end - long, end) for (_, long), end in zip(steps, ends, strict=True)]


@given(_steps, _steps.filter(bool))
def test_every_word_is_kept_once_and_in_order(lines, segments):
    words = iter(f"w{n}" for n in range(1000))
    lines = told(*((a, b, f"{next(words)} {next(words)} {next(words)}") for a, b in _spans(lines)))
    over = said(*_spans(segments))
    found = laid(lines, over)
    assert [s.id for s in found] == [s.id for s in over]
    assert [(s.start_s, s.end_s) for s in found] == [(s.start_s, s.end_s) for s in over]
    assert " ".join(s.text for s in found).split() == " ".join(s.text for s in lines).split()

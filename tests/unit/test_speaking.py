"""Turns laid over words and segments."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.domain.speaking import Turn, joined, laid
from nexus_pipeline.domain.timeline import Coverage, Segment, Transcript, Word


def transcript(*segments, speakers=None):
    return Transcript("en", "x", tuple(segments), Coverage(0, 0), speakers or {})


def segment(text, start_s, end_s, *, timed=True, speaker=None):
    """Words of equal length, one after the other."""
    pieces = text.split()
    each = (end_s - start_s) / len(pieces)
    words = [Word(start_s + n * each, start_s + (n + 1) * each, f" {piece}") for n, piece in enumerate(pieces)]
    return Segment(7, start_s, end_s, text, speaker, tuple(words) if timed else ())


def said(found):
    return [(s.speaker, s.text) for s in found.segments]


def test_without_turns_and_names_a_transcript_is_as_it_was():
    before = transcript(segment("one two", 0, 2))
    assert laid(before, (), {}) is before


def test_a_segment_of_one_speaker_keeps_its_words_and_gets_a_label():
    [found] = laid(transcript(segment("one two three", 0, 3)), [Turn(0, 3, "S1")], {}).segments
    assert (found.speaker, found.text, found.id, len(found.words)) == ("S1", "one two three", 0, 3)


def test_a_segment_is_cut_between_words_where_the_speaker_changes():
    turns = [Turn(0, 2.4, "S1"), Turn(2.4, 6, "S2")]
    found = laid(transcript(segment("Yes, it is. No, never, ever.", 0, 6)), turns, {})
    assert said(found) == [("S1", "Yes, it"), ("S2", "is. No, never, ever.")]
    assert [s.id for s in found.segments] == [0, 1]
    assert [(s.start_s, s.end_s) for s in found.segments] == [(0, 2), (2, 6)]


def test_a_word_goes_to_whoever_has_most_of_it():
    turns = [Turn(0, 1.6, "S1"), Turn(1.6, 4, "S2")]
    assert said(laid(transcript(segment("a b c d", 0, 4)), turns, {})) == [("S1", "a b"), ("S2", "c d")]


def test_where_two_speak_at_once_the_one_who_spoke_goes_on():
    turns = [Turn(0, 3, "S1"), Turn(2, 5, "S2")]
    assert said(laid(transcript(segment("a b c d e", 0, 5)), turns, {})) == [("S1", "a b c"), ("S2", "d e")]


def test_words_in_nobodys_turn_go_with_the_others():
    turns = [Turn(1, 2, "S1"), Turn(4, 5, "S2")]
    found = laid(transcript(segment("a b c d e f", 0, 6)), turns, {})
    assert said(found) == [("S1", "a b c d"), ("S2", "e f")]


def test_a_segment_near_a_turn_is_that_speakers_and_one_far_away_nobodys():
    turns = [Turn(10, 12, "S1")]
    found = laid(transcript(segment("near", 8.5, 9.5), segment("far", 20, 21)), turns, {})
    assert [s.speaker for s in found.segments] == ["S1", None]


def test_without_times_of_words_the_majority_has_the_segment():
    turns = [Turn(0, 4.2, "S1"), Turn(4.2, 5, "S2")]
    assert said(laid(transcript(segment("a b c d e", 0, 5, timed=False)), turns, {})) == [("S1", "a b c d e")]


def test_without_times_of_words_what_is_clearly_two_is_cut_at_the_sentences_end():
    turns = [Turn(0, 2.9, "S1"), Turn(3.1, 6.4, "S2")]
    found = laid(transcript(segment("Are you sure of it? Yes, quite sure.", 0, 6.5, timed=False)), turns, {})
    assert said(found) == [("S1", "Are you sure of it?"), ("S2", "Yes, quite sure.")]
    assert all(s.words == () for s in found.segments)
    assert found.segments[0].end_s == pytest.approx(2.9)
    assert found.segments[1].start_s == pytest.approx(3.1)


def test_words_that_do_not_spell_the_text_are_not_used():
    odd = Segment(0, 0.0, 5.0, "five six", None, (Word(0, 0.9, "fife"), Word(0.9, 5, "six")))
    turns = [Turn(0, 0.9, "S1"), Turn(0.9, 5, "S2")]
    assert said(laid(transcript(odd), turns, {})) == [("S2", "five six")]


def test_a_script_without_spaces_is_cut_too():
    words = tuple(Word(n, n + 1, character) for n, character in enumerate("今日は晴天"))
    turns = [Turn(0, 3, "S1"), Turn(3, 5, "S2")]
    assert said(laid(transcript(Segment(0, 0, 5, "今日は晴天", None, words)), turns, {})) == [
        ("S1", "今日は"),
        ("S2", "晴天"),
    ]


def test_what_the_transcript_says_of_its_speakers_stays():
    own = transcript(segment("a b", 0, 2, speaker="Anna"), speakers={"Anna": "Anna Bell"})
    found = laid(own, [Turn(0, 2, "S1")], {"Anna": "Dr Bell", "S9": "Nobody"})
    assert [s.speaker for s in found.segments] == ["Anna"]
    assert found.speakers == {"Anna": "Dr Bell"}


def test_everybody_who_speaks_is_listed_with_their_name_or_label():
    turns = [Turn(0, 1, "S2"), Turn(1, 2, "S1")]
    found = laid(transcript(segment("a", 0, 1), segment("b", 1, 2)), turns, {"S1": "Mia"})
    assert found.speakers == {"S2": "S2", "S1": "Mia"}


def test_turns_of_one_speaker_are_joined_over_a_short_silence():
    turns = [Turn(3, 4, "a"), Turn(0, 1, "a"), Turn(1.4, 2, "a"), Turn(1.1, 1.2, "b")]
    assert joined(turns, 0.5) == (Turn(0, 2, "a"), Turn(1.1, 1.2, "b"), Turn(3, 4, "a"))


seconds = st.floats(0, 100, allow_nan=False).map(lambda x: round(x, 2))
spans = st.tuples(seconds, st.floats(0.05, 20)).map(lambda p: (p[0], p[0] + p[1]))
texts = st.lists(st.sampled_from(["yes", "no.", "Perhaps,", "x", "晴天", "end!"]), min_size=1, max_size=12).map(
    " ".join
)


@given(
    st.lists(st.tuples(texts, spans, st.booleans()), max_size=6),
    st.lists(st.tuples(spans, st.sampled_from(["S1", "S2", "S3"])), max_size=12),
)
def test_nothing_is_lost_or_moved_whoever_speaks(segments, turns):
    before = transcript(*(segment(text, *span, timed=timed) for text, span, timed in segments))
    found = laid(before, [Turn(*span, who) for span, who in turns], {})
    assert "".join("".join(s.text.split()) for s in found.segments) == "".join(
        "".join(s.text.split()) for s in before.segments
    )
    assert [w for s in found.segments for w in s.words] == [w for s in before.segments for w in s.words]
    if turns:
        assert [s.id for s in found.segments] == list(range(len(found.segments)))
    for s in found.segments:
        assert s.text
        assert s.text == s.text.strip()
        assert s.start_s <= s.end_s
        assert "".join("".join(w.text.split()) for w in s.words) in ("", "".join(s.text.split()))


@given(texts, spans, st.lists(st.tuples(spans, st.sampled_from(["S1", "S2"])), min_size=1, max_size=6))
def test_every_word_that_somebody_says_alone_is_theirs(text, span, turns):
    turns = [Turn(*one, who) for one, who in turns]
    found = laid(transcript(segment(text, *span)), turns, {})
    for s in found.segments:
        for word in s.words:
            there = {t.speaker for t in turns if t.start_s < word.end_s and t.end_s > word.start_s}
            if len(there) == 1:
                assert s.speaker in there
    assert all(a.speaker != b.speaker for a, b in pairwise(found.segments))

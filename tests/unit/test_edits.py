"""What people wrote over a transcript, over the one in which they wrote it and over others of the same sound."""

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nexus_pipeline.domain.edits import Edit, Wish, lay, told, without_empty
from nexus_pipeline.domain.timeline import Coverage, Segment, Transcript, Word


def transcript(*segments):
    return Transcript("en", "x", tuple(replace(s, id=n) for n, s in enumerate(segments)), Coverage(0, 0))


def segment(text, start_s, end_s, *, timed=True, speaker=None):
    """Words of equal length, one after the other, as Whisper writes them."""
    parts = text.split()
    each = (end_s - start_s) / max(len(parts), 1)
    words = [Word(start_s + n * each, start_s + (n + 1) * each, f" {part}") for n, part in enumerate(parts)]
    return Segment(0, start_s, end_s, text, speaker, tuple(words) if timed else ())


def texts(laid):
    return [s.text for s in laid.transcript.segments]


def edit(over, n, new, number=1):
    """As a person writes it over a segment."""
    s = over.segments[n]
    return Edit(s.start_s, s.end_s, "text", s.text, new, number)


HEARD = transcript(
    segment("The old piano stands", 0, 4), segment("behind a door of would.", 4, 9), segment("Nobody plays it.", 10, 13)
)


def test_without_edits_a_transcript_is_as_it_was():
    assert lay(HEARD, []).transcript is HEARD


def test_the_word_of_a_person_stands_in_its_segment_and_nowhere_else():
    laid = lay(HEARD, [edit(HEARD, 1, "behind a door of wood.")])
    assert texts(laid) == ["The old piano stands", "behind a door of wood.", "Nobody plays it."]
    assert laid.by_segment == {1: (1,)}
    assert [s.edited for s in laid.transcript.segments] == [False, True, False]
    assert laid.transcript.segments[0] is HEARD.segments[0]
    assert laid.transcript.segments[2] is HEARD.segments[2]


def test_words_that_the_person_left_keep_their_times_and_new_ones_have_those_of_what_they_replace():
    [_, before, _] = HEARD.segments
    [_, after, _] = lay(HEARD, [edit(HEARD, 1, "behind the red door of wood.")]).transcript.segments
    kept = {w.text.strip(): w for w in before.words}
    now = {w.text.strip(): w for w in after.words}
    assert {name: now[name] for name in ("behind", "door", "of")} == {n: kept[n] for n in ("behind", "door", "of")}
    assert (now["the"].start_s, now["red"].end_s) == (kept["a"].start_s, kept["a"].end_s)
    assert (now["wood."].start_s, now["wood."].end_s) == (kept["would."].start_s, kept["would."].end_s)
    assert (after.id, after.start_s, after.end_s, after.speaker) == (1, 4, 9, None)


def test_a_word_that_was_not_heard_lies_in_the_silence_between_its_neighbours():
    words = (Word(0, 1, "one"), Word(3, 4, "three"))
    heard = transcript(Segment(0, 0, 5, "one three", None, words))
    [found] = lay(heard, [Edit(0, 5, "text", "one three", "one two three four", 1)]).transcript.segments
    assert [(w.text, w.start_s, w.end_s) for w in found.words] == [
        ("one", 0, 1), ("two", 1, 3), ("three", 3, 4), ("four", 4, 5),
    ]  # fmt: skip


def test_a_word_that_is_put_in_does_not_begin_before_the_one_in_front_of_it_ends():
    heard = transcript(Segment(0, 0, 1, "piano", None, (Word(0.43, 0.93, "piano"),)))
    assert 0.43 + (0.93 - 0.43) < 0.93, "what rounding does to these"
    [found] = lay(heard, [Edit(0, 1, "text", "piano", "piano stands", 1)]).transcript.segments
    assert [(w.text, w.start_s, w.end_s) for w in found.words] == [("piano", 0.43, 0.93), ("stands", 0.93, 1)]


def test_of_what_no_engine_timed_no_word_gets_a_time():
    heard = transcript(segment("one too three", 0, 3, timed=False))
    [found] = lay(heard, [edit(heard, 0, "one two three")]).transcript.segments
    assert (found.text, found.words) == ("one two three", ())


def test_what_a_person_emptied_is_there_to_be_written_again_and_nobody_else_reads_it():
    laid = lay(HEARD, [edit(HEARD, 1, "")])
    assert texts(laid) == ["The old piano stands", "", "Nobody plays it."]
    assert laid.transcript.segments[1].words == ()
    assert [s.id for s in without_empty(laid.transcript).segments] == [0, 2]
    assert texts(lay(HEARD, [edit(HEARD, 1, ""), edit(HEARD, 1, "behind it.", 2)]))[1] == "behind it."


# ---------------------------------------------------------------- another transcript of the same sound


def test_cut_elsewhere_exactly_the_words_of_the_span_are_replaced():
    wrote = edit(HEARD, 1, "behind a gate of wood.")
    again = transcript(
        segment("The old piano", 0.1, 3.05), segment("stands behind a door", 3.05, 7.1),
        segment("of would. Nobody", 7.1, 11), segment("plays it.", 11, 13),
    )  # fmt: skip
    laid = lay(again, [wrote])
    assert texts(laid) == ["The old piano", "stands behind a gate", "of wood. Nobody", "plays it."]
    assert laid.by_segment == {1: (1,), 2: (1,)}


def test_words_that_slipped_over_the_spans_end_are_known_by_the_text_that_was_there():
    wrote = edit(HEARD, 1, "behind a door of wood.")
    slipped = transcript(
        segment("The old piano stands behind", 0, 3.9), segment("a door of would. Nobody plays it.", 4.4, 9)
    )
    assert texts(lay(slipped, [wrote])) == ["The old piano stands behind", "a door of wood. Nobody plays it."]


def test_another_engine_that_heard_it_in_another_way_does_not_overwrite_it():
    wrote = edit(HEARD, 1, "behind a door of wood.")
    other = transcript(segment("The old piano stands", 0.05, 3.9), segment("be hind the doors of good,", 4.1, 9.05))
    assert texts(lay(other, [wrote])) == ["The old piano stands", "behind a door of wood."]


def test_nothing_changes_where_it_is_heard_as_the_person_wrote_it():
    wrote = edit(HEARD, 1, "behind a door of wood.")
    right = transcript(segment("The old piano stands behind", 0, 5), segment("a door of wood. Nobody plays it.", 5, 13))
    laid = lay(right, [wrote])
    assert texts(laid) == [s.text for s in right.segments]
    assert [s.words for s in laid.transcript.segments] == [s.words for s in right.segments]


def test_what_a_person_heard_where_an_engine_hears_nothing_is_a_segment_more():
    wrote = edit(HEARD, 1, "behind a door of wood.")
    gap = transcript(segment("The old piano stands", 0, 4), segment("Nobody plays it.", 10, 13))
    laid = lay(gap, [wrote])
    assert [(s.id, s.start_s, s.text) for s in laid.transcript.segments] == [
        (0, 0, "The old piano stands"), (2, 4, "behind a door of wood."), (1, 10, "Nobody plays it."),
    ]  # fmt: skip
    assert laid.by_segment == {2: (1,)}
    assert lay(gap, [replace(wrote, new="")]).transcript.segments == gap.segments


def test_an_edit_behind_the_items_end_lies_there_and_changes_nothing():
    laid = lay(HEARD, [Edit(400, 404, "text", "gone", "far away", 1)], until_s=13)
    assert (laid.transcript.segments, laid.by_segment) == (HEARD.segments, {})


def test_two_who_speak_at_once_are_not_mixed_up():
    ann, ben = (
        segment("I think that we should go there now", 0, 8, speaker="A"),
        segment("yes of course", 3, 5, speaker="B"),
    )
    heard = transcript(ann, ben)
    assert texts(lay(heard, [edit(heard, 1, "yes, off course")])) == [ann.text, "yes, off course"]
    again = transcript(ann, segment("oh yes of course", 2.4, 5.1, speaker="B"))
    assert texts(lay(again, [edit(heard, 1, "yes, off course")])) == [ann.text, "oh yes, off course"]


def test_a_script_without_spaces_is_replaced_character_by_character():
    words = (Word(0, 1, "今日"), Word(1, 1.5, "は"), Word(1.5, 3, "晴れ"), Word(3, 4, "です"))
    heard = transcript(Segment(0, 0, 4, "今日は晴れです", None, words))
    [found] = lay(heard, [edit(heard, 0, "今日は雨です")]).transcript.segments
    assert found.text == "今日は雨です"
    assert [(w.text, w.start_s, w.end_s) for w in found.words] == [
        ("今日", 0, 1), ("は", 1, 1.5), ("雨", 1.5, 3), ("です", 3, 4),
    ]  # fmt: skip


def test_words_that_an_engine_cut_inside_of_words_keep_their_times():
    words = (Word(0, 1, " twenty"), Word(1, 2, "-one"), Word(2, 3, " bords"))
    heard = transcript(Segment(0, 0, 3, "twenty-one bords", None, words))
    [found] = lay(heard, [edit(heard, 0, "twenty-one birds")]).transcript.segments
    assert found.words == (*words[:2], Word(2, 3, "birds"))


# ---------------------------------------------------------------- who speaks


def test_a_person_says_who_speaks_over_this_and_other_cuts():
    [first, *_] = HEARD.segments
    said = Edit(first.start_s, first.end_s, "speaker", "", "Ann", 5)
    assert [s.speaker for s in lay(HEARD, [said]).transcript.segments] == ["Ann", None, None]
    again = transcript(segment("The old", 0, 2), segment("piano stands behind", 2, 4.5), segment("a door", 4.5, 9))
    assert [s.speaker for s in lay(again, [said]).transcript.segments] == ["Ann", "Ann", None]
    longer = transcript(segment("The old piano stands behind a door of wood. Nobody plays it.", 0, 13))
    laid = lay(longer, [said])
    assert ([s.speaker for s in laid.transcript.segments], laid.by_segment) == ([None], {})


# ---------------------------------------------------------------- wishes


def after(heard, edits, *wishes):
    fresh, gone = told(heard, edits, wishes)
    anew = {e.id: e for e in fresh if e.id > 0}
    kept = [anew.get(e.id, e) for e in edits if e.id not in gone]
    return kept + [replace(e, id=100 + n) for n, e in enumerate(e for e in fresh if e.id < 0)]


def test_a_wish_is_one_edit_however_often_it_changes():
    first = after(HEARD, [], Wish(1, "text", "  behind  a gate "))
    assert [(e.start_s, e.end_s, e.what, e.old, e.new) for e in first] == [
        (4, 9, "text", "behind a door of would.", "behind a gate")
    ]
    second = after(HEARD, first, Wish(1, "text", "behind a door of wood."))
    assert [(e.old, e.new) for e in second] == [("behind a door of would.", "behind a door of wood.")]


@pytest.mark.parametrize("back", ["behind a door of would.", None])
def test_what_was_heard_or_nothing_takes_an_edit_back(back):
    edits = after(HEARD, [], Wish(1, "text", ""), Wish(0, "text", "Old"))
    assert [e.new for e in after(HEARD, edits, Wish(1, "text", back))] == ["Old"]


def test_an_edit_from_another_cut_can_be_overruled_and_taken_back():
    wide = Edit(0, 9, "text", "The old piano stands behind a door of would.", "A new piano stands behind a gate.", 1)
    assert texts(lay(HEARD, [wide]))[:2] == ["A new piano stands", "behind a gate."]
    overruled = after(HEARD, [wide], Wish(1, "text", "behind a door of would."))
    assert texts(lay(HEARD, overruled))[:2] == ["A new piano stands", "behind a door of would."]
    assert after(HEARD, overruled, Wish(1, "text", None)) == []


def test_several_wishes_of_one_segment_are_one_after_the_other():
    edits = after(HEARD, [], Wish(2, "text", "Somebody."), Wish(2, "speaker", "Ann"), Wish(2, "text", "Anybody."))
    assert {(e.what, e.new) for e in edits} == {("text", "Anybody."), ("speaker", "Ann")}


def test_a_segment_that_is_not_there_is_named():
    with pytest.raises(KeyError, match="7"):
        told(HEARD, [], [Wish(7, "text", "x")])


# ---------------------------------------------------------------- whatever is heard


@st.composite
def sounds(draw):
    """Words that all differ, each with its seconds, as two engines hear and cut them."""
    count = draw(st.integers(3, 30))
    rng = random.Random(draw(st.integers(0, 2**16)))
    at, words = 0.0, []
    for n in range(count):
        at += rng.choice([0.0, 0.0, 0.3, 2.0])
        words.append(Word(at, at + 0.4, f"w{chr(97 + n % 26) * (1 + n // 26)}{n}"))
        at += 0.4
    return _cut(words, draw(st.sets(st.integers(1, count - 1)))), _cut(
        list(_elsewhere(words, rng)), draw(st.sets(st.integers(1, count - 1)))
    )


def _elsewhere(words, rng):
    """The same in the same order, a little sooner or later each."""
    at = 0.0
    for w in words:
        start_s = max(at, w.start_s + rng.uniform(-0.15, 0.15))
        at = max(start_s, w.end_s + rng.uniform(-0.15, 0.15))
        yield Word(start_s, at, w.text)


def _cut(words, places):
    ends = [0, *sorted(places), len(words)]
    return transcript(*(
        Segment(0, some[0].start_s, some[-1].end_s, " ".join(w.text for w in some), None, tuple(some))
        for a, b in itertools.pairwise(ends)
        for some in [words[a:b]]
    ))  # fmt: skip


@st.composite
def edited(draw):
    """A sound heard twice, and edits of some segments of the first: words kept, dropped, replaced, put in."""
    first, second = draw(sounds())
    chosen = draw(st.sets(st.sampled_from(range(len(first.segments))), min_size=1, max_size=4))
    edits = []
    for number, n in enumerate(sorted(chosen), 1):
        words = first.segments[n].text.split()
        kept = [w for w in words if draw(st.booleans())]
        for k in range(draw(st.integers(0, 3))):
            kept.insert(draw(st.integers(0, len(kept))), f"new{number}x{k}")
        edits.append(edit(first, n, " ".join(kept), number))
    return first, second, edits


def said(laid):
    return " ".join(s.text for s in laid.segments).split()


def wanted(first, edits):
    new = {e.start_s: e.new for e in edits}
    return " ".join(new.get(s.start_s, s.text) for s in first.segments).split()


@settings(deadline=None)  # other tests run beside it
@given(edited())
def test_in_its_own_transcript_every_segment_says_what_the_person_wrote(given):
    first, _, edits = given
    laid = lay(first, edits).transcript
    new = {e.start_s: e.new for e in edits}
    assert [s.text for s in laid.segments] == [new.get(s.start_s, s.text) for s in first.segments]


@settings(deadline=None)  # other tests run beside it
@given(edited())
def test_in_another_one_exactly_the_words_of_the_span_are_others(given):
    first, second, edits = given
    assert said(lay(second, edits).transcript) == wanted(first, edits)


@settings(deadline=None)  # other tests run beside it
@given(edited())
def test_laid_twice_it_is_as_laid_once(given):
    first, second, edits = given
    once = lay(first, edits).transcript
    assert lay(once, edits).transcript == once
    # of what was taken out nothing is left by which another transcript would know its place
    written = [one for one in edits if one.new]
    once = lay(second, written).transcript
    assert lay(once, written).transcript == once


@settings(deadline=None)  # other tests run beside it
@given(edited(), st.randoms())
def test_in_whichever_order_edits_that_lie_apart_were_written_the_text_is_one(given, rng):
    shuffled = list(given[2])
    rng.shuffle(shuffled)
    for heard in given[:2]:
        assert texts(lay(heard, shuffled)) == texts(lay(heard, given[2]))
    assert lay(given[0], shuffled).transcript == lay(given[0], given[2]).transcript


@settings(deadline=None)  # other tests run beside it
@given(edited())
def test_ids_and_times_of_segments_stay_and_words_stay_in_order_within_them_and_spell_the_text(given):
    for heard in given[:2]:
        laid = lay(heard, given[2]).transcript
        assert [(s.id, s.start_s, s.end_s) for s in laid.segments] == [
            (s.id, s.start_s, s.end_s) for s in heard.segments
        ]
        for s in laid.segments:
            times = [t for w in s.words for t in (w.start_s, w.end_s)]
            assert times == sorted(times)
            assert all(s.start_s <= t <= s.end_s for t in times)
            assert "".join(w.text for w in s.words) == "".join(s.text.split())


@settings(deadline=None)  # other tests run beside it
@given(edited(), st.data())
def test_every_edit_can_be_taken_back(given, data):
    first, _, edits = given
    wishes = [Wish(s.id, "text", None) for s in first.segments]
    assert after(first, edits, *wishes) == []
    one = data.draw(st.sampled_from(edits))
    assume(one.new != one.old)
    [n] = [s.id for s in first.segments if one.covers(s)]
    assert after(first, edits, Wish(n, "text", one.old)) == [e for e in edits if e is not one]

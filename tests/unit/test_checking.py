"""What of a transcript is in doubt, and which of two readings is the better one."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.domain import checking
from nexus_pipeline.domain.checking import Voice, better, findings, measures
from nexus_pipeline.domain.timeline import Doubt, Finding, Segment

SAID = (
    "The old piano is behind the red door in the museum.",
    "They will clean the oven after the concert on Saturday.",
    "A small comet was near the moon last night.",
    "Sara and David will share the schedule with the client.",
)


def told(*texts, length_s=3.5, pause_s=1.0):
    """Segments one after the other."""
    step_s = length_s + pause_s
    return tuple(Segment(n, n * step_s, n * step_s + length_s, text) for n, text in enumerate(texts))


def voiced(segments):
    """A voice exactly where there is text."""
    return Voice((s.start_s, s.end_s) for s in segments)


def doubts(segments, voice=None, **more):
    """Which doubts there are."""
    return [f.doubt for f in findings(segments, voiced(segments) if voice is None else voice, **more)]


def test_a_good_transcript_has_no_findings():
    assert findings(told(*SAID), voiced(told(*SAID))) == ()
    assert findings((), Voice(())) == ()


def test_voice_without_text_is_a_finding_with_its_seconds():
    segments = told(*SAID)
    left_out = (segments[0], *segments[2:])
    assert findings(left_out, voiced(segments)) == (Finding(Doubt.UNHEARD, 4.5, 8.0),)
    assert findings((), Voice([(2.0, 4.0)])) == (Finding(Doubt.UNHEARD, 2.0, 4.0),)


def test_a_breath_without_text_is_none():
    assert doubts(told(*SAID), Voice([*voiced(told(*SAID)).runs, (20.0, 20.5)])) == []


def test_voice_around_a_segment_belongs_to_it():
    segments = told(*SAID)
    assert doubts(segments, Voice((s.start_s - 0.25, s.end_s + 0.25) for s in segments)) == []


@pytest.mark.parametrize(
    "text",
    [
        "Thank you very much. Thank you very much. Thank you very much.",
        "no no no no no no no no no",
        "I think that I think that I think that I think that it is good",
    ],
)
def test_a_phrase_again_and_again_is_a_loop(text):
    assert Doubt.LOOP in doubts(told(SAID[0], text, SAID[1]))


def test_a_loop_over_several_segments_is_one_finding():
    segments = told(SAID[0], *["See you next time."] * 5, SAID[1], length_s=2.5)
    assert findings(segments, voiced(segments)) == (Finding(Doubt.LOOP, segments[1].start_s, segments[5].end_s),)


def test_a_long_sentence_again_and_again_is_found_by_its_compression():
    segments = told(*[SAID[1]] * 6)
    assert doubts(segments) == [Doubt.LOOP]
    assert checking.compression(" ".join(SAID)) < checking.COMPRESSED


@pytest.mark.parametrize("text", ["No, no, no.", "It was very, very, very good.", "One, two, three, four, five, six."])
def test_what_people_repeat_is_no_loop(text):
    assert Doubt.LOOP not in doubts(told(SAID[0], text, SAID[1]))


def test_more_text_than_anybody_says_and_less():
    assert doubts((Segment(0, 0.0, 1.0, SAID[0]),)) == [Doubt.FAST]
    assert doubts((Segment(0, 0.0, 6.0, "Yes, well."),)) == [Doubt.SLOW]
    assert doubts((Segment(0, 0.0, 0.4, "Yes, well."),)) == []


def test_half_of_what_is_usual_in_the_item_is_slow():
    segments = (*told(*SAID * 2), Segment(8, 40.0, 43.5, "The old piano is here."))
    voice = voiced(segments)
    assert doubts(segments, voice) == []
    assert doubts(segments, voice, rates=checking.usual(segments, voice)) == [Doubt.SLOW]
    assert checking.usual(segments[:5], voice) == (checking.SLOW, checking.FAST)


def test_a_rate_is_of_the_voice_and_not_of_the_silence_beside_it():
    assert doubts((Segment(0, 0.0, 8.0, "Yes, well."),), Voice([(0.0, 0.8)])) == []


def test_signs_and_figures_take_longer_than_letters():
    assert checking.letters("東京に行きます") == 7 * 2.5
    assert checking.letters("In 2026") == 2 + 4 * 4
    assert doubts((Segment(0, 0.0, 3.0, "今日は東京に行きます"),)) == []


def test_text_over_silence_is_a_finding():
    assert doubts((*told(SAID[0]), Segment(1, 10.0, 14.0, "Thanks for watching.")), Voice([(0.0, 3.5)])) == [
        Doubt.SILENT
    ]


def test_times_that_go_back_or_lie_over_each_other():
    a, b = told(*SAID[:2])
    voice = Voice([(0.0, 20.0)])
    assert Doubt.JUMP in doubts((b, a), voice)
    assert Doubt.JUMP in doubts((a, replace(b, start_s=1.0)), voice)
    assert Doubt.JUMP not in doubts((a, replace(b, start_s=a.end_s - 0.3)), voice)
    two = replace(a, speaker="A"), replace(b, start_s=1.0, speaker="B")
    assert Doubt.JUMP not in doubts(two, voice)


def test_another_language_for_a_moment_is_a_finding_and_for_longer_is_a_language():
    german = "Das Klavier steht hinter der roten Tür im Museum, und niemand weiß, wer es dorthin gestellt hat."
    detect = {german: "de"}.get
    islands = told(SAID[0], german, SAID[1], length_s=7.0)
    assert doubts(islands, language="en", detect=detect) == [Doubt.FLIP]
    longer = told(SAID[0], german, german, SAID[1], length_s=12.0)
    assert Doubt.FLIP not in doubts(longer, language="en", detect=detect)
    assert [s.language for s in checking.spoken(longer, "en", detect)] == [None, "de", "de", None]


def test_what_the_model_itself_finds_unlikely():
    a, b = told(*SAID[:2])
    assert doubts((a, replace(b, log_probability=-1.2))) == [Doubt.UNSURE]
    assert doubts((a, replace(b, log_probability=-0.4))) == []


# ------------------------------------------------------------ spans


def test_a_span_is_of_whole_segments_and_neighbours_are_one():
    segments = told(*SAID)
    found = (Finding(Doubt.UNSURE, 5.0, 6.0), Finding(Doubt.UNHEARD, 8.1, 8.9))
    assert checking.spans(found, segments, Voice(())) == ((4.5, 8.9),)


def test_a_long_span_is_cut_where_a_segment_ends():
    segments = told(*SAID * 10)
    found = (Finding(Doubt.LOOP, 0.0, segments[-1].end_s),)
    spans = checking.spans(found, segments, voiced(segments))
    assert all(b - a <= checking.LONGEST_S for a, b in spans)
    assert all(one[1] == two[0] for one, two in pairwise(spans))
    assert sum(len(checking.inside(segments, span)) for span in spans) == len(segments)


_times = st.lists(st.tuples(st.floats(0, 300), st.floats(0.1, 50)), max_size=20)


@given(_times, _times)
def test_spans_cover_all_findings_lie_apart_and_cut_no_segment(found, said):
    segments = tuple(Segment(n, a, a + length, "Yes.") for n, (a, length) in enumerate(sorted(said)))
    doubtful = tuple(Finding(Doubt.LOOP, a, a + length) for a, length in found)
    spans = checking.spans(doubtful, segments, voiced(segments))
    assert all(one[1] <= two[0] for one, two in pairwise(spans))
    for finding in doubtful:
        assert any(a <= finding.start_s < b for a, b in spans)
    for a, b in spans:
        assert not any(s.start_s < edge < s.end_s for s in segments for edge in (a, b))


def test_hours_of_nonsense_are_checked_at_once():
    """Ten hours in which everything is wrong: what is done for each segment must not look at all the others."""
    segments = told(*["See you next time."] * 9000, length_s=3.0)
    spans = checking.spans(findings(segments, voiced(segments)), segments, voiced(segments))
    assert len(spans) > 1000


# ------------------------------------------------------------ better


def of(*texts, **more):
    """Measures of segments that say so, over a voice of ten seconds."""
    return measures(tuple(replace(s, **more) for s in told(*texts)), Voice([(0.0, 3.5), (4.5, 8.0)]))


def test_what_says_more_of_what_was_said_is_better():
    assert better(of(*SAID[:2]), of(SAID[0]))
    assert not better(of(SAID[0]), of(*SAID[:2]))


def test_no_text_is_never_better_than_text_over_a_voice():
    assert not better(of(), of("See you. See you. See you. See you."))


def test_no_text_is_better_than_text_over_silence():
    silent = Voice([(20.0, 21.0)])
    invented = (Segment(0, 0.0, 3.0, "Thanks for watching."),)
    assert better(measures((), silent), measures(invented, silent))


def test_a_likelier_text_is_better_and_the_same_is_not():
    assert better(of(*SAID[:2], log_probability=-0.3), of(*SAID[:2], log_probability=-0.9))
    assert not better(of(*SAID[:2], log_probability=-0.3), of(*SAID[:2], log_probability=-0.32))
    assert not better(of(*SAID[:2]), of(*SAID[:2]))
    assert not better(of(*SAID[:2]), of(*SAID[:2], log_probability=-0.9))


@given(st.lists(st.sampled_from(SAID), max_size=3), st.lists(st.sampled_from(SAID), max_size=3))
def test_of_two_readings_at_most_one_is_better(one, other):
    assert not (better(of(*one), of(*other)) and better(of(*other), of(*one)))

# ruff: noqa: RUF001 - stops of other scripts are meant
"""Passages out of segments: nothing lost, nothing twice, times that hold."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.domain.passages import WORDS, Passage, passages, summaries
from nexus_pipeline.domain.sentences import sentences
from nexus_pipeline.domain.timeline import Segment, Word

_words = st.one_of(
    st.sampled_from(["one", "two,", "three.", "four?", "Five", "six:", "seven!", "eight"]),
    st.text("abcdé.,?!'今日。！？-", min_size=1, max_size=30),
    st.sampled_from(["今日は会議です。", "終わり！", "Mr.", "…", "e.g.", "你好世界" * 40]),
)


@st.composite
def _segments(draw: st.DrawFn) -> list[Segment]:
    """One after the other, with and without words, pauses, speakers, full stops."""
    clock, segments = 0.0, []
    for i in range(draw(st.integers(0, 8))):
        clock += draw(st.sampled_from([0.0, 0.2, 3.0, 30.0]))
        spoken = draw(st.lists(_words, max_size=80))
        end_s = clock + 0.4 * len(spoken)
        timed = tuple(Word(clock + 0.4 * n, clock + 0.4 * n + 0.3, f" {w}") for n, w in enumerate(spoken))
        kept = timed if draw(st.booleans()) else ()
        segments.append(Segment(i, clock, end_s, " ".join(spoken), draw(st.sampled_from([None, "A", "B"])), kept))
        clock = end_s
    return segments


def _letters(texts: list[str]) -> str:
    return "".join("".join(t.split()) for t in texts)


@given(_segments())
def test_every_word_is_in_exactly_one_passage_and_in_order(segments: list[Segment]) -> None:
    assert _letters([s.text for s in segments]) == _letters([p.text for p in passages(segments, title="t")])


@given(_segments(), st.integers(5, 100))
def test_no_passage_is_longer_than_its_limit(segments: list[Segment], words: int) -> None:
    assert all(len(p.text.split()) <= words for p in passages(segments, title="t", words=words))


@given(_segments())
def test_times_lie_inside_the_segments_and_never_run_backwards(segments: list[Segment]) -> None:
    made = passages(segments, title="t")
    for p in made:
        assert segments[0].start_s - 0.001 <= p.start_s <= p.end_s <= segments[-1].end_s + 0.001
        assert any(s.start_s - 0.001 <= p.start_s <= s.end_s + 0.001 for s in segments)
        assert any(s.start_s - 0.001 <= p.end_s <= s.end_s + 0.001 for s in segments)
    assert all(a.end_s <= b.start_s + 0.002 for a, b in pairwise(made))


@given(_segments())
def test_asking_twice_gives_the_same_passages_counted_from_zero(segments: list[Segment]) -> None:
    made = passages(segments, title="t")
    assert made == passages(segments, title="t")
    assert [p.position for p in made] == list(range(len(made)))


@given(_segments())
def test_a_passages_speaker_is_one_of_those_who_spoke(segments: list[Segment]) -> None:
    assert {p.speaker for p in passages(segments, title="t")} <= {s.speaker for s in segments}


def test_whole_sentences_are_packed_across_segments() -> None:
    segments = [
        Segment(0, 0, 2, "Anna will record"),
        Segment(1, 2, 4, "the melody. David"),
        Segment(2, 4, 6, "sends the invoice."),
    ]
    assert [s.text for s in sentences(segments)] == ["Anna will record the melody.", "David sends the invoice."]
    assert [p.text for p in passages(segments, title="Band", words=6)] == [
        "Anna will record the melody.",
        "David sends the invoice.",
    ]
    assert len(passages(segments, title="Band")) == 1


def test_an_item_shorter_than_a_passage_is_one_passage_and_nothing_said_is_none() -> None:
    assert passages([], title="Memo") == []
    assert passages([Segment(0, 1, 2, "   ")], title="Memo") == []
    assert passages([Segment(0, 1.0, 2.0, "Milk.")], title="Memo") == [Passage(0, 1.0, 2.0, "Milk.", "Memo: Milk.")]


def test_a_long_pause_ends_a_passage_and_a_short_one_does_not() -> None:
    segments = [Segment(0, 0, 2, "One."), Segment(1, 7, 9, "Two."), Segment(2, 20, 22, "Three.")]
    assert [p.text for p in passages(segments, title="t")] == ["One. Two.", "Three."]


def test_a_sentence_without_an_end_is_cut_where_somebody_breathes() -> None:
    spoken = [f"w{i}" for i in range(100)]
    spoken[49] += ","
    made = passages([Segment(0, 0, 100, " ".join(spoken))], title="t")
    assert [len(p.text.split()) for p in made] == [50, 50]
    assert made[0].text.endswith("w49,")


def test_a_script_without_spaces_is_measured_by_its_characters() -> None:
    made = passages([Segment(0, 0, 60, "今日は会議があります。" * 40)], title="t")
    assert len(made) > 3
    assert all(p.text.endswith("。") and len(p.text) <= 2 * WORDS + 22 for p in made)


def test_times_inside_a_segment_come_from_its_words_when_they_spell_it() -> None:
    words = (Word(0.0, 0.5, " Yes."), Word(8.0, 9.0, " No."))
    made = passages([Segment(0, 0.0, 10.0, "Yes. No.", None, words)], title="t", pause_s=3)
    assert [(p.start_s, p.end_s) for p in made] == [(0.0, 0.5), (8.0, 9.0)]


@pytest.mark.parametrize("words", [(), (Word(0.0, 1.0, " Something"), Word(1.0, 2.0, " else"))])
def test_times_inside_a_segment_go_by_characters_when_words_do_not_spell_it(words: tuple[Word, ...]) -> None:
    made = passages([Segment(0, 10.0, 20.0, "aaaa. bbbb.", None, words)], title="t", words=1)
    assert [(p.start_s, p.end_s) for p in made] == [(10.0, 15.0), (15.0, 20.0)]


def test_the_indexed_text_names_title_and_the_three_who_speak_most() -> None:
    said = [("A", 1), ("B", 4), ("C", 3), ("D", 2)]
    segments = [Segment(i, 10.0 * i, 10.0 * i + s, f"Word {who}.", who) for i, (who, s) in enumerate(said)]
    (made,) = passages(segments, title="Plans", names={"B": "Sara"}, pause_s=60)
    assert made.indexed_text == "Plans · Sara, C, D: Word A. Word B. Word C. Word D."
    assert made.speaker == "Sara"


def test_a_speaker_without_a_name_is_kept_but_not_indexed() -> None:
    (made,) = passages([Segment(0, 0, 1, "Hello.", "SPEAKER_00")], title="Plans")
    assert (made.indexed_text, made.speaker) == ("Plans: Hello.", "SPEAKER_00")


def test_a_summary_is_cut_as_speech_is_and_lasts_as_long_as_the_item() -> None:
    said = passages([Segment(0, 0.0, 5.0, "We cut the budget. It rained.")], title="Talk")
    [made] = summaries("They spoke of money.", title="Talk", until_s=61.25, said=said)
    assert (made.kind, made.start_s, made.end_s, made.position, made.speaker) == ("summary", 0.0, 61.25, 0, None)
    assert made.indexed_text == "Talk: They spoke of money."
    long = summaries(" ".join(f"Sentence number {n}." for n in range(60)), title="", until_s=9.0, said=said)
    assert [p.position for p in long] == list(range(len(long)))
    assert {(p.start_s, p.end_s) for p in long} == {(0.0, 9.0)}


def test_a_summary_that_only_repeats_a_passage_is_none() -> None:
    said = passages([Segment(0, 0.0, 5.0, "We cut the budget. It rained.")], title="Talk")
    assert summaries("It rained.", title="Talk", until_s=5.0, said=said) == []
    assert summaries(" ", title="Talk", until_s=5.0, said=said) == []
    assert summaries("It rain", title="Talk", until_s=5.0, said=said) != []

"""A transcript checks itself: what a weak decoding spoils is heard again, what is good stays to the letter."""

import json
from dataclasses import replace

import pytest

from nexus_pipeline.domain import errors
from nexus_pipeline.domain.checking import Voice
from nexus_pipeline.domain.timeline import Coverage, Doubt, Segment, Transcript, Window
from nexus_pipeline.engines.faster_whisper import FasterWhisper
from nexus_pipeline.ports import Hints
from nexus_pipeline.results import transcript_of
from nexus_pipeline.steps import repairing
from nexus_pipeline.steps.repairing import Checked, readers, repaired
from tests.running import drop
from tests.speech import MODELS, SENTENCES, speak

NANO = "whisper-nano-en"


class Fixed:
    """Says what it was told to say, whatever it hears; other readings of it come from a list."""

    name = "fixed:1"

    def __init__(self, segments=(), readings=(), error=None):
        self.segments, self.told, self.error, self.asked = segments, readings, error, []

    def parameters(self):
        """Nothing changes its results."""
        return {}

    def transcribe(self, audio, duration_s, hints, cancelled):
        """One window."""
        if self.error:
            raise self.error
        self.asked.append(duration_s)
        yield Window(0.0, duration_s, tuple(self.segments), duration_s)

    def readings(self, audio, start_s, end_s, hints, cancelled):
        """Each that it was told, at the span's beginning."""
        for said in self.told:
            self.asked.append((start_s, end_s))
            yield tuple(segment.shifted(start_s) for segment in said)


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """Eight sentences in a FLAC of 16 kHz."""
    from tests.contracts.test_speech import say

    return say(SENTENCES, tmp_path_factory.mktemp("talk") / "talk.flac")


@pytest.fixture(scope="module")
def heard(talk):
    """What the small model hears in it, and where somebody speaks."""
    windows = list(FasterWhisper(NANO, MODELS).transcribe(talk, 60.0, Hints("en"), lambda: False))
    segments = tuple(s for w in windows for s in w.segments)
    assert [s.text for s in segments] == list(SENTENCES)
    voice = Voice([run for w in windows for run in w.voiced])
    return Transcript("en", "faster-whisper:nano", segments, Coverage(30.0, 30.0)), Checked(voice)


def again(first, checked, engines, *, audio, parts, folder, cancelled=lambda: False):
    """Checked and repaired by these engines."""
    reading = readers(engines, audio, Hints("en"), media=parts.media, folder=lambda: folder, cancelled=cancelled)
    return repaired(first, checked, reading, 60.0, lambda _: None)


def without(heard, *gone):
    """The transcript without some of its segments."""
    first, checked = heard
    return replace(first, segments=tuple(s for s in first.segments if s.id not in gone)), checked


def test_a_good_transcript_is_not_heard_again(heard, talk, parts, tmp_path):
    nobody = Fixed(readings=[()])
    told = again(*heard, [nobody], audio=talk, parts=parts, folder=tmp_path)
    assert nobody.asked == []
    assert told.segments == heard[0].segments
    assert (told.coverage.repaired, told.coverage.findings) == ((), ())


def test_what_was_left_out_is_heard_again_and_put_in_its_place(heard, talk, parts, tmp_path):
    first, checked = without(heard, 2, 3, 6)
    told = again(first, checked, [FasterWhisper(NANO, MODELS)], audio=talk, parts=parts, folder=tmp_path)
    assert [s.text for s in told.segments] == list(SENTENCES)
    assert [s.id for s in told.segments] == list(range(8))
    assert len(told.coverage.repaired) == 3
    assert told.coverage.findings == ()
    for a, b in zip(told.segments, heard[0].segments, strict=True):
        assert (a.start_s, a.end_s) == pytest.approx((b.start_s, b.end_s), abs=0.5)


def test_invented_text_over_silence_goes_and_a_loop_is_heard_again(heard, talk, parts, tmp_path):
    first, checked = heard
    end_s = first.segments[-1].end_s
    loop = replace(first.segments[4], text="the choir the choir the choir the choir the choir")
    spoilt = replace(
        first,
        segments=(*first.segments[:4], loop, *first.segments[5:], Segment(8, end_s + 2, end_s + 5, "See you soon.")),
    )
    told = again(spoilt, checked, [FasterWhisper(NANO, MODELS)], audio=talk, parts=parts, folder=tmp_path)
    assert [s.text for s in told.segments] == list(SENTENCES)


def test_the_next_engine_of_the_list_hears_what_the_first_cannot(heard, talk, parts, tmp_path):
    first, checked = without(heard, 5)
    weak = Fixed(readings=[()])
    told = again(first, checked, [weak, FasterWhisper(NANO, MODELS)], audio=talk, parts=parts, folder=tmp_path)
    assert len(weak.asked) == 1
    assert [s.text for s in told.segments] == list(SENTENCES)


def test_what_stays_bad_is_marked(heard, talk, parts, tmp_path):
    first, checked = without(heard, 5)
    down = Fixed(error=errors.EngineDown("it is down; try later"))
    told = again(first, checked, [Fixed(), down], audio=talk, parts=parts, folder=tmp_path)
    assert told.segments == tuple(replace(s, id=n) for n, s in enumerate(first.segments))
    assert [f.doubt for f in told.coverage.findings] == [Doubt.UNHEARD]
    assert told.coverage.repaired == ()


def test_a_reading_that_is_no_better_changes_nothing(heard, talk, parts, tmp_path):
    first, checked = without(heard, 5)
    worse = Fixed(readings=[(Segment(0, 0.0, 0.1, "Hm."),)])
    told = again(first, checked, [worse], audio=talk, parts=parts, folder=tmp_path)
    assert worse.asked
    assert [s.text for s in told.segments] == [s.text for s in first.segments]


def test_no_more_than_a_share_of_the_time_is_heard_again(heard, talk, parts, tmp_path, monkeypatch):
    monkeypatch.setattr(repairing, "REHEARD_S", 5.0)
    monkeypatch.setattr(repairing, "REHEARD", 0.0)
    first, checked = without(heard, 0, 2, 4, 6)
    busy = Fixed(readings=[()] * 5)
    again(first, checked, [busy], audio=talk, parts=parts, folder=tmp_path)
    assert 0 < sum(b - a for a, b in busy.asked) <= 5.0


def test_cancelling_stops_it(heard, talk, parts, tmp_path):
    first, checked = without(heard, 2, 5)
    with pytest.raises(errors.Cancelled):
        again(
            first,
            checked,
            [FasterWhisper(NANO, MODELS)],
            audio=talk,
            parts=parts,
            folder=tmp_path,
            cancelled=lambda: True,
        )


def test_a_weak_decoding_is_repaired_and_a_good_one_stays(parts, tmp_path):
    """With what it heard before told to it, the small model fails; the self-check raises the words that are right."""
    from tests.contracts.test_speech import say

    known = [one["text"] for one in json.loads((MODELS / NANO / "known_good.json").read_text())][:24]
    audio = say(known, tmp_path / "known.flac")
    engine = FasterWhisper(NANO, MODELS, previous=True)
    windows = list(engine.transcribe(audio, 150.0, Hints("en"), lambda: False))
    segments = tuple(s for w in windows for s in w.segments)
    checked = Checked(Voice([run for w in windows for run in w.voiced]))
    told = again(
        Transcript("en", engine.name, segments, Coverage(0.0, 0.0)),
        checked,
        [engine],
        audio=audio,
        parts=parts,
        folder=tmp_path,
    )

    def right(some):
        texts = {s.text for s in some}
        return sum(text in texts for text in known)

    assert right(segments) < right(told.segments)
    assert told.coverage.repaired


def test_the_step_says_what_it_repaired(runs, parts, tmp_path):
    [item] = runs.add(drop(parts, "talk.wav", speak(tmp_path / "talk.wav")))
    assert runs.go([item]).success
    coverage = transcript_of(parts.catalog.get(item.id), parts).coverage
    assert (coverage.repaired, coverage.findings) == ((), ())
    assert coverage.transcribed_s == pytest.approx(coverage.voiced_s, rel=0.3)


def test_hints_of_an_item_make_its_transcript_stale(runs, parts, tmp_path):
    from nexus_pipeline.steps.transcript import TRANSCRIPT

    [item] = runs.add(drop(parts, "talk.wav", speak(tmp_path / "talk.wav"), vocabulary=("comet",)))
    assert runs.go([item]).success
    item = parts.catalog.get(item.id)
    assert parts.hints(item) == Hints("en", None, ("comet",))
    assert TRANSCRIPT.key(item, parts) == item.step("transcript").version_key
    edited = parts.catalog.edit(item.id, vocabulary=("comet", "Ceres"), prompt="About the sky.")
    assert parts.hints(edited) == Hints("en", "About the sky.", ("comet", "Ceres"))
    assert TRANSCRIPT.key(edited, parts) != item.step("transcript").version_key

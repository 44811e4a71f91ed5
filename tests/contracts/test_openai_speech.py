"""Hearing through OpenAI's API: the contract of every speech engine, on a server that really hears, and its faults."""

import re
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nexus_pipeline.domain.errors import (
    Cancelled,
    EngineDown,
    EngineEmpty,
    EngineFailed,
    EngineRefused,
    ModelMissing,
)
from nexus_pipeline.engines.cloud import Patience
from nexus_pipeline.engines.openai_line import Api
from nexus_pipeline.engines.openai_speech import OpenAISpeech
from nexus_pipeline.engines.site import Cloud
from nexus_pipeline.ports import Hints
from tests.contracts.test_speech import SENTENCES as ALL
from tests.contracts.test_speech import (
    _hear,
    _seconds,
    _text,
    say,
    silence,
    test_cancelling_is_seen_between_segments,
    test_hearing_twice_gives_the_same,
    test_voiced_seconds_are_about_what_was_said,
    test_what_is_no_flac_fails_with_what_to_do,
    test_what_is_no_speech_gives_no_text,
)
from tests.openai_server import GONE, NANO, Fault, Server, busy, serving

CONTRACT = (
    test_cancelling_is_seen_between_segments,
    test_hearing_twice_gives_the_same,
    test_voiced_seconds_are_about_what_was_said,
    test_what_is_no_flac_fails_with_what_to_do,
    test_what_is_no_speech_gives_no_text,
)
"""Run here, too, on the engine below."""
SENTENCES = [sentence for sentence in ALL if "two" not in sentence]
"""Those that the small model hears to the letter when it gives times of words, too."""
QUICK = Patience(wait_s=0.05, longest_wait_s=3.0, outages=50, open_s=60.0)


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


@pytest.fixture
def openai(server):
    server.faults.clear()
    server.asked.clear()
    server.down, server.timed, server.pace_s, server.most_under_way = None, True, 0.0, 0
    return server


@pytest.fixture
def speech(openai, tmp_path) -> OpenAISpeech:
    return engine(openai, tmp_path)


@pytest.fixture(scope="module")
def minute(tmp_path_factory) -> Path:
    return say(SENTENCES, tmp_path_factory.mktemp("spoken") / "minute.flac", before_s=2.0)


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> Path:
    """Four minutes with words in every one of them."""
    return say(SENTENCES, tmp_path_factory.mktemp("long") / "long.flac", pause_s=4.0, times=4)


def engine(server: Server, folder: Path, model: str = NANO, **cloud: Any) -> OpenAISpeech:
    return OpenAISpeech(model, Api(Cloud(base_url=server.url, **cloud), folder / "line", QUICK))


def never() -> bool:
    return False


def test_what_is_sent_is_flac_without_silences_and_times_come_back_for_the_item(openai, speech, tmp_path):
    path = say(SENTENCES[:2], tmp_path / "apart.flac", pause_s=6.0, before_s=5.0)
    window, *_ = _hear(speech, path)
    first, second = window.segments
    assert (window.language, first.text, second.text) == ("en", *SENTENCES[:2])
    assert first.start_s == pytest.approx(5.0, abs=0.5)
    assert second.start_s - first.end_s == pytest.approx(6.3, abs=0.7)
    [asked] = openai.bodies("/audio/transcriptions")
    assert (asked["model"], asked["response_format"], asked["filename"]) == (NANO, "verbose_json", "speech.flac")
    assert asked["timestamp_granularities[]"] == ["segment", "word"]
    assert asked["file"].startswith(b"fLaC")
    assert "language" not in asked
    (tmp_path / "sent.flac").write_bytes(asked["file"])
    assert _seconds(tmp_path / "sent.flac") < _seconds(path) - 6


def test_words_are_spelled_as_in_their_segment_and_lie_inside_it(speech, minute):
    segments = [s for w in _hear(speech, minute) for s in w.segments]
    assert [s.text for s in segments] == SENTENCES
    for segment in segments:
        assert "".join(w.text for w in segment.words).strip() == segment.text
        assert len(segment.words) == len(segment.text.split())
        assert all(a.start_s <= b.start_s for a, b in pairwise(segment.words))
        assert all(segment.start_s - 0.1 <= w.start_s <= w.end_s <= segment.end_s + 0.1 for w in segment.words)


def test_segments_count_on_and_lie_inside_windows_that_follow_each_other(speech, minute):
    windows = _hear(speech, minute)
    assert windows[0].start_s == 0
    assert all(a.end_s == b.start_s for a, b in pairwise(windows))
    assert windows[-1].end_s == pytest.approx(_seconds(minute), abs=0.1)
    assert [s.id for w in windows for s in w.segments] == list(range(len(SENTENCES)))
    assert all(w.start_s <= s.start_s <= s.end_s <= w.end_s for w in windows for s in w.segments)


def test_hints_reach_the_model(openai, speech, tmp_path):
    path = say(SENTENCES[:1], tmp_path / "one.flac")
    hints = Hints("en-US", "A talk about music.", ("Elena", "Nexus"))
    list(speech.transcribe(path, _seconds(path), hints, never))
    asked = openai.bodies()[-1]
    assert (asked["language"], asked["prompt"]) == ("en", "A talk about music. Elena, Nexus.")
    list(engine(openai, tmp_path, "gpt-transcribe").transcribe(path, _seconds(path), hints, never))
    asked = openai.bodies()[-1]
    assert (asked["keywords[]"], asked["prompt"]) == (["Elena", "Nexus"], "A talk about music.")


@pytest.mark.parametrize("model", ["gpt-4o-transcribe", NANO])
def test_without_times_a_sentence_has_its_share_of_the_sound(openai, tmp_path, minute, model):
    """Known of the model, or found out from the server."""
    openai.timed = False
    speech = engine(openai, tmp_path, model)
    timed = [s for w in _hear(engine_with_times(openai, tmp_path), minute) for s in w.segments]
    openai.timed = False
    openai.asked.clear()
    windows = _hear(speech, minute)
    assert _text(windows) == SENTENCES
    assert all(a.end_s == b.start_s for a, b in pairwise(windows))
    for a, b in zip(timed, (s for w in windows for s in w.segments), strict=True):
        assert a.start_s == pytest.approx(b.start_s, abs=2.5)
    formats = [asked["response_format"] for asked in openai.bodies()]
    assert set(formats[1:] or formats) == {"json"}
    assert formats[0] == ("json" if model.startswith("gpt") else "verbose_json")


def engine_with_times(server: Server, folder: Path) -> OpenAISpeech:
    server.timed = True
    return engine(server, folder)


def test_a_long_item_is_heard_in_pieces_side_by_side_and_comes_in_order(openai, tmp_path, long):
    openai.pace_s = 0.5
    speech = engine(openai, tmp_path, "gpt-4o-transcribe", calls=3)
    windows = _hear(speech, long)
    segments = [s for w in windows for s in w.segments]
    assert len(openai.asked) >= 4
    assert 1 < openai.most_under_way <= 3
    assert [s.text for s in segments] == SENTENCES * 4
    assert [s.id for s in segments] == list(range(len(segments)))
    assert all(a.end_s == b.start_s for a, b in pairwise(windows))
    assert windows[-1].end_s == pytest.approx(_seconds(long), abs=0.1)


def test_the_first_piece_of_a_long_item_is_short(openai, speech, long):
    first = next(speech.transcribe(long, 10_000.0, Hints(), never))
    assert first.segments
    assert first.end_s < 120


def test_cancelling_is_seen_within_a_second_while_calls_hang(openai, tmp_path, long):
    openai.down = Fault(hold_s=8)
    speech = engine(openai, tmp_path, "gpt-4o-transcribe")
    stopped_at: list[float] = []

    def cancelled() -> bool:
        if not stopped_at and openai.most_under_way >= 2:
            stopped_at.append(time.monotonic())
        return bool(stopped_at)

    with pytest.raises(Cancelled):
        list(speech.transcribe(long, _seconds(long), Hints(), cancelled))
    assert time.monotonic() - stopped_at[0] < 1.0
    assert not [t for t in threading.enumerate() if t.name.startswith("openai speech")]


def test_whoever_stops_listening_leaves_nothing_behind(openai, tmp_path, long):
    windows = engine(openai, tmp_path, "gpt-4o-transcribe").transcribe(long, _seconds(long), Hints(), never)
    assert next(windows).segments
    windows.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("openai speech")]


def test_what_passes_is_passed_over(openai, speech, minute):
    openai.faults += [busy(), Fault(503)]
    assert _text(_hear(speech, minute)) == SENTENCES


@pytest.mark.parametrize(
    "expected",
    [
        (Fault(500), EngineDown, "out of order"),
        (Fault(400, "content_policy_violation"), EngineRefused, "rules of safety"),
        (Fault(413), EngineFailed, "413"),
        (Fault(body=b'{"text": null}'), EngineEmpty, "without a text"),
        (Fault(page=True), EngineDown, "something else"),
        (Fault(cut_after=0), EngineDown, "cannot be reached"),
    ],
)
def test_every_fault_has_its_error(openai, speech, tmp_path, expected):
    fault, kind, says = expected
    path = say(SENTENCES[:1], tmp_path / "one.flac")
    openai.down = fault
    with pytest.raises(kind, match=says) as caught:
        _hear(speech, path)
    assert "xylophone" not in str(caught.value)


def test_a_model_that_is_gone_says_so(openai, tmp_path):
    path = say(SENTENCES[:1], tmp_path / "one.flac")
    with pytest.raises(ModelMissing, match="no such model"):
        _hear(engine(openai, tmp_path, GONE), path)


def test_silence_costs_no_call(openai, speech, tmp_path):
    windows = _hear(speech, silence(tmp_path / "silent.flac", 70, "anullsrc=r=16000:cl=mono"))
    assert openai.asked == []
    assert windows[-1].end_s == pytest.approx(70, abs=0.1)


@pytest.mark.parametrize("odd", [b'{"text": "Hello there. Yes.", "segments": null}', b'{"text": "Hello there. Yes."}'])
def test_a_server_that_passes_over_the_form_gives_text_all_the_same(openai, speech, tmp_path, odd):
    openai.faults.append(Fault(body=odd))
    path = say(SENTENCES[:1], tmp_path / "one.flac")
    assert _text(_hear(speech, path)) == ["Hello there.", "Yes."]


def test_words_that_do_not_fit_their_text_are_left_out(openai, speech, tmp_path):
    body = b"""{"text": "He owes 20 dollars.", "language": "english", "duration": 3,
        "segments": [{"start": 0.5, "end": 2.5, "text": " He owes 20 dollars."}],
        "words": [{"word": "He", "start": 0.5, "end": 0.6}, {"word": "twenty", "start": 1.0, "end": 1.2}]}"""
    openai.faults.append(Fault(body=re.sub(rb"\s+", b" ", body)))
    path = say(SENTENCES[:1], tmp_path / "one.flac")
    [segment] = [s for w in _hear(speech, path) for s in w.segments]
    assert (segment.text, segment.words) == ("He owes 20 dollars.", ())

"""What every speech engine holds to, on the small test model and real sound."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nexus_pipeline.domain.errors import Cancelled, EngineFailed, ModelMissing
from nexus_pipeline.domain.timeline import Window
from nexus_pipeline.engines import SPEECH, build
from nexus_pipeline.engines.faster_whisper import FasterWhisper
from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.engines.voices import Clock, stretches, whole
from nexus_pipeline.ports import Hints, Speech
from tests.gemini_server import serving
from tests.speech import MODELS, ffmpeg, speak

NANO = "whisper-nano-en"

SENTENCES = [
    "The old piano is behind the red door in the museum.",
    "They will clean the oven after the concert on Saturday.",
    "Sara and David will share the schedule with the client.",
    "Elena said the contract is ready for legal.",
    "I saw a bright star over the dark mountain.",
    "Add two spoons of butter and stir the rice.",
    "Open the file and remove the empty column.",
    "Oliver has a new plan for the greenhouse.",
]


@pytest.fixture(scope="module", params=[f"{engine}:{NANO}" for engine in ("faster-whisper", "gemini")])
def speech(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Speech]:
    with serving() as gemini:
        made: Speech = build(SPEECH, request.param, gemini.site(tmp_path_factory.mktemp("cache")))
        yield made


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Speech:
    """The one that can hear a span in several ways."""
    site = EngineSite(MODELS, tmp_path_factory.mktemp("cache"), 1, lambda: pytest.fail("hearing embeds nothing"))
    made: Speech = build(SPEECH, f"faster-whisper:{NANO}", site)
    return made


@pytest.fixture(scope="module")
def minute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return say(SENTENCES, tmp_path_factory.mktemp("spoken") / "minute.flac", before_s=2.0)


def say(sentences: Sequence[str], to: Path, *, pause_s: float = 1.0, before_s: float = 0.0, times: int = 1) -> Path:
    """A FLAC of 16 kHz with a pause before all and after each sentence, the whole `times` times."""
    spoken = speak(to.with_name(f"once-{to.name}"), sentences, pause_s=pause_s)
    later = f"adelay={int(before_s * 1000)}"
    ffmpeg("-stream_loop", str(times - 1), "-i", spoken, "-af", later, "-ar", "16000", "-ac", "1", to)
    return to


def silence(to: Path, seconds: float, source: str) -> Path:
    ffmpeg("-f", "lavfi", "-i", source, "-t", str(seconds), "-ac", "1", "-ar", "16000", to)
    return to


def _seconds(path: Path) -> float:
    shown = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(path)]
    return float(subprocess.run(shown, capture_output=True, text=True, check=True).stdout)


def _hear(speech: Speech, path: Path, language: str | None = None) -> list[Window]:
    return list(speech.transcribe(path, _seconds(path), Hints(language), lambda: False))


def _text(windows: list[Window]) -> list[str]:
    return [s.text for w in windows for s in w.segments]


def test_sentences_are_heard_to_the_letter(speech: Speech, minute: Path) -> None:
    assert _text(_hear(speech, minute)) == SENTENCES


def test_windows_follow_each_other_over_the_whole_recording(speech: Speech, minute: Path) -> None:
    windows = _hear(speech, minute)
    assert len(windows) > 1
    assert windows[0].start_s == 0
    assert all(a.end_s == b.start_s for a, b in pairwise(windows))
    assert windows[-1].end_s == pytest.approx(_seconds(minute), abs=0.1)


def test_segments_count_on_and_lie_inside_their_windows(speech: Speech, minute: Path) -> None:
    windows = _hear(speech, minute)
    segments = [s for w in windows for s in w.segments]
    assert [s.id for s in segments] == list(range(len(SENTENCES)))
    assert all(w.start_s <= s.start_s <= s.end_s <= w.end_s for w in windows for s in w.segments)
    assert all(a.end_s <= b.start_s for a, b in pairwise(segments))


def test_times_are_those_of_the_recording(speech: Speech, tmp_path: Path) -> None:
    """Two sentences with a silence between them that the model never sees."""
    path = say(SENTENCES[:2], tmp_path / "apart.flac", pause_s=6.0, before_s=5.0)
    first, second = [s for w in _hear(speech, path) for s in w.segments]
    assert first.start_s == pytest.approx(5.0, abs=0.3)
    assert second.start_s - first.end_s == pytest.approx(6.3, abs=0.5)


def test_voiced_seconds_are_about_what_was_said(speech: Speech, minute: Path) -> None:
    windows = _hear(speech, minute)
    said = sum(s.end_s - s.start_s for w in windows for s in w.segments)
    assert sum(w.voiced_s for w in windows) == pytest.approx(said, rel=0.15)


@pytest.mark.parametrize("source", ["anullsrc=r=16000:cl=mono", "anoisesrc=r=16000:a=0.1:seed=1", "sine=f=440:r=16000"])
def test_what_is_no_speech_gives_no_text(speech: Speech, tmp_path: Path, source: str) -> None:
    windows = _hear(speech, silence(tmp_path / "silent.flac", 40, source))
    assert windows
    assert _text(windows) == []
    assert sum(w.voiced_s for w in windows) < 1
    assert windows[-1].end_s == pytest.approx(40, abs=0.1)


def test_hearing_twice_gives_the_same(speech: Speech, minute: Path) -> None:
    assert _hear(speech, minute) == _hear(speech, minute)


def test_an_english_model_says_english_whatever_was_asked(speech: Speech, tmp_path: Path) -> None:
    path = say(SENTENCES[:1], tmp_path / "one.flac")
    for language in (None, "en", "de", "xx"):
        windows = _hear(speech, path, language)
        assert {w.language for w in windows if w.segments} == {"en"}
        assert _text(windows) == SENTENCES[:1]


def test_items_can_be_heard_side_by_side(minute: Path) -> None:
    engine = FasterWhisper(NANO, MODELS, width=2)
    heard: list[list[str]] = []
    threads = [threading.Thread(target=lambda: heard.append(_text(_hear(engine, minute)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert heard == [SENTENCES] * 3


def test_cancelling_is_seen_between_segments(speech: Speech, minute: Path) -> None:
    windows = speech.transcribe(minute, _seconds(minute), Hints(), lambda: stopped)
    stopped = False
    assert next(windows).segments
    stopped = True
    with pytest.raises(Cancelled):
        next(windows)


def test_what_is_no_flac_fails_with_what_to_do(speech: Speech, tmp_path: Path) -> None:
    path = tmp_path / "list.flac"
    path.write_text("#EXTM3U\nfile:///etc/hostname\n")
    with pytest.raises(EngineFailed, match="rerun --from raw"):
        list(speech.transcribe(path, 1.0, Hints(), lambda: False))


def test_parameters_name_the_model(speech: Speech) -> None:
    assert speech.parameters()["model"] == NANO
    assert speech.name.partition(":")[::2] == (speech.parameters()["engine"], NANO)


def test_auto_is_named_by_what_was_chosen_and_keyed_by_what_was_asked() -> None:
    engine = FasterWhisper("auto", None)
    assert engine.parameters()["model"] == "auto"
    assert re.fullmatch(r"faster-whisper:(tiny|base|small|large-v3-turbo)", engine.name)


def test_words_are_timed_inside_their_segments_where_they_are_wanted(tmp_path: Path) -> None:
    path = say(SENTENCES[:3], tmp_path / "words.flac")
    for segment in (s for w in _hear(FasterWhisper(NANO, MODELS, words=True), path) for s in w.segments):
        assert "".join(w.text for w in segment.words).strip() == segment.text
        assert all(a.start_s <= b.start_s for a, b in pairwise(segment.words))


def test_a_time_on_a_cut_belongs_to_the_side_that_was_meant() -> None:
    clock = Clock([(10.0, 14.0), (30.0, 33.0)])
    assert clock.span(0.5, 4.0) == (10.5, 14.0)
    assert clock.span(4.0, 6.5) == (30.0, 32.5)
    assert clock.span(3.0, 99.0) == (13.0, 33.0)


def test_stretches_leave_no_voice_out_and_no_trace_of_pieces(minute: Path) -> None:
    """The same speech is found, whatever the length of a look."""
    by_look = [
        [piece for s in stretches(minute, limit_s=look, first_s=look, cancelled=lambda: False) for piece in s.pieces]
        for look in (10.0, 30.0)
    ]
    covered = [sum(b - a for a, b in pieces) for pieces in by_look]
    assert covered[0] == pytest.approx(covered[1], abs=1.0)


def test_readings_of_a_span_have_the_items_times_and_only_its_words(whisper: Speech, minute: Path) -> None:
    segments = [s for w in _hear(whisper, minute) for s in w.segments]
    start_s, end_s = segments[2].start_s - 0.4, segments[4].end_s + 0.4
    readings = list(whisper.readings(minute, start_s, end_s, Hints(), lambda: False))
    assert len(readings) > 1
    assert [s.text for s in readings[0]] == SENTENCES[2:5]
    for heard, s in zip(readings[0], segments[2:5], strict=True):  # Whisper may begin a segment with its pause
        assert (heard.start_s, heard.end_s) == pytest.approx((s.start_s, s.end_s), abs=0.5)
    for reading in readings:
        assert all(start_s <= s.start_s <= s.end_s <= end_s + 0.01 for s in reading)
        assert [s.id for s in reading] == list(range(len(reading)))


def test_readings_can_be_cancelled(whisper: Speech, minute: Path) -> None:
    with pytest.raises(Cancelled):
        list(whisper.readings(minute, 0.0, 20.0, Hints(), lambda: True))


def test_windows_say_where_somebody_speaks(speech: Speech, minute: Path) -> None:
    windows = _hear(speech, minute)
    runs = [run for w in windows for run in w.voiced]
    assert all(a < b for a, b in runs)
    assert all(one[1] <= two[0] for one, two in pairwise(runs))
    for w in windows:
        assert sum(b - a for a, b in w.voiced) == pytest.approx(w.voiced_s)
        assert all(w.start_s <= a and b <= w.end_s for a, b in w.voiced)


@pytest.mark.parametrize("span", [(0.0, 0.7), (0.4, 9.99), (5.0, 6.5), (31.25, 33.0), (30.0, 999.0)])
def test_a_span_is_the_same_sound_to_the_sample(minute: Path, span: tuple[float, float]) -> None:
    """Without decoding what is before it."""
    all_of_it, part = whole(minute, 0.0, 1000.0), whole(minute, *span)
    first, last = (int(edge * 16_000) for edge in span)
    assert np.array_equal(part.audio, all_of_it.audio[first:last])
    assert len(part.audio)


@pytest.mark.parametrize("batch", [2, 8])
def test_hearing_looks_together_gives_the_same_as_one_after_the_other(minute: Path, batch: int) -> None:
    plain, together = (FasterWhisper(NANO, MODELS, batch=n) for n in (1, batch))
    told = [[s for w in _hear(engine, minute) for s in w.segments] for engine in (plain, together)]
    assert [s.text for s in told[1]] == [s.text for s in told[0]]
    assert [s.id for s in told[1]] == [s.id for s in told[0]]
    for one, other in zip(*told, strict=True):
        assert (one.start_s, one.end_s) == pytest.approx((other.start_s, other.end_s), abs=0.3)


@pytest.mark.parametrize("model", ["base.en", "no-such-model"])
def test_a_missing_model_says_what_to_do_at_once(tmp_path: Path, model: str) -> None:
    """The hub refuses connections, in a process of its own: its address is read when its client is imported."""
    told = _without_hub(tmp_path, model, "http://127.0.0.1:9")
    assert told["error"] == "ModelMissing"
    assert ("nexus models get faster-whisper:base.en" if model == "base.en" else "there is no speech model") in told[
        "told"
    ]


def test_a_network_that_swallows_packets_does_not_hang_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = _without_hub(tmp_path, "tiny", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert told["error"] == "ModelMissing"
    assert told["seconds"] < 8
    assert told["again_s"] < 0.5  # the next item does not wait again


def _without_hub(tmp_path: Path, model: str, endpoint: str) -> dict[str, Any]:
    code = """
import json, sys, time
from pathlib import Path
from nexus_pipeline.domain.errors import NexusError
from nexus_pipeline.engines.faster_whisper import FasterWhisper
from nexus_pipeline.ports import Hints
engine = FasterWhisper(sys.argv[1], Path(sys.argv[2]), probe_s=1.0)
seconds = []
for _ in range(2):
    began = time.monotonic()
    try:
        next(engine.transcribe(Path("none.flac"), 1.0, Hints(), lambda: False))
    except NexusError as error:
        caught = error
    seconds.append(time.monotonic() - began)
print(json.dumps({"error": type(caught).__name__, "told": str(caught), "seconds": seconds[0], "again_s": seconds[1]}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, model, str(tmp_path)],
        env={
            **os.environ,
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(tmp_path / "hub"),
            "PYTHONPATH": str(MODELS.parents[1]),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_damaged_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "model.bin").write_bytes(b"half")
    with pytest.raises(EngineFailed, match="cannot be loaded"):
        next(FasterWhisper("torn", tmp_path).transcribe(tmp_path / "x.flac", 1.0, Hints(), lambda: False))


def test_get_leaves_a_model_alone_that_is_there_and_refuses_one_that_nobody_knows(tmp_path: Path) -> None:
    site = EngineSite(MODELS, tmp_path, 1, lambda: pytest.fail("not needed"))
    FasterWhisper.get(NANO, site)
    assert FasterWhisper.present(NANO, site) is None
    with pytest.raises(ModelMissing, match="no speech model 'gramophone'"):
        FasterWhisper.get("gramophone", site)


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    """Ten minutes against two; and the first window comes long before the end."""
    two = say(SENTENCES[:2], tmp_path / "two.flac", pause_s=11.0, times=4)
    ten = say(SENTENCES[:2], tmp_path / "ten.flac", pause_s=11.0, times=20)
    assert _seconds(ten) > 550
    short, long = _measured(two), _measured(ten)
    assert long["segments"] == 5 * short["segments"] == 40
    assert long["first_s"] < 0.25 * long["seconds"]
    assert long["peak_mib"] < short["peak_mib"] + 30


def _measured(path: Path) -> dict[str, float]:
    code = """
import json, resource, sys, time
from pathlib import Path
from typing import Any
from nexus_pipeline.engines.faster_whisper import FasterWhisper
from nexus_pipeline.ports import Hints
began = time.monotonic()
engine, first_s, segments = FasterWhisper(sys.argv[1], Path(sys.argv[2])), None, 0
for window in engine.transcribe(Path(sys.argv[3]), float(sys.argv[4]), Hints(), lambda: False):
    segments += len(window.segments)
    first_s = first_s or (time.monotonic() - began if window.segments else None)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": time.monotonic() - began, "first_s": first_s, "peak_mib": peak, "segments": segments}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, NANO, str(MODELS), str(path), str(_seconds(path))],
        env={**os.environ, "PYTHONPATH": str(MODELS.parents[1])},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    told: dict[str, float] = json.loads(done.stdout)
    return told

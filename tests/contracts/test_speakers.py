"""What every engine that tells speakers apart holds to, on small test models and conversations spoken by espeak-ng.

Only the partition is compared: the models' own numbers for speakers mean nothing.
"""

import json
import os
import shutil
import signal
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest

from bench.der import der
from nexus_pipeline.domain.errors import BadInput, Cancelled, EngineFailed, EngineKilled, ModelMissing
from nexus_pipeline.domain.labels import cosine
from nexus_pipeline.engines import SPEAKERS, build, sherpa_child
from nexus_pipeline.engines.channels import Channels
from nexus_pipeline.engines.sherpa_onnx import SherpaOnnx, matched
from nexus_pipeline.engines.site import EngineSite
from samples.conversations import RATE, conversations, mixed, spoken, tracks, written
from tests.speech import MODELS

NANO = "speaker-nano"
TALKS = conversations()
DER = {"sherpa-onnx": 0.02, "channels": 0.06}  # a channel's turns end where a detector of voices says


def site(folder=MODELS):
    return EngineSite(folder, Path("/nonexistent"), 1, lambda: pytest.fail("telling apart embeds no text"))


def children_of_engines():
    """Those that live and that an engine has started: the suite's own servers are children, too."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            told = " ".join(child.cmdline())
            if "nexus_pipeline" in told or "ffmpeg" in told:
                found.append(child)
    return found


def tell(engine, audio, duration_s, channels=1, *, cancelled=lambda: False, progress=lambda _: None):
    return engine.tell_apart(audio, duration_s, channels, progress, cancelled)


def turns(speaking):
    return [(t.start_s, t.end_s, t.speaker) for t in speaking.turns]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Each conversation in one channel, and with a channel a speaker."""
    folder = tmp_path_factory.mktemp("talks")
    return {
        one.id: {
            "sherpa-onnx": written(folder / f"{one.id}.flac", mixed(one)),
            "channels": written(folder / f"{one.id}-channels.flac", *tracks(one).values()),
        }
        for one in TALKS.values()
    }


@pytest.fixture(params=SPEAKERS)
def engine(request):
    return build(SPEAKERS, f"{request.param}:{NANO}", site())


def channels_of(engine, talk):
    return len(talk.speakers) if isinstance(engine, Channels) else 1


# ---------------------------------------------------------------- both


@pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS)
def test_who_speaks_when_is_told_apart(engine, made, talk):
    name = engine.name.partition(":")[0]
    found = tell(engine, made[talk.id][name], talk.duration_s, channels_of(engine, talk))
    assert len({t.speaker for t in found.turns}) == len(talk.speakers)
    assert der(talk.turns, turns(found), talk.duration_s) <= DER[name]
    assert all(a.start_s <= b.start_s for a, b in pairwise(found.turns))
    assert all(0 <= t.start_s < t.end_s <= talk.duration_s + 0.1 for t in found.turns)


def test_one_voice_alone_is_one_speaker(engine, tmp_path):
    alone = [0.5 * spoken(TALKS["two-speakers"].speakers["B"], clip.text) for clip in TALKS["two-speakers"].clips]
    path = written(tmp_path / "alone.flac", np.concatenate(alone))
    found = tell(engine, path, sum(map(len, alone)) / RATE)
    assert len({t.speaker for t in found.turns}) == 1


@pytest.mark.parametrize("source", ["silence", "noise", "tone", "nothing"])
def test_where_nobody_speaks_there_is_no_turn(engine, tmp_path, source):
    at = np.arange(15 * RATE) / RATE
    sounds = {
        "silence": np.zeros(len(at)),
        "noise": np.random.default_rng(1).normal(0, 0.05, len(at)),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * at),
        "nothing": np.zeros(1),
    }
    path = written(tmp_path / "none.flac", sounds[source].astype(np.float32))
    found = tell(engine, path, len(sounds[source]) / RATE)
    assert (found.turns, found.voices) == ((), {})


def test_progress_rises_to_its_end_and_twice_is_the_same(engine, made):
    talk, told = TALKS["two-speakers"], []
    path = made[talk.id][engine.name.partition(":")[0]]
    first = tell(engine, path, talk.duration_s, channels_of(engine, talk), progress=told.append)
    assert told == sorted(told)
    assert 0 <= told[0] <= told[-1] <= 1
    assert told[-1] > 0.8
    assert tell(engine, path, talk.duration_s, channels_of(engine, talk)) == first


def test_it_stops_within_seconds_when_it_is_cancelled(engine, tmp_path):
    talk = TALKS["two-speakers"]
    sound = np.tile(mixed(talk), 20)
    channels = (sound, sound * 0) if isinstance(engine, Channels) else (sound,)
    path = written(tmp_path / "long.flac", *channels)
    began = time.monotonic()
    with pytest.raises(Cancelled):
        tell(engine, path, len(sound) / RATE, len(channels), cancelled=lambda: time.monotonic() - began > 0.7)
    assert time.monotonic() - began < 4
    assert not children_of_engines()


def test_what_is_no_sound_fails_with_what_to_do(engine, tmp_path):
    path = tmp_path / "list.flac"
    path.write_text("#EXTM3U\nfile:///etc/hostname\n")
    with pytest.raises((EngineFailed, BadInput)) as error:
        tell(engine, path, 1.0)
    assert str(tmp_path) not in str(error.value)


def test_its_name_and_parameters_say_what_it_is(engine):
    name = engine.name.partition(":")[0]
    assert engine.parameters()["engine"] == name
    assert engine.hears == {"sherpa-onnx": "speech", "channels": "original"}[name]


# ---------------------------------------------------------------- sherpa-onnx


@pytest.fixture
def nano():
    return build(SPEAKERS, f"sherpa-onnx:{NANO}", site())


def test_voices_are_unit_vectors_alike_for_the_same_person_in_another_recording(nano, made):
    """Of each pair of voices over two conversations, the same person's is the most alike."""
    owners = {}
    for name in ("two-speakers", "three-speakers"):
        talk = TALKS[name]
        found = tell(nano, made[name]["sherpa-onnx"], talk.duration_s)
        assert found.space == NANO
        for label, voice in found.voices.items():
            assert cosine(voice, voice) == pytest.approx(1, abs=1e-3)
            said = [t for t in found.turns if t.speaker == label]
            middle = max(said, key=lambda t: t.end_s - t.start_s)
            at = (middle.start_s + middle.end_s) / 2
            [who] = [w for a, b, w in talk.turns if a <= at < b]
            owners[name, who] = voice
    for who in ("A", "B"):
        mine = owners["two-speakers", who]
        likeness = {w: cosine(mine, v) for (name, w), v in owners.items() if name == "three-speakers"}
        assert max(likeness, key=likeness.get) == who
        assert likeness[who] > 0.6


@pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS)
@pytest.mark.parametrize("piece_s", [25.0, 40.0])
def test_pieces_of_a_recording_have_the_same_speakers(made, talk, piece_s):
    engine = SherpaOnnx(NANO, site(), piece_s=piece_s)
    found = tell(engine, made[talk.id]["sherpa-onnx"], talk.duration_s)
    assert len(found.voices) == len(talk.speakers)
    assert der(talk.turns, turns(found), talk.duration_s) <= 0.04


def test_pieces_cover_a_recording_whole_and_end_where_it_is_quiet(tmp_path):
    talk = TALKS["two-speakers"]
    sound = mixed(talk)
    path = written(tmp_path / "talk.flac", sound)
    pieces = [(start, part.copy()) for start, part in sherpa_child.pieces(path, 59.2 / 3, 59.2)]
    assert len(pieces) == 3
    assert [start for start, _ in pieces] == np.cumsum([0, *(len(part) for _, part in pieces[:-1])]).tolist()
    whole = np.concatenate([part for _, part in pieces])
    assert np.abs(whole - np.clip(sound, -1, 1)).max() < 1e-3
    for start, _ in pieces[1:]:
        assert np.abs(sound[start - RATE // 20 : start + RATE // 20]).max() < 0.01


def test_a_recording_longer_than_it_was_told_to_be_is_read_to_its_end(tmp_path):
    path = written(tmp_path / "long.flac", np.zeros(60 * RATE, np.float32))
    pieces = [(start, len(part)) for start, part in sherpa_child.pieces(path, 10.0, 10.0)]
    assert sum(length for _, length in pieces) == 60 * RATE
    assert max(length for _, length in pieces) <= 15 * RATE


def test_voices_of_pieces_are_matched_and_two_of_one_piece_stay_two():
    def piece(n, **voices):
        told = {k: {"vector": list(v), "seconds": 10.0} for k, v in voices.items()}
        return {"turns": [[10.0 * n + at, 10.0 * n + at + 1, k] for at, k in enumerate(voices)], "voices": told}

    a, near_a, b = (1.0, 0.0), (0.96, 0.28), (0.0, 1.0)
    found = matched([piece(0, x=a, y=b), piece(1, p=b, q=near_a)], 0.5, 0.5, "m")
    x, y, p, q = (t.speaker for t in found.turns)
    assert (x, y) == (q, p)
    assert len(found.voices) == 2
    assert len(matched([piece(0, x=a, y=near_a)], 0.5, 0.5, "m").voices) == 2
    silent = {"turns": [[0.0, 1.0, "z"]], "voices": {"z": {"vector": [], "seconds": 0.0}}}
    assert matched([silent], 0.5, 0.5, "m").voices == {}


def test_who_says_words_only_in_a_voice_of_the_piece_is_no_speaker_of_their_own():
    a, near_a, b = (1.0, 0.0), (0.96, 0.28), (0.0, 1.0)

    def speakers(length_s, **voices):
        turns = [[0.0, 3.0, "x"], [3.0, 6.0, "y"], [7.0, 7.0 + length_s, "z"], [9.0, 9.0 + length_s, "z"]]
        told = {k: {"vector": list(v), "seconds": 3.0} for k, v in voices.items()}
        return [t.speaker for t in matched([{"turns": turns, "voices": told}], 0.5, 0.5, "m").turns]

    assert speakers(0.4, x=a, y=b, z=near_a) == ["0", "1", "0", "0"]
    assert speakers(1.2, x=a, y=b, z=near_a) == ["0", "1", "2", "2"]
    assert speakers(0.4, x=a, y=near_a, z=b) == ["0", "1", "2", "2"]


def wrong_folder(tmp_path, **files):
    folder = tmp_path / "models" / "wrong"
    folder.mkdir(parents=True)
    for name in ("segmentation", "embedding"):
        shutil.copy(MODELS / NANO / f"{name}.onnx", folder)
    for name, data in files.items():
        suffix = "json" if name == "settings" else "onnx"
        path = folder / f"{name}.{suffix}"
        path.write_bytes(data) if isinstance(data, bytes) else shutil.copy(data, path)
    return SherpaOnnx("wrong", site(tmp_path / "models"))


@pytest.mark.parametrize("name", ["segmentation", "embedding"])
@pytest.mark.parametrize("wrong", ["empty", "garbage", "half", "other"])
def test_a_wrong_model_file_is_named_and_ends_no_process_of_ours(tmp_path, made, name, wrong):
    right = (MODELS / NANO / f"{name}.onnx").read_bytes()
    other = {"segmentation": "embedding", "embedding": "segmentation"}[name]
    data = {"empty": b"", "garbage": b"no model" * 999, "half": right[: len(right) // 2], "other": None}[wrong]
    engine = wrong_folder(tmp_path, **{name: data if data is not None else MODELS / NANO / f"{other}.onnx"})
    with pytest.raises(EngineFailed, match=rf"speaker models wrong cannot be used: {name}\.onnx"):
        tell(engine, made["two-speakers"]["sherpa-onnx"], 59.2)


def test_settings_of_a_folder_are_checked(tmp_path, made):
    for wrong in (b"{", b'{"threshold": "high"}', b'{"treshold": 0.5}', b'{"threshold": 9}'):
        shutil.rmtree(tmp_path / "models", ignore_errors=True)
        engine = wrong_folder(tmp_path, settings=wrong)
        with pytest.raises(EngineFailed, match=r"settings\.json of the speaker models wrong"):
            engine.parameters()
    shutil.rmtree(tmp_path / "models")
    engine = wrong_folder(tmp_path, settings=json.dumps({"threshold": 1.9}).encode())
    assert engine.parameters()["threshold"] == "1.9"
    assert len(tell(engine, made["two-speakers"]["sherpa-onnx"], 59.2).voices) == 1


def test_missing_models_say_what_to_do(tmp_path, made):
    engine = SherpaOnnx("nowhere", site(tmp_path))
    with pytest.raises(ModelMissing, match=r"segmentation.onnx and embedding.onnx"):
        tell(engine, made["two-speakers"]["sherpa-onnx"], 59.2)
    assert "embedding.onnx" in SherpaOnnx.present("nowhere", site(tmp_path))
    assert SherpaOnnx.present(NANO, site()) is None


def test_a_killed_child_is_tried_again(nano, tmp_path):
    path = written(tmp_path / "long.flac", np.tile(mixed(TALKS["two-speakers"]), 20))

    def kill():
        while not (there := children_of_engines()):
            time.sleep(0.02)
        time.sleep(0.5)
        os.kill(there[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(EngineKilled):
        tell(nano, path, 1184.0)
    killer.join()


def peak_of_child(engine, path, duration_s):
    """Bytes of its child's largest moment, looked at again and again."""
    over, most = threading.Event(), [0]

    def look():
        while not over.wait(0.05):
            for child in children_of_engines():
                try:
                    status = Path(f"/proc/{child.pid}/status").read_text()
                except OSError:
                    continue
                found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
                most[0] = max(most[0], *(int(kb) * 1024 for kb in found), 0)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        found = tell(engine, path, duration_s)
    finally:
        over.set()
        looking.join()
    return found, most[0]


def repeated(folder, times):
    """The conversation with three speakers again and again, without holding all of it."""
    once = written(folder / "once.wav", mixed(TALKS["three-speakers"]))
    to = folder / f"{times}.flac"
    from tests.speech import ffmpeg

    ffmpeg("-stream_loop", str(times - 1), "-i", once, to)
    return to, times * TALKS["three-speakers"].duration_s


def test_memory_does_not_grow_with_the_recording(tmp_path):
    engine = SherpaOnnx(NANO, site(), piece_s=120.0)
    (_, short), (found, long) = (peak_of_child(engine, *repeated(tmp_path, times)) for times in (4, 16))
    assert len(found.voices) == 3
    assert long < short + 30e6


@pytest.mark.soak
@pytest.mark.timeout(14_400)
def test_ten_hours_take_half_a_gigabyte_and_have_the_three_speakers(nano, tmp_path):
    times = 465
    path, duration_s = repeated(tmp_path, times)
    assert duration_s > 36_000
    began = time.monotonic()
    found, peak = peak_of_child(nano, path, duration_s)
    once = TALKS["three-speakers"]
    truth = [(a + n * once.duration_s, b + n * once.duration_s, who) for n in range(times) for a, b, who in once.turns]
    error = der(truth, turns(found), duration_s)
    print(f"peak_mb={peak / 1e6:.0f} seconds={time.monotonic() - began:.0f} der={error:.4f}")  # noqa: T201
    assert len(found.voices) == 3
    assert error <= 0.02
    assert peak < 600e6


# ---------------------------------------------------------------- channels


def test_what_leaks_into_the_other_channel_is_not_said_there(tmp_path):
    talk = TALKS["two-speakers"]
    a, b = tracks(talk).values()
    path = written(tmp_path / "leak.flac", a + 0.2 * b, b + 0.2 * a)
    found = tell(Channels(), path, talk.duration_s, 2)
    assert der(talk.turns, turns(found), talk.duration_s) <= 0.06
    assert (found.voices, found.space) == ({}, "")


@pytest.mark.parametrize("factor", [1.0, -0.6])
def test_one_sound_in_two_channels_is_one_speaker(tmp_path, factor):
    sound = mixed(TALKS["two-speakers"])
    path = written(tmp_path / "both.flac", sound, factor * sound)
    found = tell(Channels(), path, 59.2, 2)
    assert {t.speaker for t in found.turns} == {"1"}


def test_a_quieter_speaker_is_heard_where_they_speak(tmp_path):
    talk = TALKS["two-speakers"]
    a, b = tracks(talk).values()
    path = written(tmp_path / "quiet.flac", a, 0.1 * b)
    assert der(talk.turns, turns(tell(Channels(), path, talk.duration_s, 2)), talk.duration_s) <= 0.06

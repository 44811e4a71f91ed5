"""The samples keep to the words of the small test model, and it hears what they say."""

import json
import re

import pytest
from faster_whisper import WhisperModel

from nexus_pipeline.engines.faster_whisper import FasterWhisper
from nexus_pipeline.engines.site import EngineSite
from samples.make import make
from samples.scripts import MODEL, scripts

LONGEST_S = 7.5
"""Of a sentence that the model hears well (its README)."""


def words(text):
    return re.findall(r"[a-z']+", text.lower())


def error_rate(said, heard):
    """Words that must be changed, added or removed, by words that were said."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1] / len(said)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return {sample.path.name: sample for sample in make(tmp_path_factory.mktemp("samples"))}


def test_every_word_of_every_script_is_one_that_the_model_knows():
    known = {word.lower() for word in (MODEL / "words.txt").read_text("utf-8").split()}
    said = {word for script in scripts() for turn in script.turns for text in turn.says for word in words(text)}
    assert len(said) > 100
    assert said - known == set()


def test_every_script_with_speech_plants_a_sentence_once():
    for script in scripts():
        said = [text for turn in script.turns for text in turn.says]
        assert [said.count(script.planted.says)] == [1] if said else script.planted is None


def test_the_samples_are_what_the_demo_needs():
    told = scripts()
    assert sorted({s.expect for s in told}) == ["done", "duplicate", "silent"]
    assert [s for s in told if s.copy_of and s.copy_of not in [before.file for before in told[: told.index(s)]]] == []
    assert [len({t.picture.text for t in s.turns}) for s in told if s.file.endswith(".mp4")] == [3]
    assert max(len({t.voice for t in s.turns}) for s in told) == 4


def test_every_sentence_is_short_enough_and_every_sample_long_enough(samples):
    spoken = [(s.end_s - s.start_s, s.text) for sample in samples.values() for s in sample.spoken]
    assert [text for seconds, text in spoken if seconds > LONGEST_S] == []
    assert [name for name, sample in samples.items() if not 20 <= sample.duration_s <= 60] == []


def test_a_copy_covers_enough_of_its_original_to_be_a_duplicate(samples):
    for sample in samples.values():
        if sample.copy_of:
            original = samples[sample.copy_of]
            assert original.duration_s >= 30
            assert sample.duration_s / original.duration_s >= 0.85


def test_making_them_again_in_the_same_folder_does_nothing(samples):
    folder = next(iter(samples.values())).path.parent
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {s.path.name: s for s in make(folder)} == samples
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_the_same_scripts_give_the_same_bytes(samples, tmp_path):
    for again in make(tmp_path):
        assert again.path.read_bytes() == samples[again.path.name].path.read_bytes(), again.path.name


def test_what_is_gone_or_of_other_scripts_is_made_again(tmp_path):
    [first, *_] = make(tmp_path)
    kept = first.path.read_bytes()
    first.path.unlink()
    make(tmp_path)
    assert first.path.read_bytes() == kept
    note = tmp_path / "expected.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "made_from": "others"}))
    first.path.write_bytes(b"of other scripts")
    make(tmp_path)
    assert first.path.read_bytes() == kept


def test_the_models_folder_is_a_model_by_its_path_whatever_the_settings(tmp_path):
    site = EngineSite(models=None, cache=tmp_path, threads=1, embedder=lambda: pytest.fail("no embedder is needed"))
    assert FasterWhisper.present(str(MODEL), site) is None
    assert FasterWhisper.present(str(MODEL.with_name("nowhere")), site) is not None


@pytest.mark.parametrize("name", ["Museum concert meeting.flac", "Kitchen podcast.mp3"])
def test_the_model_hears_what_was_said(samples, name):
    model = WhisperModel(str(MODEL), device="cpu", compute_type="int8", cpu_threads=1)
    sample = samples[name]
    pauses = {"min_silence_duration_ms": 500}
    heard, _ = model.transcribe(
        str(sample.path), condition_on_previous_text=False, vad_filter=True, vad_parameters=pauses
    )
    segments = list(heard)
    assert error_rate(words(sample.text), words(" ".join(s.text for s in segments))) <= 0.1
    start_s, _ = sample.planted_at_s()
    planted = next(s for s in segments if words(sample.planted.says) == words(s.text))
    assert planted.start == pytest.approx(start_s, abs=0.5)

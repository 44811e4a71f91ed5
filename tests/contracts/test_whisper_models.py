"""Whisper's models come from the hub by name: the real client and a real model, from a hub on loopback with faults."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_pipeline.domain.errors import Cancelled, ModelMissing
from nexus_pipeline.engines import weights, whisper_models
from nexus_pipeline.engines.faster_whisper import FasterWhisper
from nexus_pipeline.ports import Hints
from tests.hub_server import COMMIT, hub
from tests.speech import MODELS, SENTENCES, ffmpeg, speak

ROOT = Path(__file__).parents[2]
NAME = "someone/whisper-nano-en"
LENGTH = (MODELS / "whisper-nano-en" / "model.bin").stat().st_size


@pytest.fixture
def served(tmp_path):
    """A hub with the test model."""
    shutil.copytree(MODELS / "whisper-nano-en", tmp_path / "origin" / NAME)
    with hub(tmp_path / "origin") as answering:
        yield answering


def fetch(served, to, name=NAME, **more):
    return whisper_models.fetch(name, to, endpoint=served[0], probe_s=2.0, **more)


def test_a_model_comes_by_its_name_and_hears(served, tmp_path):
    told = []
    at = fetch(served, tmp_path / "models", progress=told.append)
    assert {file.name for file in at.iterdir()} == {
        "model.bin",
        "config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "vocabulary.json",
        weights.MANIFEST,
    }
    assert told[-1] == 1.0
    assert weights.damaged(at, digests=True) == []
    assert weights.manifest(at)["licence"] == "mit"
    spoken = speak(tmp_path / "spoken.wav", SENTENCES[:1])
    ffmpeg("-i", spoken, "-ar", "16000", "-ac", "1", tmp_path / "spoken.flac")
    engine = FasterWhisper(NAME, None, cache=tmp_path / "models")
    windows = engine.transcribe(tmp_path / "spoken.flac", 5.0, Hints(), lambda: False)
    assert [segment.text for window in windows for segment in window.segments] == [SENTENCES[0]]


def test_all_files_are_of_one_commit(served, tmp_path):
    fetch(served, tmp_path)
    resolved = [asked.path for asked in served[1].asked if "/resolve/" in asked.path]
    assert len(resolved) == 5
    assert all(f"/resolve/{COMMIT}/" in path for path in resolved)


def test_it_is_found_again_by_the_name_that_it_was_fetched_by(served, tmp_path):
    at = fetch(served, tmp_path)
    asked = len(served[1].asked)
    assert whisper_models.folder(NAME, None, tmp_path) == at
    assert at.name in whisper_models.offers(tmp_path)
    assert len(served[1].asked) == asked


def test_a_download_that_breaks_goes_on(served, tmp_path):
    served[1].cuts, served[1].cut_at = 2, LENGTH // 3
    assert (fetch(served, tmp_path) / "model.bin").stat().st_size == LENGTH
    assert sum(sent for sent in served[1].sent if sent >= LENGTH // 4) <= LENGTH


def test_bytes_that_the_hub_did_not_mean_are_refused(served, tmp_path):
    served[1].wrong = True
    with pytest.raises(ModelMissing, match="another digest"):
        fetch(served, tmp_path)
    assert whisper_models.folder(NAME, tmp_path) is None


def test_a_hub_that_tells_no_digests_is_not_believed(served, tmp_path):
    served[1].digests = False
    with pytest.raises(ModelMissing, match="tells no digest"):
        fetch(served, tmp_path)


def test_a_model_that_the_hub_does_not_have_is_named(served, tmp_path):
    with pytest.raises(ModelMissing, match=r"nexus models get faster-whisper:someone/none.*RepositoryNotFoundError"):
        fetch(served, tmp_path, "someone/none")


def test_a_repository_without_a_model_is_named(served, tmp_path):
    (tmp_path / "origin" / NAME / "model.bin").unlink()
    with pytest.raises(ModelMissing, match=r"has no model\.bin"):
        fetch(served, tmp_path)


@pytest.mark.parametrize("name", ["../../etc", "a/b/c", "/no/such/folder", "gramophone"])
def test_a_name_that_no_hub_could_have_writes_nothing(served, tmp_path, name):
    with pytest.raises(ModelMissing):
        fetch(served, tmp_path / "models", name)
    assert not (tmp_path / "models").exists()


def test_a_store_that_falls_silent_is_given_up(served, tmp_path):
    served[1].quiet = True
    with pytest.raises(ModelMissing, match="does not answer"):
        fetch(served, tmp_path)


def test_cancelling_stops_a_slow_download(served, tmp_path):
    served[1].pace_s = 0.2
    came = []
    with pytest.raises(Cancelled):
        fetch(served, tmp_path, progress=came.append, cancelled=lambda: bool(came))
    assert whisper_models.folder(NAME, tmp_path) is None


def test_a_person_fetches_lists_and_removes_it(served, tmp_path):
    """The whole way of the command line; the hub's address is read from HF_ENDPOINT when its client is imported."""
    env = {
        **os.environ,
        "HF_ENDPOINT": served[0],
        "HF_HOME": str(tmp_path / "hub"),
        "NEXUS_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
    }

    def nexus(*arguments):
        command = [sys.executable, "-m", "nexus_api.cli", "models", *arguments, "--json"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    spec = f"faster-whisper:{NAME}"
    at = tmp_path / "home" / "cache" / "models" / "someone--whisper-nano-en"
    assert nexus("get", spec) == {"engine": spec, "ready": True}
    assert (at / "model.bin").stat().st_size == LENGTH
    [row] = [row for row in nexus("--check")["models"] if row["place"] == str(at)]
    assert (row["state"], row["licence"]) == ("ready", "mit")
    removed = nexus("rm", spec, "--yes")
    assert (removed["engine"], removed["place"]) == (spec, str(at))
    assert removed["freed_bytes"] > LENGTH
    assert not at.exists()

"""`nexus models` over folders that hold models: what is there, what is damaged, what may be removed."""

import hashlib
import json
import shutil

import pytest

from nexus_api.lock import held
from nexus_pipeline.engines import weights
from tests.commands import ROOT, document, nexus

NANO = "whisper-nano-en"
SPEC = f"faster-whisper:{NANO}"


@pytest.fixture
def models(home, tmp_path, monkeypatch):
    """NEXUS_MODELS with the test model in it, as if it had been fetched."""
    folder = tmp_path / "models"
    shutil.copytree(ROOT / "samples" / "models" / NANO, folder / NANO)
    names = ("model.bin", "config.json")
    files = {name: (folder / NANO / name).read_bytes() for name in names}
    told = {
        name: {"digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "bytes": len(data)}
        for name, data in files.items()
    }
    (folder / NANO / weights.MANIFEST).write_text(json.dumps({"name": NANO, "licence": "MIT", "files": told}))
    monkeypatch.setenv("NEXUS_MODELS", str(folder))
    return folder


def row(*arguments):
    [found] = [row for row in document("models", *arguments)["models"] if row["engine"] == SPEC]
    return found


def test_a_model_is_listed_with_where_it_lies_and_on_what_terms(models):
    found = row()
    assert (found["state"], found["place"], found["licence"]) == ("ready", str(models / NANO), "MIT")
    assert found["bytes"] > (models / NANO / "model.bin").stat().st_size
    assert not found["chosen"]


def test_what_can_be_fetched_is_listed_with_size_and_licence(home):
    rows = {row["engine"]: row for row in document("models")["models"]}
    tiny = rows["faster-whisper:tiny"]
    assert (tiny["state"], tiny["licence"], tiny["place"]) == ("missing", "MIT", None)
    assert tiny["bytes"] > 70_000_000
    assert "nexus models get faster-whisper:tiny" in tiny["missing"]
    assert str(home / "cache" / "models") in tiny["missing"]
    assert rows["sidecar"]["ready"]


def test_checking_finds_a_model_that_is_damaged_and_ends_with_1(models):
    assert row("--check")["state"] == "ready"
    path = models / NANO / "model.bin"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    assert row()["state"] == "ready"
    told = nexus("models", "--check", code=1)
    assert f"{SPEC} is damaged (model.bin): `nexus models get {SPEC}` fetches it anew" in told.stderr
    assert [line.split("\t")[2] for line in told.stdout.splitlines() if line.startswith(SPEC)] == ["damaged"]


def test_a_model_that_is_cut_off_is_seen_without_checking(models):
    (models / NANO / "model.bin").write_bytes(b"half")
    assert row()["state"] == "damaged"


def test_a_model_is_removed_when_a_person_says_so(models):
    nexus("models", "rm", SPEC, input="n\n", code=1)
    assert (models / NANO).is_dir()
    told = nexus("models", "rm", SPEC, input="y\n")
    assert f"removed {SPEC}" in told.stdout
    assert not (models / NANO).exists()
    assert f"{SPEC} has no model on this machine" in nexus("models", "rm", SPEC, "--yes", code=1).stderr


def test_removing_what_is_chosen_and_in_use_says_so(models, home, monkeypatch):
    monkeypatch.setenv("NEXUS_SPEECH", SPEC)
    with held(home):
        told = nexus("models", "rm", SPEC, "--yes")
    assert "Nexus is running: what it has loaded goes on working" in told.stderr
    assert "it is fetched again when it is next needed" in told.stderr


def test_a_folder_that_is_not_ours_is_not_removed(models, tmp_path):
    elsewhere = shutil.copytree(models / NANO, tmp_path / "elsewhere" / "mine")
    told = nexus("models", "rm", f"faster-whisper:{elsewhere}", "--yes", code=1)
    assert "remove it by hand" in told.stderr
    assert (elsewhere / "model.bin").is_file()
    assert "remove it by hand" in nexus("models", "rm", "minilm", "--yes", code=1).stderr


def test_an_engine_without_weights_has_nothing_to_remove(home):
    assert "local has no model on this machine" in nexus("models", "rm", "local", "--yes", code=1).stderr
    assert "there is no engine 'parrot'" in nexus("models", "rm", "parrot", "--yes", code=1).stderr

"""Weights come whole or not at all: checked, once for all processes, going on where they broke."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from nexus_pipeline.domain.errors import BadInput, Cancelled, ModelMissing
from nexus_pipeline.engines import speaker_models, weights
from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.engines.transfer import TRIES, Address
from nexus_pipeline.engines.weights import Weights
from tests.hub_server import hub

ROOT = Path(__file__).parents[2]
DATA = hashlib.shake_256(b"weights").digest(600_000)
MEMBER = hashlib.shake_256(b"member").digest(50_000)


def sha256(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def packed(path, members):
    with tarfile.open(path, "w:bz2") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path.read_bytes()


@pytest.fixture
def origin(tmp_path):
    folder = tmp_path / "origin"
    folder.mkdir()
    (folder / "big.onnx").write_bytes(DATA)
    packed(folder / "small.tar.bz2", {"m/model.onnx": MEMBER, "../evil": b"evil", "m/LICENSE": b"MIT"})
    with hub(folder) as served:
        yield served


@pytest.fixture
def two(origin, tmp_path):
    """One model of two files: as it is, and out of an archive."""
    archive = (tmp_path / "origin" / "small.tar.bz2").read_bytes()
    return Weights(
        "two",
        {
            "big.onnx": Address(f"{origin[0]}/files/big.onnx", sha256(DATA), len(DATA)),
            "small.onnx": Address(
                f"{origin[0]}/files/small.tar.bz2", sha256(archive), len(archive), member="m/model.onnx"
            ),
        },
        "MIT",
        texts={"settings.json": "{}"},
    )


@pytest.fixture
def one(origin):
    return Weights("one", {"big.onnx": Address(f"{origin[0]}/files/big.onnx", sha256(DATA), len(DATA))})


def fetch(model, to, *, cancelled=lambda: False, progress=lambda _: None, probe_s=5.0):
    return weights.fetch(model, to, progress, cancelled, probe_s=probe_s)


def site(models, tmp_path):
    return EngineSite(models, tmp_path / "cache", 1, lambda: pytest.fail("not needed"))


# ---------------------------------------------------------------- coming


def test_a_model_is_a_whole_folder_that_says_what_it_was(two, tmp_path):
    told = []
    at = fetch(two, tmp_path / "models", progress=told.append)
    assert {file.name: file.read_bytes() for file in at.iterdir() if file.suffix == ".onnx"} == {
        "big.onnx": DATA,
        "small.onnx": MEMBER,
    }
    assert weights.manifest(at)["files"]["small.onnx"]["digest"] == sha256(MEMBER)
    assert weights.manifest(at)["licence"] == "MIT"
    assert (at / "settings.json").read_text() == "{}"
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert not (tmp_path / "evil").exists()
    assert [p.name for p in (tmp_path / "models").iterdir() if p.is_dir()] == ["two"]


def test_what_is_there_is_not_fetched_again(one, origin, tmp_path):
    fetch(one, tmp_path)
    fetch(one, tmp_path)
    assert len(origin[1].sent) == 1


def test_a_download_that_breaks_goes_on_where_it_stopped(one, origin, tmp_path):
    origin[1].cuts, origin[1].cut_at = 2, 200_000
    assert (fetch(one, tmp_path) / "big.onnx").read_bytes() == DATA
    assert origin[1].sent == [200_000] * 3
    assert [asked.range for asked in origin[1].asked] == [None, "bytes=200000-", "bytes=400000-"]


def test_a_download_that_breaks_again_and_again_is_kept_for_the_next_time(one, origin, tmp_path):
    origin[1].cuts, origin[1].cut_at = TRIES, 100_000
    with pytest.raises(ModelMissing, match="goes on from there next time"):
        fetch(one, tmp_path)
    assert not (tmp_path / "one").exists()
    assert (fetch(one, tmp_path) / "big.onnx").read_bytes() == DATA
    assert sum(origin[1].sent) == len(DATA)


def test_a_server_that_knows_no_ranges_sends_it_all_again(one, origin, tmp_path):
    origin[1].cuts, origin[1].cut_at, origin[1].ranges = 1, 200_000, False
    assert (fetch(one, tmp_path) / "big.onnx").read_bytes() == DATA
    assert origin[1].sent == [200_000, len(DATA)]


def test_other_bytes_than_told_are_refused_and_not_kept(one, origin, tmp_path):
    origin[1].wrong = True
    with pytest.raises(ModelMissing, match="another digest"):
        fetch(one, tmp_path)
    assert list((tmp_path / ".one.part").iterdir()) == []
    assert not (tmp_path / "one").exists()
    origin[1].wrong = False
    assert (fetch(one, tmp_path) / "big.onnx").read_bytes() == DATA


def test_more_bytes_than_told_are_not_taken(origin, tmp_path):
    model = Weights("x", {"big.onnx": Address(f"{origin[0]}/files/big.onnx", sha256(DATA[:9]), 9)})
    with pytest.raises(ModelMissing, match="more than the 9 bytes"):
        fetch(model, tmp_path)


def test_a_leftover_that_is_damaged_is_fetched_anew(one, origin, tmp_path):
    part = tmp_path / ".one.part" / f"{hashlib.sha256(DATA).hexdigest()}.part"
    part.parent.mkdir()
    part.write_bytes(b"not the beginning of it")
    assert (fetch(one, tmp_path) / "big.onnx").read_bytes() == DATA
    assert origin[1].sent == [len(DATA) - 23, len(DATA)]


# ---------------------------------------------------------------- not coming


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_server_that_refuses_is_named_with_its_answer(one, origin, tmp_path, status):
    origin[1].status = status
    with pytest.raises(ModelMissing, match=rf"127\.0\.0\.1 answers {status} for /files/big\.onnx"):
        fetch(one, tmp_path)


def test_a_server_that_says_nothing_is_given_up(one, origin, tmp_path):
    origin[1].quiet = True
    began = time.monotonic()
    with pytest.raises(ModelMissing, match=r"does not answer \(ReadTimeout\)"):
        fetch(one, tmp_path, probe_s=0.5)
    assert time.monotonic() - began < 5


def test_a_drip_is_no_download(one, origin, tmp_path):
    origin[1].block, origin[1].pace_s = 20, 0.1
    began = time.monotonic()
    with pytest.raises(ModelMissing, match="goes on from there next time"):
        fetch(one, tmp_path, probe_s=0.3)
    assert time.monotonic() - began < 30


def test_where_a_persons_folder_may_not_be_written_models_go_into_our_own(tmp_path):
    (tmp_path / "file").write_text("")
    ours = tmp_path / "cache" / "models"
    assert weights.target([tmp_path / "mine", ours]) == tmp_path / "mine"
    assert weights.target([tmp_path / "file" / "mine", ours]) == ours
    assert weights.target([tmp_path / "file" / "mine"]) == tmp_path / "file" / "mine"


def test_nobody_there_is_said_at_once(tmp_path):
    model = Weights("x", {"x": Address("http://127.0.0.1:9/x", sha256(b"x"), 1)})
    with pytest.raises(ModelMissing, match=r"does not answer \(ConnectError\)"):
        fetch(model, tmp_path)


def test_models_come_by_https_alone_wherever_an_address_leads(origin, tmp_path):
    model = Weights("x", {"x": Address(f"{origin[0]}/to/http://models.example/x", sha256(b"x"), 1)})
    with pytest.raises(ModelMissing, match="by https only"):
        fetch(model, tmp_path)


def test_an_address_that_leads_round_in_circles_is_given_up(origin, tmp_path):
    with pytest.raises(ModelMissing, match="leads on and on"):
        fetch(Weights("x", {"x": Address(f"{origin[0]}/round", sha256(b"x"), 1)}), tmp_path)


def test_a_token_goes_to_the_hub_and_not_to_where_it_leads(origin, tmp_path):
    with hub(tmp_path / "origin") as (elsewhere, store):
        url = f"{origin[0]}/to/{elsewhere}/files/big.onnx"
        model = Weights("x", {"big.onnx": Address(url, sha256(DATA), len(DATA))})
        weights.fetch(model, tmp_path, lambda _: None, lambda: False, headers={"Authorization": "Bearer planted"})
    assert [asked.token for asked in origin[1].asked] == ["Bearer planted"]
    assert [asked.token for asked in store.asked] == [None]


def test_without_room_nothing_is_begun(origin, tmp_path):
    model = Weights("x", {"big.onnx": Address(f"{origin[0]}/files/big.onnx", sha256(DATA), 10**17)})
    with pytest.raises(ModelMissing, match=r"needs 100000000000 MB in .* MB are free"):
        fetch(model, tmp_path)
    assert origin[1].asked == []


def test_a_place_that_cannot_be_written_is_named(one, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelMissing, match="set NEXUS_MODELS to a folder where you may write"):
        fetch(one, tmp_path / "file" / "models")


def test_a_folder_of_a_person_that_lacks_files_is_left_alone(one, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "mine.txt").write_text("mine")
    with pytest.raises(ModelMissing, match="lacks files: complete it"):
        fetch(one, tmp_path)
    assert (tmp_path / "one" / "mine.txt").read_text() == "mine"


def test_a_folder_of_ours_that_lacks_files_is_fetched_anew(one, tmp_path):
    (fetch(one, tmp_path) / "big.onnx").unlink()
    assert (fetch(one, tmp_path) / "big.onnx").read_bytes() == DATA


def test_an_archive_without_the_file_or_with_a_link_in_its_place_is_refused(origin, tmp_path):
    path = tmp_path / "origin" / "linked.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("m/model.onnx")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    for member in ("m/model.onnx", "m/other.onnx"):
        data = path.read_bytes()
        address = Address(f"{origin[0]}/files/linked.tar", sha256(data), len(data), member=member)
        with pytest.raises(ModelMissing, match="in the archive"):
            fetch(Weights("x", {"x.onnx": address}), tmp_path)
    assert not (tmp_path / "x").exists()


# ---------------------------------------------------------------- stopping, racing, dying


def test_cancelling_is_seen_at_once_and_what_has_come_is_kept(one, origin, tmp_path):
    origin[1].pace_s = 0.1
    came = threading.Event()
    asked_at = []

    def cancelled():
        if came.is_set():
            asked_at.append(time.monotonic())
        return came.is_set()

    with pytest.raises(Cancelled):
        fetch(one, tmp_path, cancelled=cancelled, progress=lambda done: came.set() if done > 0.2 else None)
    assert time.monotonic() - asked_at[0] < 1
    origin[1].pace_s = 0.0
    assert (fetch(one, tmp_path) / "big.onnx").read_bytes() == DATA
    assert origin[1].asked[-1].range is not None


def test_cancelling_does_not_wait_for_a_server_that_says_nothing(one, origin, tmp_path):
    origin[1].quiet = True
    began = time.monotonic()
    with pytest.raises(Cancelled):
        fetch(one, tmp_path, cancelled=lambda: time.monotonic() > began + 0.5, probe_s=10)
    assert time.monotonic() - began < 2


FETCH = """
import json, sys
from pathlib import Path
from nexus_pipeline.engines.transfer import Address
from nexus_pipeline.engines.weights import Weights, fetch
told = json.loads(sys.argv[1])
model = Weights("one", {"big.onnx": Address(told["url"], told["digest"], told["bytes"])})
print(fetch(model, Path(sys.argv[2]), lambda done: None, lambda: False))
"""


def another_process(one, to):
    [address] = one.files.values()
    told = json.dumps({"url": address.url, "digest": address.digest, "bytes": address.bytes})
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", FETCH, told, str(to)], stdout=subprocess.PIPE, text=True, env=env)


def test_processes_that_race_fetch_once(one, origin, tmp_path):
    origin[1].pace_s = 0.02
    racers = [another_process(one, tmp_path) for _ in range(3)]
    told = {racer.communicate(timeout=60)[0].strip() for racer in racers}
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert told == {str(tmp_path / "one")}
    assert origin[1].sent == [len(DATA)]


def test_what_a_killed_process_has_fetched_is_gone_on_with(one, origin, tmp_path):
    origin[1].pace_s = 0.1
    killed = another_process(one, tmp_path)
    part = tmp_path / ".one.part" / f"{hashlib.sha256(DATA).hexdigest()}.part"
    by = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 100_000):
        assert time.monotonic() < by
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=10)
    assert not (tmp_path / "one").exists()
    origin[1].pace_s = 0.0
    assert (fetch(one, tmp_path) / "big.onnx").read_bytes() == DATA
    assert int(origin[1].asked[-1].range.removeprefix("bytes=").removesuffix("-")) > 100_000


# ---------------------------------------------------------------- kept


def test_damage_is_found_by_length_at_once_and_by_digest_when_asked(one, tmp_path):
    at = fetch(one, tmp_path)
    assert weights.damaged(at, digests=True) == []
    (at / "big.onnx").write_bytes(DATA[:-1] + b"x")
    assert weights.damaged(at, digests=False) == []
    assert weights.damaged(at, digests=True) == ["big.onnx"]
    (at / "big.onnx").write_bytes(DATA[:-1])
    assert weights.damaged(at, digests=False) == ["big.onnx"]
    (at / weights.MANIFEST).unlink()
    assert weights.damaged(at, digests=True) is None


def test_a_model_is_removed_with_what_it_held(one, tmp_path):
    at = fetch(one, tmp_path / "models")
    assert weights.remove(at, site(tmp_path / "models", tmp_path)) > len(DATA)
    assert not at.exists()
    assert [p for p in (tmp_path / "models").iterdir() if p.is_dir()] == []


@pytest.mark.parametrize("where", ["elsewhere/model", "models/deep/model", "models/../elsewhere/model"])
def test_what_lies_elsewhere_is_not_removed(tmp_path, where):
    at = tmp_path / where
    (tmp_path / "models").mkdir()
    at.resolve().mkdir(parents=True)
    with pytest.raises(BadInput, match="remove it by hand"):
        weights.remove(at, site(tmp_path / "models", tmp_path))
    assert at.resolve().is_dir()


def test_of_a_link_only_the_link_is_removed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "linked").symlink_to(tmp_path / "elsewhere")
    weights.remove(tmp_path / "models" / "linked", site(tmp_path / "models", tmp_path))
    assert (tmp_path / "elsewhere").is_dir()
    assert not (tmp_path / "models" / "linked").is_symlink()


# ---------------------------------------------------------------- speakers


def test_speaker_models_without_network_say_what_to_put_where(tmp_path, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    told = site(tmp_path / "models", tmp_path)
    with pytest.raises(ModelMissing) as caught:
        speaker_models.fetch(speaker_models.DEFAULT, told, lambda _: None, lambda: False, probe_s=2.0)
    said = str(caught.value)
    assert "nexus models get sherpa-onnx:titanet-small" in said
    assert str(tmp_path / "models" / "sherpa-onnx-titanet-small") in said
    for address in speaker_models.MODELS[speaker_models.DEFAULT].files.values():
        assert address.url in said


def test_speaker_models_put_there_by_hand_are_found_and_offered(tmp_path):
    told = site(tmp_path / "models", tmp_path)
    mine = tmp_path / "models" / "mine"
    mine.mkdir(parents=True)
    (mine / speaker_models.SEGMENTATION).write_bytes(b"s")
    assert speaker_models.folder("mine", told) is None
    (mine / speaker_models.EMBEDDING).write_bytes(b"e")
    assert speaker_models.folder("mine", told) == mine
    assert speaker_models.folder(str(mine), told) == mine
    assert set(speaker_models.offers(told)) == {"mine", *speaker_models.MODELS}
    assert speaker_models.fetch("mine", told, lambda _: None, lambda: False) == mine
    with pytest.raises(ModelMissing, match="there is no speaker model 'yours'"):
        speaker_models.fetch("yours", told, lambda _: None, lambda: False)

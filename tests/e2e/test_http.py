"""All of Nexus by HTTP alone: upload, follow, search, play the found second, delete. And the command line as client."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from nexus_pipeline.domain.chain import STEPS
from tests.api.server import Following, Stream
from tests.e2e.nexus import ROOT, Nexus
from tests.speech import SENTENCES, speak


@pytest.fixture(scope="module")
def nexus(tmp_path_factory):
    nexus = Nexus(tmp_path_factory.mktemp("by http"))
    try:
        yield nexus.start()
    finally:
        nexus.close()


@pytest.fixture(scope="module")
def http(nexus):
    with httpx.Client(base_url=f"http://127.0.0.1:{nexus.port}", trust_env=False, timeout=60) as client:
        yield client


def upload(http, path, **fields):
    with path.open("rb") as file:
        return http.post("/api/media/file", files={"file": (path.name, file)}, data=fields)


def test_from_an_upload_to_the_second_that_plays_and_to_nothing(nexus, http, tmp_path):
    path = speak(tmp_path / "talk.wav", SENTENCES[:4])
    data = path.read_bytes()
    following = Following(Stream(str(http.base_url), "/api/events"))
    sent = upload(http, path, title="A talk", tags="pianos")
    assert sent.status_code == 202
    item = sent.json()["id"]
    own = Following(Stream(str(http.base_url), f"/api/media/{item}/events"))
    heard = own.ended(60)
    assert [e.event for e in heard][-1] == "end"
    landed = [e.data["step"] for e in heard if e.event == "step" and e.data["state"] in {"done", "skipped"}]
    assert list(dict.fromkeys(landed)) == list(STEPS)
    said = "".join(s["text"] for e in heard if e.event == "segments" for s in e.data["segments"])
    assert "piano" in said
    everything = following.until(
        lambda events: any(e.data.get("state") == "done" and e.data.get("step") == "embedding" for e in events)
    )
    assert {e.data["item_id"] for e in everything} == {item}
    following.close()

    [best, *_] = http.post("/api/search", json={"query": "share the schedule with the client"}).json()["hits"]
    assert best["item_id"] == item
    with wave.open(str(path)) as sound:
        a_second = sound.getframerate() * sound.getsampwidth() * sound.getnchannels()
        length_s = sound.getnframes() / sound.getframerate()
    segments = http.get(f"/api/media/{item}/transcript").json()["segments"]
    [second] = [s["start_s"] for s in segments if "schedule" in s["text"]]
    assert best["start_s"] <= second <= best["end_s"] < length_s
    at = len(data) - int(length_s * a_second) + int(second) * a_second
    played = http.get(best["play_url"].partition("#")[0], headers={"range": f"bytes={at}-{at + a_second - 1}"})
    assert (played.status_code, played.content) == (206, data[at : at + a_second])

    assert http.delete(f"/api/media/{item}").status_code == 202
    assert http.get(f"/api/media/{item}").status_code == 404
    assert http.post("/api/search", json={"query": "schedule", "mode": "words"}).json()["hits"] == []
    nexus.until("its blobs are gone", lambda: http.get(f"/api/receipts/{item}").json()["erased"]["blobs"], 10)
    folder = nexus.home / "blobs" / "items" / "local" / item
    nexus.until("its folder is gone", lambda: not folder.exists(), 10)


def test_twenty_uploads_side_by_side_are_twenty_items(nexus, http, tmp_path):
    paths = [speak(tmp_path / f"{n}.wav", [f"Number {n}. {SENTENCES[n % len(SENTENCES)]}"]) for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda path: upload(http, path), [*paths, *paths[:5]]))
    assert {a.status_code for a in answers} <= {200, 202}
    ids = {a.json()["id"] for a in answers}
    assert len(ids) == 20
    nexus.until("twenty are done", lambda: done(http, ids) == 20, 120, every_s=0.5)
    for path, answer in zip(paths, answers, strict=False):
        kept = http.get(f"/api/media/{answer.json()['id']}/file").content
        assert hashlib.sha256(kept).digest() == hashlib.sha256(path.read_bytes()).digest()


def done(http, ids):
    items = http.get("/api/media", params={"id": list(ids), "limit": 200}).json()["items"]
    return sum(item["state"] in {"done", "duplicate"} for item in items)


def test_a_client_that_goes_away_while_uploading_leaves_nothing(nexus, http):
    before = {item["id"] for item in http.get("/api/media?limit=200").json()["items"]}

    def pieces():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="half.wav"\r\n\r\n'
        for _ in range(64):
            yield b"x" * 65536
        raise KeyboardInterrupt

    with suppress(KeyboardInterrupt, httpx.HTTPError):
        http.post("/api/media/file", content=pieces(), headers={"content-type": "multipart/form-data; boundary=b"})
    nexus.until("nothing is left of it", lambda: not scratch(nexus), 10)
    assert {item["id"] for item in http.get("/api/media?limit=200").json()["items"]} == before


def scratch(nexus):
    return [p for p in (nexus.home / "cache" / "scratch").rglob("upload-*/*") if p.is_file()]


def test_a_server_killed_while_uploading_loses_nothing_and_takes_the_file_again(nexus, http, tmp_path):
    path = speak(tmp_path / "again.wav", ["Plant the bean in summer and give it water."])
    port, began = nexus.port, threading.Event()

    def pieces():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="again.wav"\r\n\r\n'
        yield path.read_bytes()[:50_000]
        began.set()
        time.sleep(30)

    def send():
        with suppress(httpx.HTTPError):
            httpx.post(
                f"http://127.0.0.1:{port}/api/media/file",
                content=pieces(),
                trust_env=False,
                headers={"content-type": "multipart/form-data; boundary=b"},
                timeout=40,
            )

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    assert began.wait(10)
    nexus.until("the upload grows", lambda: scratch(nexus), 10)
    os.kill(api(nexus), signal.SIGKILL)
    nexus.until("the API is back", lambda: answers(http), 30)
    nexus.until("nothing is left of it", lambda: not scratch(nexus), 20)
    sent = upload(http, path)
    assert sent.status_code == 202
    nexus.until("it is done", lambda: done(http, [sent.json()["id"]]) == 1, 60)
    [best, *_] = http.post("/api/search", json={"query": "plant the bean and give it water"}).json()["hits"]
    assert best["item_id"] == sent.json()["id"]


def api(nexus):
    return next(p.pid for p in nexus.processes() if "nexus_api.app:create_app" in p.cmdline())


def answers(http):
    with suppress(httpx.HTTPError):
        return http.get("/health/ready").status_code == 200
    return False


def test_the_command_line_is_a_client_of_the_server(nexus, http, tmp_path):
    path = speak(tmp_path / "client.wav", ["My sister wants to visit the island in August."])
    here, there = nexus.environment, client_of(nexus, tmp_path)
    added = json.loads(run(there, "add", path, "--tag", "birds", "--wait", "--json"))["items"][0]
    assert (added["state"], added["tags"][0]) == ("done", "birds")
    for command in (
        ("show", added["id"][:6], "--json"),
        ("ls", "--json", "--limit", "5"),
        ("ls", "--tag", "birds", "--json"),
        ("transcript", added["id"], "--format", "srt"),
    ):
        assert run(there, *command) == run(here, *command), command
    mine, theirs = (json.loads(run(env, "search", "visit the island in August", "--json")) for env in (here, there))
    assert [h["item_id"] for h in theirs["hits"]] == [h["item_id"] for h in mine["hits"]]
    assert theirs["hits"][0]["item_id"] == added["id"]
    assert (
        json.loads(run(there, "rerun", added["id"], "--from", "embedding", "--json"))["items"][0]["id"] == added["id"]
    )
    assert "there is no item" in run(there, "show", "zzzzzzzzzzzzzzzz", code=1)
    run(there, "rm", added["id"], "--yes")
    run(there, "show", added["id"], code=1)
    run(there, "rebuild", code=2)
    run(there | {"NEXUS_URL": "http://127.0.0.1:9"}, "ls", code=3)


def client_of(nexus, folder):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("NEXUS_", "DAGSTER_"))}
    return clean | {"NEXUS_URL": f"http://127.0.0.1:{nexus.port}", "NEXUS_HOME": str(folder / "nowhere")}


def run(environment, *arguments, code=0):
    argv = [sys.executable, "-m", "nexus_api.cli", *map(str, arguments)]
    done = subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout + (done.stderr if code else "")

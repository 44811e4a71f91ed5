"""`nexus doctor`: each thing that can be wrong is really broken, found, and told with a line that mends it."""

import json
import os
import shutil
import socket
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa

from nexus_api.diagnosis.home import Mount, network
from nexus_api.diagnosis.machine import ENCODERS
from nexus_api.diagnosis.running import PORTS
from nexus_api.lock import held
from nexus_pipeline.catalog.tables import leases
from nexus_pipeline.domain.states import State, StepStatus
from nexus_pipeline.settings import unknown
from tests.api.server import Server
from tests.commands import ROOT, added, heard, landed, nexus
from tests.terminal import bare, on_terminal

NANO = "faster-whisper:whisper-nano-en"


@pytest.fixture
def well(home, monkeypatch):
    """A home in which nothing is wrong; ports may be taken on a machine that tests other things."""
    monkeypatch.setenv("NEXUS_MODELS", str(ROOT / "samples" / "models"))
    monkeypatch.setenv("NEXUS_SPEECH", NANO)
    return home


def looked_at(*arguments, code=0):
    """All checks by name; of several with one name those that are not fine count."""
    told = json.loads(nexus("doctor", "--json", *arguments, code=code).stdout)
    assert told["ok"] == (code == 0)
    assert [one for one in told["checks"] if one["level"] != "fine" and not one["hint"]] == []
    return told["checks"]


def found(checks, name, level):
    return [one for one in checks if one["name"] == name and one["level"] == level]


def only(checks, name, level):
    [one] = found(checks, name, level)
    return one


def test_where_all_is_well_it_ends_with_0_and_says_what_auto_chose(well):
    checks = looked_at()
    names = {one["name"] for one in checks}
    assert {"settings", "python", "ffmpeg", "codecs", "chromaprint", "home", "space", "catalog", "blobs"} <= names
    assert {"inbox", "archive", "transcript", "enrichment", "answers", "items", "nexus up"} <= names
    assert [one for one in checks if one["level"] != "fine" and one["name"] != "ports"] == []
    assert only(checks, "transcript", "fine")["found"] == NANO
    assert "auto" in only(checks, "enrichment", "fine")["found"]


def test_it_is_read_on_a_terminal_of_any_width(well, monkeypatch):
    monkeypatch.setenv("NEXUS_SPEACH", "none")
    for columns in (40, 140):
        seen = bare(on_terminal("doctor", columns=columns))
        assert "warn" in seen
        assert all(len(line.rstrip()) <= columns for line in seen.splitlines())
    assert '$ export NEXUS_SPEECH="$NEXUS_SPEACH"; unset NEXUS_SPEACH' in seen


# ---------------------------------------------------------------- settings


def test_a_setting_that_is_none_is_named_with_the_nearest_right_one(well, monkeypatch, tmp_path):
    monkeypatch.setenv("NEXUS_SPEACH", "none")
    (tmp_path / ".env").write_text("NEXUS_TRANSLATE_INTO=de\nNEXUS_NONSENSE=1\nOTHER=2\n")
    told = {one["found"].split()[0]: one for one in found(looked_at(), "settings", "warning")}
    assert "did you mean NEXUS_SPEECH?" in told["NEXUS_SPEACH"]["hint"]
    assert "did you mean NEXUS_TRANSLATE_TO?" in told["NEXUS_TRANSLATE_INTO"]["hint"]
    assert told["NEXUS_NONSENSE"]["line"] == "unset NEXUS_NONSENSE"
    assert set(unknown()) == set(told)


def test_a_setting_that_cannot_be_read_is_wrong_and_its_value_is_not_shown(home, monkeypatch):
    monkeypatch.setenv("NEXUS_BATCH", "s3cret")
    told = nexus("doctor", "--json", code=1)
    assert "s3cret" not in told.output
    assert only(json.loads(told.stdout)["checks"], "settings", "wrong")["line"] == "unset NEXUS_BATCH"


@pytest.mark.parametrize(
    ("told", "level", "words"),
    [
        ({"NEXUS_KEY": "x"}, "warning", "NEXUS_URL is not"),
        ({"NEXUS_S3_ENDPOINT": "http://127.0.0.1:9"}, "warning", "nothing lies on S3"),
        ({"NEXUS_KNOW_VOICES": "true"}, "warning", "speakers are not told apart"),
        ({"NEXUS_MODELS": "/nowhere/models"}, "warning", "there is no folder"),
        ({"NEXUS_TRANSLATOR": "whisper"}, "warning", "names no language"),
        ({"NEXUS_TRANSLATE_TO": "en", "NEXUS_TRANSLATOR": "none"}, "warning", "NEXUS_TRANSLATOR is none"),
        ({"NEXUS_TRANSLATE_TO": "en,de"}, "wrong", "wants de, and the speech model translates into English only"),
    ],
)
def test_settings_that_do_not_go_together_are_told(well, monkeypatch, told, level, words):
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    checks = looked_at(code=int(level == "wrong"))
    assert any(words in one["found"] and one["line"] for one in found(checks, "settings", level)), checks


# ---------------------------------------------------------------- the machine, the home


def programs(folder, **scripts):
    """A PATH on which these are all that there is, beside what Python needs."""
    folder.mkdir()
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_a_machine_without_ffmpeg_is_found(well, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", programs(tmp_path / "bin"))
    checks = looked_at(code=1)
    assert only(checks, "ffmpeg", "wrong")["line"] == "sudo apt-get install ffmpeg"
    assert only(checks, "ffprobe", "wrong")


def test_an_ffmpeg_that_lacks_an_encoder_is_found(well, monkeypatch, tmp_path):
    real = shutil.which("ffmpeg")
    folder = programs(tmp_path / "bin", ffmpeg=f'{real} "$@" | {shutil.which("grep")} -v libwebp', ffprobe="exit 0")
    monkeypatch.setenv("PATH", f"{folder}:/nowhere")
    one = only(looked_at(code=1), "codecs", "wrong")
    assert "libwebp (thumbnails)" in one["found"]
    assert "flac" not in one["found"]


def test_an_ffmpeg_that_does_not_start_is_found(well, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", ffmpeg="exit 3", ffprobe="exit 0"))
    assert "does not say what it encodes" in only(looked_at(code=1), "codecs", "wrong")["found"]


def test_the_encoders_that_are_looked_for_are_those_that_are_used():
    used = (ROOT / "nexus_pipeline" / "engines" / "ffmpeg.py").read_text("utf-8")
    assert [name for name in ENCODERS if f'"{name}"' not in used] == []


def test_a_home_in_which_nobody_may_write_is_found(well, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path / "file" / "home"))
    checks = looked_at(code=1)
    assert "sudo chown" in only(checks, "home", "wrong")["line"]
    assert only(checks, "catalog", "wrong")


def test_a_disk_of_another_machine_is_found():
    mounts = [Mount("/", "ext4"), Mount("/mnt", "ext4"), Mount("/mnt/far", "nfs4"), Mount("/mnt/far/near", "tmpfs")]
    assert network(Path("/mnt/far/home"), mounts) == "nfs4"
    assert network(Path("/mnt/far/near/home"), mounts) is None
    assert network(Path("/mnt/farther"), mounts) is None
    assert network(Path("/"), [Mount("/", "9p")]) == "9p"


def test_dagsters_home_that_is_another_one_is_told(well, monkeypatch, tmp_path):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "elsewhere"))
    assert only(looked_at(), "dagster", "warning")["line"] == "unset DAGSTER_HOME"


# ---------------------------------------------------------------- stores


def test_a_catalog_that_is_damaged_or_newer_is_found(well, parts):
    nexus("ls")
    path = well / "catalog.sqlite"
    with sa.create_engine(f"sqlite:///{path}").begin() as db:
        db.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert "which this Nexus does not know" in only(looked_at(code=1), "catalog", "wrong")["found"]
    for beside in well.glob("catalog.sqlite*"):
        beside.unlink()
    path.write_bytes(b"no database" * 1000)
    assert only(looked_at(code=1), "catalog", "wrong")


def test_a_catalog_that_cannot_be_reached_is_found(well, monkeypatch):
    monkeypatch.setenv("NEXUS_CATALOG", "postgresql://someone:s3cret@127.0.0.1:9/nexus")
    told = nexus("doctor", code=1)
    assert "WRONG catalog" in told.stdout
    assert "s3cret" not in told.output


def test_blobs_and_an_inbox_that_cannot_be_written_are_found(well, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NEXUS_BLOBS", (tmp_path / "file" / "blobs").as_uri())
    checks = looked_at(code=1)
    assert only(checks, "blobs", "wrong")
    assert only(checks, "inbox", "wrong")


def test_an_archive_that_lost_its_passages_is_found_and_rebuilding_mends_it(well, parts, talk):
    [item] = added(talk)
    heard(parts, item["id"])
    shutil.rmtree(well / "archive")
    one = only(looked_at(code=1), "agreement", "wrong")
    assert one["line"] == "nexus rebuild"


def test_in_full_each_item_on_which_the_stores_disagree_is_told(well, parts, talk):
    [item] = added(talk)
    heard(parts, item["id"])
    parts.blobs.delete(parts.catalog.get(item["id"]).key("transcript", "v.json"))
    one = only(looked_at("--full", code=1), "agreement", "wrong")
    assert "the result of transcript is gone" in one["found"]
    assert one["line"] == f"nexus rerun {item['id']} --from transcript"


# ---------------------------------------------------------------- engines


def test_an_engine_that_is_none_is_found_with_its_setting(well, monkeypatch):
    monkeypatch.setenv("NEXUS_SPEECH", "parrot")
    one = only(looked_at(code=1), "transcript", "wrong")
    assert "NEXUS_SPEECH" in one["hint"]
    assert "WRONG transcript" in nexus("doctor", code=1).stdout


def test_a_model_that_is_not_here_is_told_with_the_line_that_fetches_it(well, monkeypatch):
    monkeypatch.setenv("NEXUS_SPEECH", "faster-whisper:tiny")
    assert only(looked_at(), "transcript", "warning")["line"] == "nexus models get faster-whisper:tiny"


def test_a_cloud_engine_without_a_key_is_wrong(well, monkeypatch):
    monkeypatch.setenv("NEXUS_ENRICHER", "openai:gpt-5-mini")
    one = only(looked_at(code=1), "enrichment", "wrong")
    assert "NEXUS_OPENAI_API_KEY" in one["hint"]
    assert one["line"] == "export NEXUS_ENRICHER=auto"


class Vendor(BaseHTTPRequestHandler):
    """Takes one key."""

    asked: list[str] = []  # noqa: RUF012

    def do_GET(self):
        self.asked.append(self.path)
        taken = "good" in (self.headers.get("authorization", "") + self.headers.get("x-goog-api-key", ""))
        self.send_response(200 if taken else 401)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("name", ["openai", "gemini"])
def test_keys_are_tried_only_when_one_asks_for_it(well, monkeypatch, name):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        Vendor.asked.clear()
        monkeypatch.setenv(f"NEXUS_{name.upper()}_BASE_URL", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv(f"NEXUS_{name.upper()}_API_KEY", "bad-s3cret")
        assert found(looked_at(), "keys", "wrong") == []
        assert Vendor.asked == []
        told = nexus("doctor", "--online", "--json", code=1)
        assert "refuses the key (401)" in only(json.loads(told.stdout)["checks"], "keys", "wrong")["found"]
        assert "s3cret" not in told.output
        monkeypatch.setenv(f"NEXUS_{name.upper()}_API_KEY", "good")
        assert "takes the key" in only(looked_at("--online"), "keys", "fine")["found"]
    finally:
        server.shutdown()
        server.server_close()
    assert "does not answer (ConnectError)" in only(looked_at("--online", code=1), "keys", "wrong")["found"]


# ---------------------------------------------------------------- items, and who works on them


def test_items_that_failed_wait_or_are_blocked_are_told(well, parts, talk, tmp_path):
    ids = []
    for n in range(3):
        path = tmp_path / f"{n}.mp3"
        path.write_text(str(n))
        ids.append(added(path)[0]["id"])
    error = {"error_code": "damaged_media", "error_message": "it cannot be read"}
    landed(parts, ids[0], StepStatus("raw", State.FAILED, run_id="run", **error))
    landed(parts, ids[1], StepStatus("raw", State.DONE, run_id="run"))
    landed(parts, ids[1], StepStatus("transcript", State.BLOCKED, reason="model_missing", run_id="run"))
    told = " | ".join(one["found"] for one in found(looked_at(), "items", "warning"))
    assert "1 failed in raw (damaged_media)" in told
    assert "1 blocked in transcript: model_missing" in told
    assert "1 wait, and nobody works" in told


def test_leases_of_runs_that_are_no_more_are_told(well, parts, talk):
    [item] = added(talk)
    parts.catalog.lease([item["id"]], "gone")
    with sa.create_engine(f"sqlite:///{well / 'catalog.sqlite'}").begin() as db:
        db.execute(leases.update().values(beat_at=datetime(2020, 1, 1, tzinfo=UTC)))
    told = [one["found"] for one in found(looked_at(), "items", "warning")]
    assert "1 are held by 1 runs that are no more" in told


def test_ports_that_are_taken_are_told_with_another_one(well):
    helped = nexus("up", "--help").stdout
    assert all(option in helped and str(port) in helped for option, port in PORTS.items())
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", PORTS["--port"]))
            taken.listen()
        except OSError:
            pass  # somebody else has it, which is as good
        told = [one for one in found(looked_at(), "ports", "warning") if "8000" in one["found"]]
    assert told[0]["line"] == "nexus up --port 8001"


def test_a_nexus_that_runs_is_told(well):
    with held(well):
        assert f"runs as process {os.getpid()}" in only(looked_at(), "nexus up", "fine")["found"]


# ---------------------------------------------------------------- of a server


def test_a_server_is_looked_at_from_afar(well, monkeypatch, parts, talk):
    [item] = added(talk)
    landed(parts, item["id"], StepStatus("raw", State.FAILED, error_code="damaged_media", run_id="run"))
    server = Server(well, NEXUS_MODELS=str(ROOT / "samples" / "models"), NEXUS_SPEECH="faster-whisper:tiny").start()
    try:
        monkeypatch.setenv("NEXUS_URL", server.url)
        checks = looked_at()
        assert "answers in" in only(checks, "server", "fine")["found"]
        assert "1 items" in only(checks, "stores", "fine")["found"]
        assert "nexus models get" in only(checks, "transcript", "warning")["hint"]
        assert "1 failed in raw" in only(checks, "items", "warning")["found"]
    finally:
        server.close()
    assert "cannot be reached" in only(looked_at(code=1), "server", "wrong")["found"]


def test_a_server_whose_stores_do_not_answer_is_told(well, monkeypatch, tmp_path):
    server = Server(well).start()
    try:
        monkeypatch.setenv("NEXUS_URL", server.url)
        for path in well.glob("catalog.sqlite*"):
            path.write_bytes(b"no database" * 1000)
        assert only(looked_at(code=1), "stores", "wrong")
    finally:
        server.close()


def test_a_key_in_the_clear_is_told(home, monkeypatch):
    monkeypatch.setenv("NEXUS_URL", "http://nexus.invalid:9")
    monkeypatch.setenv("NEXUS_KEY", "s3cret")
    told = nexus("doctor", "--json", code=1)
    assert "in the clear" in only(json.loads(told.stdout)["checks"], "address", "warning")["found"]
    assert "s3cret" not in told.output

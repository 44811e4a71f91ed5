"""`nexus add`: what becomes an item, which one, and where its bytes wait."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from nexus_pipeline.domain.items import item_id
from nexus_pipeline.domain.states import State, StepStatus
from tests.commands import added, heard, landed, nexus


def test_a_file_is_an_item_at_once_and_its_copy_lies_in_the_inbox(parts, talk):
    [item] = added(talk, "--tag", "work", "--tag", "garden", "--language", "en", "--priority", "low")
    digest = hashlib.sha256(b"some sound").hexdigest()
    assert item["id"] == item_id("local", f"sha256:{digest}")
    assert (item["title"], item["filename"], item["bytes"]) == ("A talk", "A talk.mp3", 10)
    assert (item["source"], item["state"], item["tags"]) == ("upload", "waiting", ["work", "garden"])
    assert (item["language"], item["priority"]) == ("en", "low")
    assert parts.inbox.read(f".uploads/{item['id']}/A talk.mp3") == b"some sound"
    assert parts.catalog.get(item["id"]).inbox_key == f".uploads/{item['id']}/A talk.mp3"
    assert talk.read_bytes() == b"some sound"


def test_the_same_bytes_under_another_name_are_the_same_item(parts, talk, tmp_path):
    [item] = added(talk)
    other = tmp_path / "other.mp3"
    other.write_bytes(talk.read_bytes())
    told = nexus("add", other)
    assert told.stdout == f"{item['id']}  A talk  (already there, waiting)\n"
    assert parts.catalog.counts()["waiting"] == 1
    assert not any("other" in info.key for info in parts.inbox.under(".uploads/"))


def test_a_file_whose_copy_was_lost_on_the_way_is_copied_again(parts, talk):
    [item] = added(talk)
    parts.inbox.delete(f".uploads/{item['id']}/")
    nexus("add", talk)
    assert parts.inbox.read(f".uploads/{item['id']}/A talk.mp3") == b"some sound"


def test_what_has_been_taken_is_not_copied_again(parts, talk):
    [item] = added(talk)
    parts.blobs.put(f"items/local/{item['id']}/raw/original.mp3", b"some sound")
    parts.inbox.delete(f".uploads/{item['id']}/")
    nexus("add", talk)
    assert not list(parts.inbox.under(".uploads/"))


def test_an_erased_item_can_be_added_again(parts, talk):
    [item] = added(talk)
    nexus("rm", item["id"], "--yes")
    assert added(talk)[0]["id"] == item["id"]
    assert parts.inbox.exists(f".uploads/{item['id']}/A talk.mp3")


def test_a_transcript_beside_a_file_goes_along_and_makes_another_item(parts, talk):
    [alone] = added(talk)
    talk.with_suffix(".srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    [item] = added(talk)
    assert item["id"] != alone["id"]
    kept = parts.catalog.get(item["id"])
    assert kept.sidecar_key == f".uploads/{item['id']}/A talk.srt"
    assert b"Hello" in parts.inbox.read(kept.sidecar_key)
    assert kept.origin.count("+") == 1


def test_a_transcript_alone_is_text_and_one_that_is_named_with_its_file_is_not_alone(parts, talk):
    beside = talk.with_suffix(".vtt")
    beside.write_text("WEBVTT\n")
    [alone] = added(beside)
    assert alone["kind"] == "text"
    [together] = added(beside, talk)
    assert together["filename"] == "A talk.mp3"


def test_a_folder_is_all_files_below_it_but_hidden_and_unfinished_ones(tmp_path, parts):
    for name in ("b.mp3", "a/x.mp3", "a/x.srt", ".hidden", ".git/c.mp3", "d.part", "e.mp3.tmp"):
        path = tmp_path / "media" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert [item["filename"] for item in added(tmp_path / "media")] == ["b.mp3", "x.mp3"]


@pytest.mark.parametrize("name", ["-dash.mp3", "quote ' \" $(x).mp3", "😀 ü.mp3", "x" * 251 + ".mp3", "line\nend.mp3"])
def test_any_name_can_be_added(tmp_path, parts, name):
    folder = tmp_path / "media"
    folder.mkdir()
    (folder / name).write_text("sound")
    [item] = added(folder)
    assert item["filename"] == name
    assert parts.inbox.read(f".uploads/{item['id']}/{name}") == b"sound"


def test_a_name_that_is_no_text_can_be_added(tmp_path, parts):
    folder = tmp_path / "media"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.mp3")).write_text("sound")
    [item] = added(folder)
    assert item["title"] == "\N{REPLACEMENT CHARACTER}"
    assert parts.inbox.read(parts.catalog.get(item["id"]).inbox_key) == b"sound"


def test_one_missing_path_does_not_stop_the_others(home, talk, tmp_path):
    told = nexus("add", tmp_path / "nowhere.mp3", talk, "--json", code=1)
    assert [item["title"] for item in json.loads(told.stdout)["items"]] == ["A talk"]
    assert "nowhere.mp3 is not there" in told.stderr


def test_an_engine_can_be_chosen_for_an_item(parts, talk):
    [item] = added(talk, "--engine", "transcript=faster-whisper:small", "--engine", "enrichment=none")
    assert parts.catalog.get(item["id"]).engines == {"transcript": "faster-whisper:small", "enrichment": "none"}


@pytest.mark.parametrize("wrong", ["transcript=parrot", "embedding=minilm", "transcript", "raw=ffmpeg"])
def test_an_engine_that_is_not_there_is_refused_before_anything_is_added(parts, talk, wrong):
    told = nexus("add", talk, "--engine", wrong, code=2).stderr
    assert "there is no engine 'parrot'" in told or "STEP=ENGINE:MODEL" in told
    assert sum(parts.catalog.counts().values()) == 0


def test_an_address_in_any_form_is_one_item(parts):
    [item] = added("https://Example.com/talk?utm_source=x", "--title", "Given")
    assert (item["source"], item["title"], item["origin"]) == ("url", "Given", "https://example.com/talk")
    asked = json.loads(parts.inbox.read(f".asks/{item['id']}.json"))
    assert (asked["origin"], asked["owner"], asked["title"]) == (item["origin"], "local", "Given")
    assert "already there" in nexus("add", "https://example.com/talk").stdout


def test_an_address_that_is_none_is_refused(home):
    told = nexus("add", "ftp://example.com/x", code=1)
    assert told.stderr.startswith("Error: ")


def test_waiting_ends_with_0_when_all_are_done_and_with_1_when_one_failed(parts, talk, tmp_path):
    [item] = added(talk)
    heard(parts, item["id"])
    assert "done" in nexus("add", talk, "--wait").stdout
    bad = tmp_path / "bad.mp3"
    bad.write_text("bad")
    [failed] = added(bad)
    error = {"error_code": "damaged_media", "error_message": "it cannot be read as media"}
    landed(parts, failed["id"], StepStatus("raw", State.FAILED, run_id="run", **error))
    told = nexus("add", talk, bad, "--wait", "--json", code=1)
    assert {one["state"] for one in json.loads(told.stdout)["items"]} == {"done", "failed"}
    assert f"{failed['id']}: raw is failed: it cannot be read as media" in told.stderr

"""The inbox: what is complete, what belongs together, what is told once."""

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nexus_pipeline.blobs import FolderBlobs, open_blobs
from nexus_pipeline.domain.errors import BadAddress, BadInput
from nexus_pipeline.domain.items import Kind, Priority, item_id
from nexus_pipeline.sources.inbox import Arrival, Inbox
from nexus_pipeline.sources.requests import Said, leave, parsed, request_url, upload

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Looks:
    """An inbox in a folder with a clock of its own."""

    def __init__(self, folder: Path, **told) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.blobs = FolderBlobs(folder)
        self.inbox = Inbox(self.blobs, **told)
        self.now = NOW

    def put(self, name: str, data: bytes = b"x", *, ago_s: float = 0.0) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        at = (self.now - timedelta(seconds=ago_s)).timestamp()
        os.utime(path, (at, at))
        return path

    def after(self, seconds: float) -> list[Arrival]:
        self.now += timedelta(seconds=seconds)
        return self.inbox.arrivals(self.now)

    def names(self, seconds: float = 0.0) -> list[str]:
        return [a.key for a in self.after(seconds)]


@pytest.fixture
def looks(tmp_path: Path) -> Looks:
    return Looks(tmp_path / "inbox")


# ------------------------------------------------------------ complete


def test_a_copied_file_arrives_a_second_after_its_last_byte(looks: Looks) -> None:
    looks.put("talk.mp3")
    assert looks.names(0.1) == []
    assert looks.names(0.5) == []
    assert looks.names(0.5) == ["talk.mp3"]


def test_a_growing_file_waits_until_it_grows_no_more(looks: Looks) -> None:
    for size in range(1, 8):
        looks.put("talk.mp3", b"x" * size)
        assert looks.names(0.4) == []
    assert looks.names(0.4) == []
    assert looks.names(0.4) == ["talk.mp3"]


def test_a_file_that_grows_with_an_old_time_waits_too(looks: Looks) -> None:
    looks.put("a.mp3", b"x", ago_s=0.5)
    assert looks.names() == []
    looks.put("a.mp3", b"xx", ago_s=100)  # another version: no longer what was seen first
    assert looks.names(0.3) == []
    assert looks.names(0.6) == ["a.mp3"]


def test_a_rename_is_complete_at_once(looks: Looks) -> None:
    looks.put("talk.mp3", ago_s=60)
    assert looks.names() == ["talk.mp3"]


def test_a_time_in_the_future_delays_nothing_for_long(looks: Looks) -> None:
    looks.put("talk.mp3", ago_s=-3600)
    assert looks.names() == []
    assert looks.names(1.1) == ["talk.mp3"]


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.mp3",
        ".folder/a.mp3",
        "a/.b/c.mp3",
        "a.mp3.part",
        "a.tmp",
        "a.mp3.crdownload",
        "a.mp3~",
        ".asks/x/y.json",
        ".uploads/a.mp3",
        ".asks/a.mp3",
        ".nexus.json",
    ],
)
def test_hidden_and_unfinished_names_never_arrive(looks: Looks, name: str) -> None:
    looks.put(name, ago_s=60)
    assert looks.names() == []
    assert looks.names(5) == []


def test_what_lies_beside_its_own_unfinished_download_waits(looks: Looks) -> None:
    looks.put("talk.mp3", b"", ago_s=60)
    part = looks.put("talk.mp3.part", ago_s=60)
    assert looks.names() == []
    part.replace(looks.folder / "talk.mp3")
    assert looks.names(0.1) == ["talk.mp3"]


def test_objects_that_appear_whole_are_complete_at_once(tmp_path: Path) -> None:
    blobs = open_blobs("memory://")
    blobs.put("sub/talk.mp3", b"x")
    assert [a.key for a in Inbox(blobs, whole=True).arrivals()] == ["sub/talk.mp3"]


@pytest.mark.parametrize(
    "name", ["-rf.mp3", 'it\'s "quoted" & 100% é 🎧.mp3', "a" * 251 + ".mp3", "sub/sub2/no suffix"]
)
def test_every_name_that_people_give_arrives(looks: Looks, name: str) -> None:
    looks.put(name, ago_s=60)
    (arrival,) = looks.after(0)
    assert arrival.key == name
    assert arrival.new_item().title == Path(name).stem


# ------------------------------------------------------------ told once


def test_an_arrival_is_told_once_by_a_process_and_again_by_the_next(looks: Looks) -> None:
    looks.put("talk.mp3", ago_s=60)
    (first,) = looks.after(0)
    assert looks.names(1) == []
    (again,) = Inbox(looks.blobs).arrivals(looks.now)
    assert again.new_item() == first.new_item()


def test_another_version_under_the_same_name_is_another_item(looks: Looks) -> None:
    looks.put("talk.mp3", b"one", ago_s=60)
    (first,) = looks.after(0)
    looks.put("talk.mp3", b"two!")
    assert looks.names(0.1) == []
    assert looks.names(0.5) == []
    (second,) = looks.after(0.6)
    assert second.new_item().id != first.new_item().id


def test_what_could_not_be_taken_is_told_again(looks: Looks) -> None:
    looks.put("talk.mp3", ago_s=60)
    looks.put("talk.srt", ago_s=60)
    first = looks.after(0)
    assert looks.after(0.1) == []
    looks.inbox.forget(first)
    assert looks.after(0.1) == first


def test_a_look_tells_a_bounded_number_and_the_next_one_the_rest(tmp_path: Path) -> None:
    looks = Looks(tmp_path / "inbox", limit=10)
    for n in range(25):
        looks.put(f"{n}.mp3", ago_s=100 - n)
    told = [looks.names(0.3) for _ in range(4)]
    assert [len(t) for t in told] == [10, 10, 5, 0]
    assert told[0][0] == "0.mp3"  # the oldest first
    assert len({name for t in told for name in t}) == 25


# ------------------------------------------------------------ transcripts


def test_a_transcript_beside_a_file_goes_with_it(looks: Looks) -> None:
    for name in ("a/talk.mp4", "a/talk.srt", "b/talk.vtt"):
        looks.put(name, ago_s=60)
    (video,) = looks.after(0)
    assert (video.key, video.sidecar_key) == ("a/talk.mp4", "a/talk.srt")
    (alone,) = looks.after(1.1)
    assert (alone.key, alone.new_item().kind) == ("b/talk.vtt", Kind.TEXT)
    assert looks.after(5) == []


def test_a_file_waits_for_the_transcript_that_is_still_being_written(looks: Looks) -> None:
    looks.put("talk.mp4", ago_s=60)
    looks.put("talk.json", b"{")
    assert looks.names() == []
    looks.put("talk.json", b"{}")
    assert looks.names(0.2) == []
    (video,) = looks.after(1.1)
    assert video.sidecar_key == "talk.json"


def test_a_transcript_waits_one_settling_time_for_its_file(looks: Looks) -> None:
    looks.put("talk.srt", ago_s=60)
    assert looks.names() == []
    looks.put("talk.mp4")
    assert looks.names(0.9) == []  # the file is still being written
    assert looks.names(0.6) == ["talk.mp4"]


def test_a_transcript_that_comes_later_belongs_to_the_file_that_was_told(looks: Looks) -> None:
    path = looks.put("talk.mp4", ago_s=60)
    (video,) = looks.after(0)
    path.unlink()  # taken
    looks.after(10)
    looks.put("talk.srt", ago_s=60)
    (again,) = looks.after(0)
    assert again.new_item().id == video.new_item().id
    assert again.sidecar_key == "talk.srt"
    assert looks.after(5) == []


# ------------------------------------------------------------ requests and uploads


def test_a_request_for_an_address_arrives_at_once_in_its_one_form(looks: Looks) -> None:
    said = Said(title="A talk", tags=("bread",), language="en", engines={"transcript": "a:b"}, priority=Priority.LOW)
    said = replace(said, prompt="About bread.", vocabulary=("Poolish", "Levain"))
    item = request_url(looks.blobs, "https://youtu.be/dQw4w9WgXcQ?si=1", said)
    (arrival,) = looks.after(0)
    told = arrival.new_item()
    assert told == item
    assert (told.source, told.platform, told.title) == ("url", "youtube", "A talk")
    assert told.origin == "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
    assert told.priority is Priority.LOW
    assert (told.prompt, told.vocabulary) == ("About bread.", ("Poolish", "Levain"))
    assert told.inbox_key == f".asks/{told.id}.json"
    again = request_url(looks.blobs, "https://www.youtube.com/watch?v=dQw4w9WgXcQ&utm_source=x", Said())
    assert again.id == item.id
    assert again.title == again.origin
    with pytest.raises(BadAddress):
        request_url(looks.blobs, "file:///etc/passwd", Said())


def test_a_request_from_before_there_were_hints_is_still_read_and_a_wrong_one_is_not() -> None:
    told = {"v": 1, "owner": "local", "origin": "x", "title": None, "language": None, "tags": [], "engines": {}}
    told |= {"lane": "now"}
    assert parsed(json.dumps(told).encode())["vocabulary"] == []
    for wrong in ({"vocabulary": "a,b"}, {"vocabulary": [1]}, {"prompt": 1}):
        with pytest.raises(BadInput):
            parsed(json.dumps(told | wrong).encode())


def test_an_upload_arrives_at_once_with_what_was_said_and_its_transcript(looks: Looks, tmp_path: Path) -> None:
    talk, words = tmp_path / "My talk.mp3", tmp_path / "words.SRT"
    talk.write_bytes(b"sound")
    words.write_bytes(b"1\n")
    item = upload(looks.blobs, talk, Said(tags=("a",)), sidecar=words)
    (arrival,) = looks.after(0)
    assert arrival.new_item() == item
    assert (item.source, item.title, item.filename, item.bytes) == ("upload", "My talk", "My talk.mp3", 5)
    assert item.origin.startswith("sha256:")
    assert item.id == item_id("local", item.origin)
    assert looks.blobs.read(item.sidecar_key or "") == b"1\n"
    assert upload(looks.blobs, talk, Said()).id != item.id
    leave(looks.blobs, item.inbox_key or "")
    assert looks.blobs.exists(item.sidecar_key or "")
    leave(looks.blobs, item.sidecar_key or "")
    assert not (looks.folder / ".uploads" / item.id).exists()


def test_the_transcript_of_an_upload_waits_for_its_file_however_long(looks: Looks, tmp_path: Path) -> None:
    talk, words = tmp_path / "talk.mp3", tmp_path / "talk.srt"
    talk.write_bytes(b"sound")
    words.write_bytes(b"1\n")
    item = upload(looks.blobs, talk, Said(), sidecar=words)
    assert item.inbox_key is not None
    (looks.folder / item.inbox_key).rename(tmp_path / "not there yet")
    for _ in range(5):
        assert looks.names(2) == []
    (tmp_path / "not there yet").rename(looks.folder / item.inbox_key)
    assert looks.names() == [item.inbox_key]


@pytest.mark.parametrize(
    "note",
    [b"", b"not json", b"[]", b'{"v": 2}', b'{"v": 1, "owner": 5}', b"x" * 300_000]
    + [json.dumps({"v": 1, "owner": "o", "origin": "https://a.example/", "title": None, "language": None}).encode()]
    + [
        json.dumps(
            {
                "v": 1,
                "owner": "o",
                "origin": origin,
                "title": None,
                "language": None,
                "tags": [],
                "engines": {},
                "lane": "now",
            }
        ).encode()
        for origin in ("https://other.example/", "http://[::1")
    ],
)
def test_a_note_that_cannot_be_trusted_is_left_with_a_line_in_the_log(looks: Looks, note: bytes, caplog) -> None:
    looks.put(".asks/aaaaaaaaaaaaaaaa.json", note)
    looks.put(".uploads/aaaaaaaaaaaaaaaa/.nexus.json", note)
    looks.put(".uploads/aaaaaaaaaaaaaaaa/a.mp3", note)
    looks.put("fine.mp3", ago_s=60)
    with caplog.at_level("WARNING"):
        assert looks.names() == ["fine.mp3"]
        assert looks.names(5) == []
    assert len(caplog.records) == 2


# ------------------------------------------------------------ cost


def test_a_look_at_a_thousand_files_is_cheap(looks: Looks) -> None:
    for n in range(1000):
        looks.put(f"folder {n % 10}/a talk about number {n}.mp3", ago_s=60)
    assert len(looks.after(0)) == 1000
    costs = []
    for _ in range(9):
        began = time.process_time()
        assert looks.after(0.3) == []
        costs.append(time.process_time() - began)
    assert min(costs) < 0.05  # 20 ms on a calm machine

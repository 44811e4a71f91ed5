"""Files that are long or vast stream through: memory is bounded, and what is heard can be read before all of it is."""

import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from nexus_pipeline.domain.items import NewItem
from nexus_pipeline.domain.states import ItemState
from nexus_pipeline.results import transcript_of
from nexus_pipeline.steps import transcript
from tests.bad_input import land
from tests.running import drop
from tests.speech import SENTENCES, speak

MORE_MB = 100
"""What a vast file may cost the worker beyond a small one."""
CHILD_MB = 500
"""Of one ffmpeg that decodes 1080p."""
_CHUNK = 1 << 16


def vast(folder: Path, size: int) -> Path:
    """A Matroska file of about `size` bytes: two sentences, and black frames as they are, which take no disk."""
    talk, to = speak(folder / "talk.wav", SENTENCES[:2]), folder / "vast.mkv"
    frames = size // (1920 * 1080 * 3)
    picture = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "1920x1080", "-r", "4", "-i", "/dev/zero")
    told = ("-frames:v", str(frames), "-c:v", "copy", "-af", "apad", "-c:a", "flac", "-shortest")
    told += ("-f", "matroska", "-allow_raw_vfw", "1", "-")
    command = ["ffmpeg", "-nostdin", "-v", "error", *picture, "-i", str(talk), *told]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as making, to.open("wb") as file:
        while chunk := making.stdout.read(_CHUNK):
            if chunk.count(0) == len(chunk):
                file.seek(len(chunk), 1)
            else:
                file.write(chunk)
        file.truncate()
    assert making.returncode == 0
    return to


@dataclass
class Peak:
    """The most memory of this process and of any one child, in MB, while the block lasts."""

    own: float = 0.0
    child: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self):
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _look(self):
        me = psutil.Process()
        while not self._over.wait(0.02):
            self.own = max(self.own, me.memory_info().rss / 2**20)
            for child in me.children(recursive=True):
                try:
                    # until it has become another program a child shows its parent's memory
                    if child.name().startswith("ff"):
                        self.child = max(self.child, child.memory_info().rss / 2**20)
                except psutil.NoSuchProcess:
                    continue


def streams_through(parts, tmp_path, size):
    """A vast file through all steps after a small one."""
    small, path = drop(parts, "small.wav", speak(tmp_path / "small.wav", SENTENCES[2:4])), vast(tmp_path, size)
    there = path.stat()
    assert there.st_size > 0.9 * size
    with Peak() as before:
        land(parts, [small], "small")
    parts.inbox.put_file("vast.mkv", path, move=True)
    origin = f"inbox:vast.mkv@{parts.inbox.info('vast.mkv').version}"
    with Peak() as peak:
        [item] = land(parts, [NewItem("local", origin, "inbox", "vast", filename="vast.mkv", inbox_key="vast.mkv")])
    assert item.state is ItemState.DONE, item.steps
    assert [s.text for s in transcript_of(item, parts).segments] == list(SENTENCES[:2])
    assert (item.bytes, len(item.digest)) == (there.st_size, 64)
    assert peak.own - before.own <= MORE_MB
    assert peak.child <= CHILD_MB
    with parts.blobs.local(item.key("raw", "original.mkv")) as kept:
        assert kept.stat().st_ino == there.st_ino
        assert kept.stat().st_blocks * 512 < size / 20
    # its pictures as a browser plays them
    assert parts.blobs.info(item.key("raw", "play.mp4")).bytes < size / 50


def test_half_a_gigabyte_mostly_not_sound_streams_through(parts, tmp_path):
    streams_through(parts, tmp_path, 1 << 29)


@pytest.mark.soak
def test_20_gb_that_are_mostly_not_sound_stream_through(parts, tmp_path):
    streams_through(parts, tmp_path, 20 << 30)


def test_what_is_heard_can_be_found_before_all_of_it_is_heard(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(transcript, "PARTIAL_EVERY_S", 0.0)
    new = drop(parts, "long.flac", speak(tmp_path / "long.flac", [*SENTENCES, *SENTENCES[::-1]] * 2))
    parts.catalog.add([new])
    seen = [0]
    hearing = threading.Thread(target=land, args=(parts, [new]))
    hearing.start()
    while hearing.is_alive():
        rows = [row for row in parts.archive.passages(new.id) if row["partial"]]
        if len(rows) != seen[-1]:
            seen.append(len(rows))
        time.sleep(0.05)
    grown = seen[: seen.index(0, 1) if 0 in seen[1:] else None]  # then the whole has taken their place
    assert len(grown) > 3
    assert grown == sorted(grown)
    assert not any(row["partial"] for row in parts.archive.passages(new.id))

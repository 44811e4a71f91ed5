"""Files that grow over many requests beside the store they will lie in: one writer at a time, whoever dies."""

import os
import subprocess
import sys
import time

import pytest

from nexus_pipeline.blobs import FolderBlobs
from nexus_pipeline.domain.errors import NotFound, StoreError

HOLDS = """
import sys, time
from pathlib import Path
from nexus_pipeline.blobs import FolderBlobs
file = FolderBlobs(Path(sys.argv[1])).growing.open("abc", make=True)
file.write(b"12345")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def blobs(tmp_path):
    return FolderBlobs(tmp_path / "store")


def test_a_file_grows_and_is_moved_into_the_store(blobs):
    with blobs.growing.open("abc", make=True) as file:
        file.write(b"123")
        file.sync()
    with blobs.growing.open("abc", make=True) as file:
        assert file.size == 3
        file.cut(2)
        file.write(b"XY")
        assert list(file.blocks()) == [b"12XY"]
        blobs.put_file("a/b", file.path, move=True)
    assert blobs.read("a/b") == b"12XY"
    assert [info.key for info in blobs.under()] == ["a/b"]


def test_a_growing_file_is_no_object_and_outlives_the_sweep_of_puts(blobs):
    with blobs.growing.open("abc", make=True) as file:
        file.write(b"123")
    again = FolderBlobs(blobs.growing.path("abc").parents[2])
    assert list(again.under()) == []
    with again.growing.open("abc", make=False) as file:
        assert file.size == 3


def test_one_that_is_not_there_is_made_only_when_that_is_wanted(blobs):
    with pytest.raises(NotFound):
        blobs.growing.open("abc", make=False)
    blobs.growing.remove("abc")
    blobs.growing.open("abc", make=True).close()
    blobs.growing.remove("abc")
    with pytest.raises(NotFound):
        blobs.growing.open("abc", make=False)


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "x" * 65])
def test_names_that_could_lead_elsewhere_are_none(blobs, name):
    with pytest.raises(ValueError, match=r".*"):
        blobs.growing.path(name)


def test_another_process_keeps_its_file_until_it_is_killed(blobs, tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path / "store")], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        began = time.monotonic()
        assert blobs.growing.open("abc", make=True, patience_s=0.3) is None
        assert 0.3 <= time.monotonic() - began < 2
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with blobs.growing.open("abc", make=True, patience_s=1.0) as file:
        assert file.size == 5


def test_old_ones_are_named_and_young_ones_are_not(blobs):
    assert blobs.growing.old(0.0) == []
    for name in ("young", "old"):
        blobs.growing.open(name, make=True).close()
    os.utime(blobs.growing.path("old"), (time.time() - 100,) * 2)
    assert blobs.growing.old(50.0) == ["old"]
    assert blobs.growing.room() > 0


def test_a_link_that_lies_in_its_place_is_not_followed(blobs, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    blobs.growing.open("made", make=True).close()
    blobs.growing.path("abc").symlink_to(other)
    with pytest.raises(StoreError):
        blobs.growing.open("abc", make=True)
    assert other.read_bytes() == b"mine"

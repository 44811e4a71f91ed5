"""One suite for every store of blobs: a folder, memory, and S3 on a real server."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from nexus_pipeline.blobs import open_blobs
from nexus_pipeline.domain.errors import BadInput, NotFound
from tests.contracts.blob_parts import MIB, NAMES, keys, open_s3
from tests.contracts.s3_server import BUCKET


@pytest.fixture(params=["folder", "memory", "s3"])
def blobs(request, tmp_path):
    if request.param == "folder":
        return open_blobs((tmp_path / "a store").as_uri())
    if request.param == "memory":
        return open_blobs("memory://")
    return open_s3(request.getfixturevalue("s3"), uuid.uuid4().hex)


# ---------------------------------------------------------------- every store


@pytest.mark.parametrize("data", [b"", b"x", os.urandom(9 * MIB)], ids=["empty", "small", "parts"])
def test_what_was_put_is_read(blobs, data):
    assert blobs.put("a/b", data) == len(data)
    assert blobs.read("a/b") == data
    assert b"".join(blobs.stream("a/b")) == data
    assert blobs.info("a/b").bytes == len(data)


@pytest.mark.parametrize("sizes", [(), (0,), (1, 0, 2), (5 * MIB, 5 * MIB, 3), (20 * MIB,)], ids=str)
def test_chunks_are_put_one_after_the_other(blobs, sizes):
    chunks = [os.urandom(size) for size in sizes]
    assert blobs.put("k", iter(chunks)) == sum(sizes)
    assert blobs.read("k") == b"".join(chunks)


def test_a_put_replaces_and_changes_the_version(blobs):
    blobs.put("k", b"one, longer")
    before = blobs.info("k")
    blobs.put("k", b"two")
    assert blobs.read("k") == b"two"
    assert blobs.info("k").version != before.version
    assert abs(blobs.info("k").modified_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_local_file_is_put_and_stays_or_goes(blobs, tmp_path):
    path = tmp_path / "a file"
    path.write_bytes(b"12345")
    assert blobs.put_file("one", path) == 5
    assert path.exists()
    assert blobs.put_file("deep/er/two", path, move=True) == 5
    assert not path.exists()
    assert (blobs.read("one"), blobs.read("deep/er/two")) == (b"12345", b"12345")


def test_a_link_is_put_as_the_file_behind_it(blobs, tmp_path):
    (tmp_path / "file").write_bytes(b"12")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    blobs.put_file("k", tmp_path / "link", move=True)
    assert blobs.read("k") == b"12"
    assert (tmp_path / "file").exists()


def test_a_file_that_is_not_there_cannot_be_put(blobs, tmp_path):
    with pytest.raises(NotFound):
        blobs.put_file("k", tmp_path / "nothing", move=True)
    assert keys(blobs) == []


@pytest.mark.parametrize(
    ("start", "end"), [(0, None), (3, None), (0, 4), (3, 4), (2, 99), (10, 11), (10, None), (4, 4), (50, 60), (5, 2)]
)
def test_ranges_are_read_as_slices(blobs, start, end):
    blobs.put("k", b"0123456789")
    assert b"".join(blobs.stream("k", start, end)) == b"0123456789"[start:end]


def test_chunks_are_at_most_a_mebibyte(blobs):
    blobs.put("k", bytes(5 * MIB + 7))
    sizes = [len(chunk) for chunk in blobs.stream("k", 1)]
    assert max(sizes) <= MIB
    assert sum(sizes) == 5 * MIB + 6


@pytest.mark.parametrize("name", NAMES)
def test_names_go_through_byte_for_byte(blobs, name):
    key = f"in box/{name}"
    blobs.put(key, b"1")
    assert keys(blobs) == [key]
    assert blobs.read(key) == b"1"
    with blobs.local(key) as path:
        assert path.read_bytes() == b"1"
    blobs.move(key, f"{name}/{name}"[:255])
    assert blobs.exists(f"{name}/{name}"[:255])
    assert blobs.delete(f"{name}/{name}"[:255]) == 1
    assert keys(blobs) == []


@pytest.mark.parametrize(
    "key", ["", "/abs", "..", "a/../b", "../a", "a/..", ".", "a/./b", "a//b", "a/", "n\0ul", "\ud800"]
)
def test_keys_that_climb_or_name_nothing_are_refused(blobs, key):
    with pytest.raises(BadInput):
        blobs.put(key, b"x")
    with pytest.raises(BadInput):
        blobs.read(key)
    blobs.put("k", b"x")
    with pytest.raises(BadInput):
        blobs.move("k", key)
    if not key.endswith("/"):
        with pytest.raises(BadInput):
            blobs.delete(key)
    assert keys(blobs) == ["k"]


@pytest.mark.parametrize("prefix", ["no-slash", "../", "/", "a//", "./"])
def test_prefixes_that_are_no_folder_are_refused(blobs, prefix):
    with pytest.raises(BadInput):
        list(blobs.under(prefix))


def test_what_is_absent_is_not_found(blobs):
    blobs.put("folder/k", b"x")
    for key in ("nothing", "folder", "folder/k/below"):
        assert not blobs.exists(key)
        for read in (blobs.read, blobs.info, lambda k: list(blobs.stream(k)), lambda k: blobs.local(k).__enter__()):
            with pytest.raises(NotFound):
                read(key)
        with pytest.raises(NotFound):
            blobs.move(key, "to")
        assert blobs.delete(key) == 0
    assert keys(blobs) == ["folder/k"]


def test_errors_do_not_say_the_name_of_a_dropped_file(blobs):
    with pytest.raises(NotFound) as raised:
        blobs.read("secret plan.mp4")
    assert "secret" not in str(raised.value)
    with pytest.raises(NotFound, match="items/local/abc/raw/original"):
        blobs.read("items/local/abc/raw/original.mp4")


def test_a_prefix_lists_its_folder_only(blobs):
    for key in ("a/1", "a/b/2", "ab/3", "4"):
        blobs.put(key, b"x")
    assert keys(blobs) == ["4", "a/1", "a/b/2", "ab/3"]
    assert keys(blobs, "a/") == ["a/1", "a/b/2"]
    assert keys(blobs, "a/b/") == ["a/b/2"]
    assert keys(blobs, "nothing/") == []
    assert {info.bytes for info in blobs.under()} == {1}


def test_a_listing_agrees_with_info(blobs):
    blobs.put("a/k", b"x")
    assert list(blobs.under()) == [blobs.info("a/k")]


def test_a_prefix_is_deleted_with_everything_below(blobs):
    for key in ("a/1", "a/b/2", "ab/3"):
        blobs.put(key, b"x")
    assert blobs.delete("a/") == 2
    assert blobs.delete("a/") == 0
    assert keys(blobs) == ["ab/3"]
    assert blobs.delete("ab/3") == 1
    assert blobs.delete("ab/3") == 0


def test_moving_twice_is_moving_once(blobs):
    blobs.put("from/k", b"x")
    blobs.move("from/k", "to/k")
    blobs.move("from/k", "to/k")
    assert keys(blobs) == ["to/k"]
    blobs.move("to/k", "to/k")
    assert blobs.read("to/k") == b"x"


def test_what_the_iterable_raises_comes_out_and_nothing_is_left(blobs):
    class OwnError(Exception):
        pass

    def chunks():
        yield bytes(9 * MIB)
        raise OwnError

    with pytest.raises(OwnError):
        blobs.put("k", chunks())
    assert not blobs.exists("k")
    assert keys(blobs) == []


def test_one_store_is_streamed_into_another(blobs):
    blobs.put("from", os.urandom(9 * MIB))
    other = open_blobs("memory://")
    other.put("k", blobs.stream("from"))
    blobs.put("back", other.stream("k"))
    assert blobs.read("back") == blobs.read("from")


def test_an_unfinished_put_is_not_seen(blobs):
    seen = []

    def chunks():
        yield bytes(9 * MIB)
        seen.append((keys(blobs), blobs.exists("k")))
        yield b"rest"

    blobs.put("k", chunks())
    assert seen == [([], False)]
    assert keys(blobs) == ["k"]


def test_the_file_behind_a_local_path_can_be_opened(blobs):
    blobs.put("a/film.mp4", b"bytes")
    with blobs.local("a/film.mp4") as path:
        assert path.read_bytes() == b"bytes"
        assert path.suffix == ".mp4"
    assert blobs.exists("a/film.mp4")


def test_a_listing_goes_on_while_others_put_and_delete(blobs):
    for n in range(60):
        blobs.put(f"a{n % 7}/{n}", b"x")
    stop = threading.Event()

    def churn():
        n = 0
        while not stop.is_set():
            blobs.put(f"a{n % 7}/new{n % 20}", b"y")
            blobs.delete(f"a{n % 7}/")
            n += 1

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            assert all(info.bytes == 1 for info in blobs.under())
    finally:
        stop.set()
        churning.join()


# ---------------------------------------------------------------- killed and large, in children

_CHILD = """
import os, resource, sys
from nexus_pipeline.blobs import open_blobs
blobs = open_blobs(sys.argv[2], s3_endpoint=sys.argv[3] or None,
    s3_options={"access_key_id": "test", "secret_access_key": "test", "region": "us-east-1"} if sys.argv[3] else None)
def endless():
    while True:
        yield os.urandom(1 << 20)
        print("went", flush=True)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
if sys.argv[1] == "endless":
    blobs.put("items/k", endless())
chunk = os.urandom(1 << 20)
blobs.put("warm", iter([chunk] * 9))
before = peak()
blobs.put("large", (chunk for _ in range(300)))
assert sum(len(c) for c in blobs.stream("large")) == 300 << 20
with blobs.local("large") as path:
    assert path.stat().st_size == 300 << 20
print(peak() - before)
"""


@pytest.fixture(params=["folder", "s3"])
def child(request, tmp_path):
    """A store that outlives processes, and the arguments by which a child opens it."""
    if request.param == "folder":
        url, endpoint = (tmp_path / "store").as_uri(), ""
        return open_blobs(url), [url, endpoint]
    server = request.getfixturevalue("s3")
    prefix = uuid.uuid4().hex
    return open_s3(server, prefix), [f"s3://{BUCKET}/{prefix}", server.endpoint]


def test_a_put_that_is_killed_leaves_nothing(child):
    blobs, arguments = child
    command = [sys.executable, "-c", _CHILD, "endless", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(20):
            assert process.stdout.readline() == "went\n"
        process.send_signal(signal.SIGKILL)
    assert not blobs.exists("items/k")
    assert keys(blobs) == []
    blobs.put("items/k", b"again")
    assert keys(blobs) == ["items/k"]


def test_large_objects_go_through_in_little_memory(child):
    _, arguments = child
    command = [sys.executable, "-c", _CHILD, "large", *arguments]
    grown_mib = int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)
    assert grown_mib < 64

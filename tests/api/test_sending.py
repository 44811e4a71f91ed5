"""`nexus add` of a large file to a server: in parts, on where it stopped, whatever stops."""

import os
import threading
import time
from contextlib import closing, contextmanager

import httpx
import pytest

from nexus_api.adding import Offered, Said
from nexus_api.client import Remote
from nexus_api.sending import PART_BYTES, persist
from nexus_pipeline.domain.errors import BadInput, StoreError, StoreFull
from tests.api.server import Server

MIB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server") / "home")
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "ein langes Gespräch.wav"
    path.write_bytes(os.urandom(40 * MIB + 3))
    return path


@contextmanager
def client(url):
    remote = Remote(url, None)
    with closing(remote._http):
        yield remote


def add(server, path, wishes=None, told=lambda _sent, _of: None, beside=None):
    with client(server.url) as remote:
        return remote.add_file(Offered(path, beside), wishes or Said(), told)


class Told(list):
    """Progress, and what happens at some byte."""

    def __init__(self, at=None, then=None):
        super().__init__()
        self.at, self.then = at, then

    def __call__(self, sent, of):
        self.append((sent, of))
        if self.then is not None and sent >= self.at:
            then, self.then = self.then, None
            then()


def kept(server, item):
    return (server.home / "blobs" / "inbox" / ".uploads" / item["id"] / item["filename"]).read_bytes()


def test_a_large_file_goes_in_parts_and_says_how_far_it_is(server, large):
    told = Told()
    item, new = add(server, large, Said(title="Ein Titel", tags=("a", "b")), told)
    assert (new, item["title"], item["tags"], item["filename"]) == (True, "Ein Titel", ["a", "b"], large.name)
    assert kept(server, item) == large.read_bytes()
    size = large.stat().st_size
    assert told == sorted(told)
    assert (told[0], told[-1]) == ((0, size), (size, size))
    assert len(told) > 100
    again, new = add(server, large)
    assert (again["id"], new) == (item["id"], False)


def test_a_server_that_dies_and_comes_back_gets_the_rest(server, large):
    def dies():
        server.process.kill()
        server.process.wait()
        threading.Thread(target=lambda: (time.sleep(1), server.start())).start()

    told = Told(PART_BYTES + 5 * MIB, dies)
    item, new = add(server, large, told=told)
    assert (new, kept(server, item) == large.read_bytes()) == (True, True)
    assert told.then is None


def test_a_call_that_was_broken_off_is_taken_up_by_the_next(server, large):
    def breaks():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add(server, large, told=Told(PART_BYTES + 5 * MIB, breaks))
    told = Told()
    item, new = add(server, large, told=told)
    assert told[0] == (PART_BYTES, large.stat().st_size)
    assert (new, kept(server, item) == large.read_bytes()) == (True, True)


def test_an_upload_that_is_gone_is_begun_anew(server, large):
    with client(server.url) as remote:
        item, _ = remote.add_file(Offered(large), Said())
        remote.erase(item["id"])
        again, new = remote.add_file(Offered(large), Said())
    assert (again["id"], new, kept(server, again) == large.read_bytes()) == (item["id"], True, True)


def test_a_transcript_goes_beside_a_large_file(server, large, tmp_path):
    beside = tmp_path / "talk.srt"
    beside.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    item, _ = add(server, large, beside=beside)
    folder = server.home / "blobs" / "inbox" / ".uploads" / item["id"]
    assert (folder / f"{large.stem}.srt").read_text() == beside.read_text()
    assert item["origin"].count("+") == 1


def test_a_file_that_changes_while_it_is_sent_is_refused(server, tmp_path):
    path = tmp_path / "growing.wav"
    path.write_bytes(os.urandom(40 * MIB))

    def grows():
        with path.open("ab") as file:
            file.write(b"more")

    with pytest.raises(BadInput, match="changed while it was sent"):
        add(server, path, told=Told(MIB, grows))


def test_an_inbox_that_is_no_folder_gets_a_large_file_in_one_request(tmp_path, large):
    server = Server(tmp_path / "home", NEXUS_INBOX="memory://")
    try:
        item, new = add(server.start(), large)
        assert (new, item["bytes"]) == (True, large.stat().st_size)
    finally:
        server.close()


def test_what_will_not_pass_is_not_waited_for(large):
    began = time.monotonic()
    with client("http://127.0.0.1:9") as remote, pytest.raises(StoreError, match="cannot be reached"):
        remote.add_file(Offered(large), Said())
    calls = []

    def full() -> httpx.Response:
        calls.append(1)
        raise StoreFull("no room")

    with pytest.raises(StoreFull):
        persist(full)
    assert (len(calls), time.monotonic() - began < 10) == (1, True)

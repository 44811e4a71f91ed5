"""Uploads that break: a killed server, a lost line, two at once, a full disk. Real uvicorn, a real tus client."""

import http.client
import json
import os
import resource
import socket
import threading
import time
from urllib.parse import urlsplit

import psutil
import pytest
from tusclient.client import TusClient

from tests.api.server import Server
from tests.api.tus import BYTES, TUS

MIB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server") / "home")
    try:
        yield server.start()
    finally:
        server.close()


def headers(**more):
    return {name.replace("-", "_"): value for name, value in {**TUS, **more}.items()}


def begun(server, length):
    status, told, _ = server.ask("POST", "/api/uploads", **headers(**{"Upload-Length": str(length)}))
    assert status == 201
    return told["location"]


def offset(server, where):
    return int(server.ask("HEAD", where, **headers())[1]["upload-offset"])


def patch(server, where, at, data):
    return server.ask("PATCH", where, data, **headers(**BYTES, **{"Upload-Offset": str(at)}))


def kill(server):
    server.process.kill()
    server.process.wait()


class Slow:
    """A PATCH whose body comes as the test lets it."""

    def __init__(self, server, where, at, length):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.connection.putrequest("PATCH", where)
        told = {**TUS, **BYTES, "Upload-Offset": str(at), "Content-Length": str(length)}
        for name, value in told.items():
            self.connection.putheader(name, value)
        self.connection.endheaders()

    def send(self, data):
        self.connection.send(data)

    def answer(self):
        found = self.connection.getresponse()
        return found.status, found.read()

    def cut(self):
        self.connection.sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


def until(met, within_s=20.0):
    end = time.monotonic() + within_s
    while not met():
        assert time.monotonic() < end
        time.sleep(0.05)


def became(server, where):
    """The bytes of the item that an upload becomes."""
    body = json.dumps({"source": "file", "data": where.rpartition("/")[2]}).encode()
    status, _, told = server.ask("POST", "/api/media/process", body, content_type="application/json")
    assert status in {200, 202}, told
    return kept(server, json.loads(told)["id"])


def kept(server, item):
    [path] = [p for p in (server.home / "blobs" / "inbox" / ".uploads" / item).iterdir() if p.name != ".nexus.json"]
    return path.read_bytes()


def growing(server, where):
    return (server.home / "blobs" / "inbox" / ".nexus-parts" / "uploads" / where.rpartition("/")[2]).exists()


def test_a_real_client_goes_on_after_the_server_was_killed(server, tmp_path):
    data = os.urandom(3 * MIB + 17)
    path = tmp_path / "talk.wav"
    path.write_bytes(data)
    client = TusClient(f"{server.url}/api/uploads")
    told = {"filename": "talk.wav", "title": "Ein Gespräch", "process": "now"}
    with path.open("rb") as file:
        how = {"file_stream": file, "upload_checksum": True}
        first = client.uploader(chunk_size=512 * 1024, metadata=told, **how)
        first.upload(stop_at=2 * MIB)
        where = first.url
        kill(server)
        server.start()
        again = client.uploader(chunk_size=MIB, url=where, **how)
        assert again.offset == 2 * MIB
        again.upload()
    item = server.ask("HEAD", urlsplit(where).path, **headers())[1]["nexus-item"]
    assert kept(server, item) == data
    assert json.loads(server.ask("GET", f"/api/media/{item}")[2])["title"] == "Ein Gespräch"


def test_a_server_that_is_killed_within_a_request_keeps_what_was_sure(server):
    data = os.urandom(40 * MIB)
    where = begun(server, len(data))
    with Slow(server, where, 0, len(data)) as slow:
        slow.send(data[: 36 * MIB])
        until(lambda: offset(server, where) >= 32 * MIB)
        kill(server)
    server.start()
    at = offset(server, where)
    assert 32 * MIB <= at <= 36 * MIB
    assert patch(server, where, at, data[at:])[0] == 204
    assert became(server, where) == data


def test_a_line_that_breaks_loses_nothing_that_came(server):
    where = begun(server, 3 * MIB)
    with Slow(server, where, 0, 3 * MIB) as slow:
        slow.send(b"x" * (MIB + 5))
        time.sleep(0.3)
        slow.cut()
    until(lambda: offset(server, where) == MIB + 5)
    assert patch(server, where, MIB + 5, b"y" * (2 * MIB - 5))[0] == 204


def test_of_two_at_once_one_waits_until_the_other_has_fallen_silent(server):
    where = begun(server, 10)
    with Slow(server, where, 0, 10) as slow:
        slow.send(b"abc")
        time.sleep(0.3)
        status, _, body = patch(server, where, 0, b"0123456789")
        assert (status, b"upload_locked" in body) == (423, True)
        status, body = slow.answer()  # ten seconds without a byte
    assert (status, b"upload_cut_off" in body) == (408, True)
    assert offset(server, where) == 3
    assert patch(server, where, 3, b"defghij")[0] == 204


def test_many_at_once_are_written_once(server):
    data = os.urandom(2 * MIB)
    where = begun(server, len(data))
    found = []
    threads = [threading.Thread(target=lambda: found.append(patch(server, where, 0, data)[0])) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(found) == 204
    assert found.count(204) == 1
    assert set(found) <= {204, 409, 423}
    assert became(server, where) == data


def test_an_upload_that_is_removed_while_it_comes_ends(server):
    where = begun(server, 40 * MIB)
    with Slow(server, where, 0, 40 * MIB) as slow:
        slow.send(b"x" * MIB)
        time.sleep(0.3)
        assert server.ask("DELETE", where, **headers())[0] == 204
        slow.send(b"x" * (39 * MIB))
        assert slow.answer()[0] == 404
    assert not growing(server, where)


def test_a_full_disk_is_said_and_the_upload_goes_on_when_there_is_room(server):
    limit = 24 * MIB
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    data = os.urandom(32 * MIB)
    where = begun(server, len(data))
    status, _, body = patch(server, where, 0, data)
    assert (status, b"store_full" in body) == (507, True)
    at = offset(server, where)
    assert 16 * MIB <= at <= limit
    assert growing(server, where)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert patch(server, where, at, data[at:])[0] == 204
    assert became(server, where) == data


def test_a_large_upload_takes_no_more_memory_than_a_small_one(server):
    where = begun(server, 300 * MIB)
    assert patch(server, where, 0, b"x" * MIB)[0] == 204
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    most = [before]
    with Slow(server, where, MIB, 299 * MIB) as slow:
        for _ in range(299):
            slow.send(b"y" * MIB)
            most.append(process.memory_info().rss)
        assert slow.answer()[0] == 204
    assert max(most) - before < 40 * MIB

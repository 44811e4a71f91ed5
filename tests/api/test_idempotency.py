"""`Idempotency-Key`: what is sent twice is done once, whatever happens in between."""

import http.client
import json
import sqlite3
import threading
import time
import uuid
from contextlib import closing

import pytest
import sqlalchemy as sa
from fastapi import Response
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

from nexus_api.app import create_app
from nexus_pipeline.catalog.tables import posts
from tests.api.conftest import settings
from tests.api.server import Server
from tests.api.test_adding import BOUNDARY, form
from tests.api.tus import TUS

URL = {"source": "url", "data": "https://example.com/talk.mp3"}


def keyed(**headers):
    return {"Idempotency-Key": str(uuid.uuid4()), **headers}


def process(site, headers, **told):
    return site.client.post("/api/media/process", json={**URL, **told}, headers=headers)


def count(site):
    with site.parts.catalog.reading() as r:
        return r.db.execute(sa.select(sa.func.count()).select_from(posts)).scalar_one()


def test_a_post_sent_twice_gets_the_first_ones_answer(site):
    key = keyed()
    first, again = process(site, key), process(site, key)
    assert (first.status_code, again.status_code) == (202, 202)  # without the key the second one is a 200
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["content-type"] == "application/json"
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    assert process(site, keyed()).status_code == 200
    assert process(site, {}).status_code == 200


def test_a_key_in_quotes_is_the_same_key(site):
    assert process(site, {"Idempotency-Key": '"abc"'}).status_code == 202
    assert process(site, {"Idempotency-Key": "abc"}).headers["idempotency-replayed"] == "true"


def test_a_key_belongs_to_one_request(site):
    key = keyed()
    process(site, key)
    for told in ({"title": "another"}, {"data": "https://example.com/other.mp3"}):
        answer = process(site, key, **told)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert len(site.client.get("/api/media").json()["items"]) == 1


def test_a_key_holds_for_its_path_only(site):
    key = keyed()
    item = process(site, key).json()["id"]
    asked = site.client.post(f"/api/media/{item}/cancel", headers=key)
    assert (asked.status_code, "idempotency-replayed" in asked.headers) == (202, False)


def test_a_refusal_that_would_come_again_is_kept_too(site):
    key = keyed()
    first = process(site, key, data="ftp://example.com")
    again = process(site, key, data="ftp://example.com")
    assert (first.status_code, again.status_code, again.json()) == (422, 422, first.json())
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "a\tb"])
def test_a_key_that_is_none_is_refused(site, key):
    answer = process(site, {"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_request")


def test_reading_takes_no_notice_of_a_key(site):
    assert "idempotency-replayed" not in site.client.get("/api/media", headers={"Idempotency-Key": "x" * 300}).headers
    assert count(site) == 0


def test_a_form_is_the_same_with_another_boundary_and_not_with_another_byte(site, spoken):
    key, data = keyed(), spoken[0].read_bytes()

    def send(boundary, data, cut=100_000):
        body = form(("file", "a.wav", data)).replace(BOUNDARY.encode(), boundary)
        kind = {"content-type": f"multipart/form-data; boundary={boundary.decode()}"}
        pieces = (body[at : at + cut] for at in range(0, len(body), cut))
        return site.client.post("/api/media/file", content=pieces, headers={**kind, **key})

    first, again = send(b"-----one", data), send(b"--another-one", data, cut=7001)
    assert (first.status_code, again.status_code, again.json()) == (202, 202, first.json())
    other = send(b"-----one", data[:-1] + b"X")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    cut_off = site.client.post("/api/media/file", content=b"no form", headers=key)
    assert cut_off.status_code == 422


def test_an_upload_begun_twice_is_one_upload(site):
    key = keyed(**TUS, **{"Upload-Length": "5"})
    first, again = (site.client.post("/api/uploads", headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["tus-resumable"] == "1.0.0"
    other = site.client.post("/api/uploads", headers={**key, "Upload-Length": "6"})
    assert other.json()["code"] == "idempotency_key_reused"
    assert len(site.parts.catalog.open_uploads()) == 1


def test_an_erased_item_takes_its_owners_answers_along(site):
    key = keyed()
    item = process(site, key, title="An unspeakable title").json()["id"]
    site.client.delete(f"/api/media/{item}")
    answer = process(site, key, title="An unspeakable title")
    assert (answer.status_code, answer.json()["code"]) == (410, "answer_gone")
    assert site.client.get("/api/media").json()["items"] == []
    with site.parts.catalog.reading() as r:
        assert [tuple(row) for row in r.db.execute(sa.select(posts.c.headers, posts.c.body))] == [(None, None)]


@pytest.fixture
def odd(tmp_path):
    """Routes that fail, talk long, stream or break off; how often each did."""
    app = create_app(settings(tmp_path / "home"))
    done = []

    @app.post("/api/fails")
    def fails():
        done.append("fails")
        if len(done) == 1:
            raise RuntimeError("once")
        return "done"

    @app.post("/api/busy")
    def busy():
        done.append("busy")
        return Response(status_code=429 if len(done) == 1 else 200)

    @app.post("/api/long")
    def long():
        done.append("long")
        return "x" * 300_000

    @app.post("/api/streams")
    def streams():
        done.append("streams")
        return StreamingResponse((f"data: {n}\n\n" for n in range(5)), media_type="text/event-stream")

    @app.post("/api/ends")
    def ends():
        done.append("ends")
        told = ["event: token\ndata: {}\n\n", "event: problem\ndata: {}\n\n" if len(done) == 1 else "event: done\n\n"]
        return StreamingResponse(iter(told), media_type="text/event-stream")

    with TestClient(app, raise_server_exceptions=False) as client:
        client.done = done
        yield client


@pytest.mark.parametrize(("path", "first"), [("/api/fails", 500), ("/api/busy", 429)])
def test_what_may_be_answered_otherwise_later_is_done_anew(odd, path, first):
    key = keyed()
    told = [odd.post(path, headers=key).status_code for _ in range(3)]
    assert (told, len(odd.done)) == ([first, 200, 200], 2)


def test_an_answer_that_is_too_long_is_not_kept_and_nothing_is_done_twice(odd):
    key = keyed()
    assert len(odd.post("/api/long", headers=key).content) > 300_000
    again = odd.post("/api/long", headers=key)
    assert (again.status_code, again.json()["code"], odd.done) == (410, "answer_gone", ["long"])


def test_a_streamed_answer_is_streamed_again(odd):
    key = keyed()
    first, again = odd.post("/api/streams", headers=key), odd.post("/api/streams", headers=key)
    assert first.text == again.text == "".join(f"data: {n}\n\n" for n in range(5))
    assert again.headers["content-type"] == first.headers["content-type"]
    assert odd.done == ["streams"]


def test_a_stream_that_told_of_a_problem_is_made_anew(odd):
    key = keyed()
    told = [odd.post("/api/ends", headers=key).text for _ in range(3)]
    assert ("problem" in told[0], "done" in told[1], told[1] == told[2], len(odd.done)) == (True, True, True, 2)


def test_an_answer_of_a_chat_is_given_again_and_goes_with_the_chat(site):
    key = keyed(accept="text/event-stream")
    body = {"question": "To which day did the budget meeting move?"}
    first, again = (site.client.post("/api/chat", json=body, headers=key) for _ in range(2))
    assert "event: done" in first.text
    assert again.text == first.text
    chats = site.client.get("/api/chats").json()["items"]
    assert len(chats) == 1
    plain = site.client.post("/api/chat", json=body, headers={**key, "accept": "application/json"})
    assert plain.json()["code"] == "idempotency_key_reused"
    site.client.delete(f"/api/chats/{chats[0]['id']}")
    assert site.client.post("/api/chat", json=body, headers=key).json()["code"] == "answer_gone"


# ---------------------------------------------------------------- several at once, and a crash in between


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server") / "home")
    try:
        yield server.start()
    finally:
        server.close()


class Slow:
    """A form whose second half comes when the test wants it to."""

    def __init__(self, server, key):
        self.body = form(("file", "a.wav", b"sound" * 10_000))
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self.connection.putrequest("POST", "/api/media/file")
        told = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Idempotency-Key": key}
        for name, value in {**told, "Content-Length": str(len(self.body))}.items():
            self.connection.putheader(name, value)
        self.connection.endheaders()
        self.connection.send(self.body[:20_000])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def rest(self):
        self.connection.send(self.body[20_000:])
        answer = self.connection.getresponse()
        return answer.status, answer.read()


def send(server, key):
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    headers = {"content_type": kind, "idempotency_key": key}
    return server.ask("POST", "/api/media/file", form(("file", "a.wav", b"sound" * 10_000)), **headers)


def sql(server, statement, *values):
    db = sqlite3.connect(server.home / "catalog.sqlite")
    with closing(db), db:
        return db.execute(statement, values).fetchall()


def wait_for_claim(server, key):
    end = time.monotonic() + 20
    while not sql(server, "SELECT 1 FROM posts WHERE key = ?", key):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_second_of_two_at_once_is_told_to_wait(server):
    with Slow(server, "two") as slow:
        wait_for_claim(server, "two")
        status, _, body = send(server, "two")
        assert (status, json.loads(body)["code"], json.loads(body)["retryable"]) == (409, "still_under_way", True)
        first = slow.rest()
    assert first[0] == 202
    again = send(server, "two")
    assert (again[0], json.loads(again[2])) == (202, json.loads(first[1]))


def test_many_at_once_do_it_once(server):
    told = {"tus_resumable": "1.0.0", "upload_length": "5", "idempotency_key": "many"}
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(server.ask("POST", "/api/uploads", **told))) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _, _ in found} <= {201, 409}
    assert len({headers["location"] for status, headers, _ in found if status == 201}) == 1
    assert sql(server, "SELECT count(*) FROM uploads") == [(1,)]


def test_a_line_that_breaks_gives_the_key_back(server):
    with Slow(server, "cut"):
        wait_for_claim(server, "cut")
    end = time.monotonic() + 20
    while (answer := send(server, "cut"))[0] == 409:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert "idempotency-replayed" not in answer[1]


def test_a_process_that_was_killed_in_between_keeps_nobody_waiting_for_long(server):
    with Slow(server, "one"):
        wait_for_claim(server, "one")
        server.process.kill()
        server.process.wait()
    server.start()
    assert send(server, "one")[0] == 409
    sql(server, "UPDATE posts SET beat_at = beat_at - 31000000")  # half a minute later
    assert send(server, "one")[0] in {200, 202}
    assert send(server, "one")[1]["idempotency-replayed"] == "true"


def test_a_client_that_went_away_finds_the_answer_kept(server):
    body = json.dumps(URL).encode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Content-Type": "application/json", "Idempotency-Key": "gone"}
    connection.request("POST", "/api/media/process", body, headers)
    wait_for_claim(server, "gone")
    connection.close()
    told = {"content_type": "application/json", "idempotency_key": "gone"}
    end = time.monotonic() + 20
    while (answer := server.ask("POST", "/api/media/process", body, **told))[0] == 409:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert (answer[0], answer[1]["idempotency-replayed"]) == (202, "true")

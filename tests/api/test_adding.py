"""What comes in over HTTP: files that stream, addresses, and all that may be wrong with them."""

import hashlib
import json

import pytest
from fastapi.testclient import TestClient

from nexus_api.app import create_app
from tests.api.conftest import Site, settings
from tests.running import srt

BOUNDARY = "-----------------------------nexus"


def form(*parts, end=True):
    """A body of parts (name, filename or None, bytes), as a browser writes it."""
    body = b""
    for name, filename, data in parts:
        told = f'; filename="{filename}"' if filename is not None else ""
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{told}\r\n\r\n'.encode() + data + b"\r\n"
    return body + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


def post(site, body, **headers):
    kind = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", **headers}
    return site.client.post("/api/media/file", content=body, headers=kind)


def left(site):
    """Files that an upload may have left behind."""
    scratch = site.parts.settings.cache / "scratch"
    return [path for path in scratch.rglob("*") if path.is_file()] if scratch.exists() else []


def test_a_file_becomes_an_item_that_says_where_it_is(site, spoken):
    hints = {"prompt": "About pianos.", "vocabulary": "Steinway, Anna"}
    answer = site.send(spoken[0], title=" A talk ", tags="work, pianos", language="en", priority="high", **hints)
    item = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/media/{item['id']}"
    assert (item["title"], item["filename"], item["source"]) == ("A talk", "talk 0.wav", "upload")
    assert (item["tags"], item["language"], item["priority"], item["state"]) == (
        ["work", "pianos"],
        "en",
        "high",
        "waiting",
    )
    kept = site.parts.catalog.get(item["id"])
    assert (kept.prompt, kept.vocabulary) == ("About pianos.", ("Steinway", "Anna"))
    assert item["bytes"] == spoken[0].stat().st_size
    assert site.parts.inbox.read(f".uploads/{item['id']}/talk 0.wav") == spoken[0].read_bytes()
    assert left(site) == []


def test_the_same_bytes_twice_are_the_same_item_whatever_the_name(site, spoken):
    first = site.send(spoken[0])
    again = post(site, form(("file", "other.wav", spoken[0].read_bytes())))
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    assert site.client.get("/api/media").json()["items"] == [again.json()]


def test_the_command_line_and_the_api_make_the_same_item_of_the_same_file(site, spoken):
    from nexus_api.adding import Offered, Said, add_file

    sent = site.send(spoken[0]).json()["id"]
    assert add_file(site.parts, Offered(spoken[0]), Said()).item.id == sent


def test_a_transcript_beside_the_file_goes_with_it(site, spoken):
    beside = srt("A zebra was written beside the file.")
    item = post(site, form(("file", "a.wav", spoken[0].read_bytes()), ("transcript", "b.SRT", beside))).json()
    [done] = site.work(item["id"])
    assert done.state == "done"
    told = site.client.get(f"/api/media/{item['id']}/transcript?format=txt").text
    assert "zebra" in told


def test_a_transcript_alone_is_text(site):
    item = post(site, form(("file", "said.srt", srt("A walrus was only ever written down.")))).json()
    [done] = site.work(item["id"])
    assert (done.kind, done.state) == ("text", "done")
    assert site.client.get(f"/api/media/{item['id']}/play").status_code == 404


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\talk.wav", "talk.wav"),
        ("-rf 🎹 'q' %41.wav", "-rf 🎹 'q' %41.wav"),
        ("..", "file"),
        ("", "file"),
        ("a\tb.wav", "ab.wav"),
        ("ö" * 200 + ".wav", "ö" * 125 + ".wav"),
    ],
)
def test_a_name_is_kept_as_far_as_it_is_a_name(site, name, kept):
    item = post(site, form(("file", name, name.encode() + b"unlike others"))).json()
    assert item["filename"] == kept
    assert len(item["filename"].encode()) <= 255


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (form(("other", None, b"x")), 422, "bad_request"),
        (form(("file", "a", b"1"), ("file", "b", b"2")), 422, "bad_request"),
        (form(("file", "a", b"x" * 5000), end=False), 422, "bad_request"),
        (form(("file", "a", b"x"), ("title", None, b"t" * 70_000)), 422, "bad_request"),
        (form(("file", "a", b"x"), ("title", None, b"\xff\xfe")), 422, "bad_request"),
        (form(("file", "a", b"x"), ("tytle", None, b"t")), 422, "bad_request"),
        (form(("file", "a", b"x"), ("priority", None, b"urgent")), 422, "bad_request"),
        (form(("file", "a", b"x"), ("engines", None, b"{")), 422, "bad_request"),
        (form(("file", "a", b"x"), ("engines", None, b'{"transcript": "nobody:x"}')), 422, "bad_input"),
        (form(("file", "a", b"x"), ("digest", None, b"0" * 64)), 422, "digest_mismatch"),
        (form(*((f"f{n}", None, b"") for n in range(80))), 422, "bad_request"),
        (b"no form at all", 422, "bad_request"),
        (b"", 422, "bad_request"),
    ],
)
def test_a_form_that_is_wrong_says_so_and_leaves_nothing(site, body, status, code):
    answer = post(site, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert site.client.get("/api/media").json()["items"] == []
    assert left(site) == []


def test_what_is_no_form_is_refused(site):
    answer = site.client.post("/api/media/file", json={"file": "x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_request")


def test_the_declared_digest_is_compared(site):
    digest = hashlib.sha256(b"bytes").hexdigest()
    assert post(site, form(("digest", None, f"sha256:{digest}".encode()), ("file", "a", b"bytes"))).status_code == 202


def test_a_file_that_is_too_large_is_refused_before_and_while_it_comes(tmp_path):
    with TestClient(create_app(settings(tmp_path / "home", max_bytes=1_000_000))) as client:
        site = Site(client, client.app.state.parts)
        body = form(("file", "a", b"x" * 1_000_001))
        declared = post(site, body)
        undeclared = post(site, (body[at : at + 65536] for at in range(0, len(body), 65536)))
        lied = post(site, form(("file", "a", b"x")), **{"content-length": str(10**12)})
        for answer in (declared, undeclared, lied):
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert left(site) == []


def test_an_address_is_an_item_once_in_whatever_form_it_is_written(site):
    def ask(url, **more):
        return site.client.post("/api/media/process", json={"source": "url", "data": url, **more})

    first = ask("https://Example.com/talk.mp3?utm_source=mail", title="A talk", tags=["a"])
    again = ask("https://example.com/talk.mp3#t=10")
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    assert (first.json()["origin"], first.json()["platform"]) == ("https://example.com/talk.mp3", "web")
    assert ask("https://youtu.be/dQw4w9WgXcQ").json()["platform"] == "youtube"


@pytest.mark.parametrize(
    ("told", "status", "code"),
    [
        ({"source": "url", "data": "ftp://example.com/a"}, 422, "bad_address"),
        ({"source": "url", "data": "file:///etc/passwd"}, 422, "bad_address"),
        ({"source": "url", "data": "https://user:pw@example.com/"}, 422, "bad_address"),
        ({"source": "url"}, 422, "bad_request"),
        ({"source": "elsewhere", "data": "x"}, 422, "bad_request"),
        ({"source": "url", "data": "https://example.com/", "titel": "x"}, 422, "bad_request"),
        ({"source": "url", "data": "https://example.com/", "engines": {"raw": "x"}}, 422, "bad_input"),
        ({"source": "file", "data": "no-such-upload"}, 404, "not_found"),
    ],
)
def test_an_address_that_is_none_is_refused(site, told, status, code):
    answer = site.client.post("/api/media/process", json=told)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "pw" not in answer.text
    assert site.client.get("/api/media").json()["items"] == []


def test_a_body_that_is_no_upload_is_bounded(site):
    big = json.dumps({"source": "url", "data": "https://example.com/" + "a" * 2_000_000})
    declared = site.client.post("/api/media/process", content=big, headers={"content-type": "application/json"})
    undeclared = site.client.post(
        "/api/media/process", content=iter([big.encode()] * 2), headers={"content-type": "application/json"}
    )
    assert [a.status_code for a in (declared, undeclared)] == [413, 413]
    assert undeclared.json()["code"] == "too_large"

"""NEXUS_URL: every command asks a server, and prints what it would have printed on the server's own machine."""

import json
import os
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from nexus_api import client, watching
from nexus_api.client import Remote
from nexus_pipeline.domain import errors
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.states import State, StepStatus
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts
from tests.api.server import Server
from tests.commands import ROOT, added, heard, landed, nexus
from tests.terminal import bare, on_terminal

INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d\.\d+Z)?")
CHAT = re.compile(r"\b[0-9a-f]{16}\b")
TOOK = re.compile(r'"(took_ms|search_id)": [\d.]+')


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The API over the stores of one home; nothing works on them."""
    folder = tmp_path_factory.mktemp("site")
    models = str(ROOT / "samples" / "models")
    server = Server(folder / "home", NEXUS_MODELS=models).start()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("NEXUS_")]:
            patch.delenv(name)
        told = {"NEXUS_HOME": str(folder / "home"), "NEXUS_MODELS": models, "NEXUS_SITE": server.url}
        for name, value in told.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        yield Site(server, folder, Parts(Settings()))
    server.close()


class Site:
    """The same command here and there."""

    def __init__(self, server, folder, parts):
        self.server, self.folder, self.parts = server, folder, parts

    def file(self, name):
        path = self.folder / name
        path.write_text(name)
        return path

    def here(self, *arguments, code=0):
        return self._said(arguments, code, None)

    def there(self, *arguments, code=0):
        return self._said(arguments, code, self.server.url)

    @staticmethod
    def _said(arguments, code, url):
        told = nexus(*arguments, code=code, env={"NEXUS_URL": url})
        text = told.stdout + (told.stderr if code else "")
        return CHAT.sub("CHAT", TOOK.sub("", INSTANT.sub("AT", text)))


@pytest.fixture(scope="module")
def two(site):
    """One that was heard, one that waits."""
    [first] = added(site.file("A talk.mp3"), "--tag", "work")
    heard(site.parts, first["id"])
    return first["id"], added(site.file("other.mp3"))[0]["id"]


READING = [
    "ls",
    "ls --json",
    "ls --state waiting --json",
    "ls --tag work",
    "ls --title other --kind audio --json",
    "ls --limit 1 --json",
    "show FIRST",
    "show FIRST --json",
    "show SECOND",
    "transcript FIRST",
    "transcript FIRST --json",
    "transcript FIRST --format srt",
    "transcript FIRST --format vtt",
    "transcript FIRST --format md",
    "search apple trees --json",
    "search apple trees",
    "search apple --mode words --limit 1",
    "search apple --filter language=de --json",
    "search apple --group item",
    "search apple --group item --no-merge --json",
    "ask How many apple trees will we buy?",
    "ask How many apple trees will we buy? --item FIRST --json",
    "models --json",
    "models",
]
FAILING = [
    "show zzzzzzzz",
    "show abc",
    "transcript SECOND",
    "transcript FIRST --language de",
    "search apple --filter colour=red",
    "ask What did the president say about tax?",
    "ask What of it? --item zzzzzzzz",
    "ask What of it? --chat zzzzzzzz",
    "retry zzzzzzzz",
    "rm zzzzzzzz --yes",
]


def written(line, two):
    return line.replace("FIRST", two[0]).replace("SECOND", two[1]).split()


@pytest.mark.parametrize("line", READING)
def test_what_is_read_is_the_same_from_afar(site, two, line):
    here = site.here(*written(line, two))
    assert here
    assert site.there(*written(line, two)) == here


def test_groups_of_several_answers_are_put_together(site, two, monkeypatch):
    [third] = added(site.file("third.mp3"))
    heard(site.parts, third["id"])
    time.sleep(1.1)  # what another process writes is seen after a second
    there, how = Remote(site.server.url, None), {"mode": "words", "filters": {}, "limit": 5, "group": "item"}
    whole = there.search("apple", **how)
    assert {two[0], third["id"]} <= {group["item_id"] for group in whole["groups"]}
    monkeypatch.setattr(client, "TOGETHER", 1)
    apart = there.search("apple", **how)
    assert (apart["groups"], apart["hits"]) == (whole["groups"], whole["hits"])


@pytest.mark.parametrize("line", FAILING)
def test_what_fails_fails_with_the_same_words_and_exit_code(site, two, line):
    assert site.there(*written(line, two), code=1) == site.here(*written(line, two), code=1)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_what_is_asked_for_is_the_same_from_afar(site, form):
    [item] = added(site.file("asked.mp3"))
    heard(site.parts, item["id"])
    for line in (("rerun", item["id"], "--from", "enrichment"), ("cancel", item["id"]), ("retry", item["id"])):
        here = site.here(*line, *form)
        assert site.there(*line, *form) == here, line
    failed = StepStatus("enrichment", State.FAILED, error_code="damaged_media", run_id="run")
    landed(site.parts, item["id"], failed)
    here = site.here("retry", "--all", *form)
    landed(site.parts, item["id"], failed)
    assert site.there("retry", "--all", *form) == here


def test_what_is_added_and_erased_is_the_same_from_afar(site):
    a, b = site.file("a.mp3"), site.file("b.mp3")
    told = site.here("add", a, "--tag", "x"), site.there("add", b, "--tag", "x")
    ids = [one.split()[0] for one in told]
    assert told[1].replace(ids[1], ids[0]).replace("  b  ", "  a  ") == told[0]
    assert site.parts.catalog.get(ids[1]).tags == ("x",)
    assert "already there" in site.there("add", a)
    assert site.here("add", a, "--json") == site.there("add", a, "--json")
    erased = [json.loads(one("rm", i, "--yes", "--json")) for one, i in zip((site.here, site.there), ids, strict=True)]
    assert erased[0]["items"][0]["erased"] == erased[1]["items"][0]["erased"]
    assert site.there("ls", "--json") == site.here("ls", "--json")


def test_an_address_is_asked_for_from_afar(site):
    told = site.there("add", "https://example.com/talk?utm_source=x", "--title", "Given")
    assert site.here("add", "https://example.com/talk") == told.replace("(waiting)", "(already there, waiting)")


def test_sending_a_large_file_shows_how_far_it_is(site):
    path = site.folder / "large.mp3"
    path.write_bytes(b"sound" * 8_000_000)
    seen = bare(on_terminal("add", path, environment={"NEXUS_URL": site.server.url}))
    assert "adding large.mp3" in seen
    assert "40.0 MB" in seen
    assert "(waiting)" in seen


def test_a_table_on_a_terminal_is_the_same_from_afar(site, two):
    seen = [bare(on_terminal("ls", columns=70, environment=more)) for more in ({}, {"NEXUS_URL": site.server.url})]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("far", [False, True])
def test_waiting_shows_each_step_as_it_lands(site, far):
    path = site.file(f"waited for {far}.mp3")
    [item] = added(path, "--title", "Waited for")

    def work():
        for step in STEPS:
            landed(site.parts, item["id"], StepStatus(step, State.DONE, run_id="run", seconds=1.25))

    seen = bare(
        on_terminal(
            "add",
            path,
            "--wait",
            environment={"NEXUS_URL": site.server.url} if far else {},
            when=("1 waiting", threading.Thread(target=work).start),
        )
    )
    lines = [line.strip() for line in seen.replace("\r", "\n").splitlines()]
    told = [line for line in lines if line.startswith("Waited for: ") and line.endswith("done in 1.2 s")]
    assert [line.split()[2] for line in told] == list(STEPS)
    assert "(already there, done)" in seen


def test_a_client_looks_when_the_servers_events_say_so_and_hardly_otherwise(site):
    [item] = added(site.file("looked at.mp3"))
    looked: list[float] = []
    http = httpx.Client(base_url=site.server.url, trust_env=False)

    def look():
        looked.extend(time.monotonic() for _ in watching.far(http, patience_s=60))

    threading.Thread(target=look, daemon=True).start()
    _until(lambda: len(looked) >= 2)  # at once, and when the stream is open
    time.sleep(2)
    before = len(looked)
    time.sleep(2)
    assert len(looked) == before
    landed(site.parts, item["id"], StepStatus("raw", State.DONE, run_id="run"))
    _until(lambda: len(looked) > before)


def _until(met, within_s=15.0):
    end = time.monotonic() + within_s
    while not met():
        assert time.monotonic() < end
        time.sleep(0.05)


# ---------------------------------------------------------------- what goes wrong


class Stranger(BaseHTTPRequestHandler):
    """Answers everything in the same way."""

    status, body, kind, more = 200, b"", "text/html", {}

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("content-type", self.kind)
        self.send_header("content-length", str(len(self.body)))
        for name, value in self.more.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def stranger(home, monkeypatch):
    """A function that starts one."""
    started = []

    def start(status, body=b"<html>", kind="text/html", **more):
        told = {"status": status, "body": body, "kind": kind, "more": more}
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("One", (Stranger,), told))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        url = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("NEXUS_URL", url)
        return url

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def problem(code, status, detail):
    return json.dumps({"type": "about:blank", "title": "x", "status": status, "detail": detail, "code": code}).encode()


@pytest.mark.parametrize(
    ("status", "body", "code", "told"),
    [
        (200, b"<html>hello", 3, "is no Nexus (status 200)"),
        (200, b"[]", 3, "is no Nexus"),
        (404, b"<html>", 3, "is no Nexus (status 404)"),
        (401, b"<html>", 3, "set NEXUS_KEY"),
        (401, problem("no_key", 401, "a key is wanted"), 3, "set NEXUS_KEY (a key is wanted)"),
        (
            403,
            problem("foreign_page", 403, "this server is not called so"),
            3,
            "refuses this: this server is not called",
        ),
        (404, problem("not_found", 404, "no item abcd"), 1, "no item abcd"),
        (404, problem("not_found", 404, "Not Found"), 3, "is it an older Nexus?"),
        (422, problem("bad_input", 422, "there is no such filter"), 1, "there is no such filter"),
        (422, problem("of_the_future", 422, "no such thing"), 1, "no such thing"),
        (500, problem("unexpected", 500, "its log has the details"), 1, "failed: its log has the details"),
        (502, b"<html>Bad Gateway", 3, "is Nexus running behind it?"),
        (503, problem("store_error", 503, "the catalog does not answer"), 3, "the catalog does not answer"),
        (507, problem("store_full", 507, "no space is left"), 3, "no space is left"),
    ],
)
def test_whatever_a_server_answers_becomes_words_and_an_exit_code(stranger, status, body, code, told):
    stranger(status, body, "application/problem+json" if body.startswith(b"{") else "text/html")
    said = nexus("ls", code=code)
    assert told in said.stderr
    assert said.stdout == ""


def test_a_server_that_has_moved_says_where(stranger):
    stranger(301, location="https://nexus.example/api/media")
    assert "leads to https://nexus.example/api/media: write that into NEXUS_URL" in nexus("ls", code=3).stderr


@pytest.mark.parametrize("url", ["nexus.example", "ftp://nexus.example", "http://[", "http://:99999999"])
def test_what_is_no_address_is_called_so(home, monkeypatch, url):
    monkeypatch.setenv("NEXUS_URL", url)
    assert "NEXUS_URL" in nexus("ls", code=3).stderr


def test_who_does_not_listen_cannot_be_reached(home, monkeypatch):
    monkeypatch.setenv("NEXUS_URL", "http://someone:s3cret@127.0.0.1:9")
    told = nexus("ls", code=3).stderr
    assert "http://127.0.0.1:9 cannot be reached (Connection refused)" in told
    assert "s3cret" not in told


def test_who_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        remote = Remote(f"http://127.0.0.1:{deaf.getsockname()[1]}", None, patience_s=0.3)
        with pytest.raises(errors.StoreError, match="has said nothing for too long"):
            remote.page(limit=1)


def test_who_hangs_up_is_called_so(home):
    with socket.create_server(("127.0.0.1", 0)) as rude:

        def hang_up():
            connection, _ = rude.accept()
            connection.recv(10)
            connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(errors.StoreError, match="broke"):
            Remote(f"http://127.0.0.1:{rude.getsockname()[1]}", None).page(limit=1)

"""Keys that were planted, with engines, a store and a server that fail and repeat them: they are found nowhere.

One real `nexus up` with its worker, daemon and pages: every file below its home, every object in S3, all that it and
the command line print, every answer of the API, and the command lines of all its processes are looked through.
"""

import json
import subprocess
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, quote_plus

import psutil
import pytest

from nexus_api.programs import free_port
from nexus_pipeline.domain.states import ItemState, State
from tests import gemini_server, openai_server
from tests.contracts.s3_server import BUCKET, serving_s3
from tests.e2e.nexus import ROOT, Nexus
from tests.running import srt
from tests.speech import SENTENCES, SPEECH, speak
from tests.stores import forms, places

pytestmark = pytest.mark.timeout(900)
KEYS = {
    "NEXUS_GEMINI_API_KEY": "aiza-planted+gemini/3f9b=7c",
    "NEXUS_OPENAI_API_KEY": "sk-planted+openai/51d0=e2",
    "NEXUS_KEY": "nx-planted+nexus/a94c=18",
    "AWS_SECRET_ACCESS_KEY": "s3-planted+secret/77be=d3",
}
"""With letters that addresses write otherwise; small ones, for whoever looks does not tell large from small."""
GEMINI, OPENAI, NEXUS, _ = KEYS.values()
NEEDLES = sorted({form for key in KEYS.values() for form in (key, quote(key, safe=""), quote(key), quote_plus(key))})


def echoes(code, status=None):
    """Gemini answers with the key that it was sent, wherever a text may stand."""

    def fault(it):
        key = it.headers["x-goog-api-key"]
        told = {"code": code, "message": f"no: {key}", "status": status or key, "details": [{"reason": key}]}
        it.json({"error": told}, code, {"X-Echo": key, "Retry-After": "1"})

    return fault


@contextmanager
def echoing():
    """A server that answers every request of a `nexus` client with the header by which it signs in."""

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self):
            sent = " ".join(value for name, value in self.headers.items() if "planted" in value)
            code = 401 if "media" in self.path else 500
            told = {"title": sent, "detail": f"{sent}?", "code": sent, "status": code, "hint": sent}
            data = json.dumps(told).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/problem+json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - as the library wants them

        def log_message(self, *_told):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Site:
    """`nexus up` over all that fails, and everything that was ever printed or answered."""

    def __init__(self, nexus, gemini, openai, s3):
        self.nexus, self.gemini, self.openai, self.s3 = nexus, gemini, openai, s3
        self.told = {}
        self.names = set()

    def run(self, *arguments, **environment):
        """A command's output; whether it succeeds does not matter here."""
        done = subprocess.run(
            self.nexus._nexus(*map(str, arguments)),
            env=self.nexus.environment | environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.told[f"{arguments} {environment}"] = done.stdout + done.stderr
        return done

    def ask(self, path, body=None):
        """An answer of the API, whatever it is."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.nexus.port}{path}", data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
                found = answer.read(2_000_000).decode(errors="replace") + str(answer.headers)
        except urllib.error.HTTPError as error:
            found = error.read().decode(errors="replace") + str(error.headers)
        self.told[f"{path} {len(self.told)}"] = found
        return found

    def add(self, path, many):
        """All items, when this one, too, can be searched; processes' names are looked at meanwhile."""
        assert self.run("add", path).returncode == 0
        for process in self.nexus.processes():
            try:
                self.names.add(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        # blocked, as its translation is, an item may still have steps before it
        searched = {State.DONE, State.SKIPPED}

        def met():
            items = self.nexus.items()
            return len(items) >= many and all(item.step("embedding").state in searched for item in items)

        self.nexus.until(f"{many} items can be searched", met, 300)
        return self.nexus.items()

    def s3_objects(self):
        client = self.s3.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
        found = {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
        client.close()
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    with serving_s3() as s3, openai_server.serving() as openai, gemini_server.serving() as gemini:
        nexus = Nexus(
            folder,
            NEXUS_SPEECH=f"gemini:{gemini_server.HEARS},openai:{openai_server.NANO},{SPEECH}",
            NEXUS_ENRICHER="gemini,openai,local",
            NEXUS_TRANSLATE_TO="de",
            NEXUS_TRANSLATOR="openai",
            NEXUS_ANSWERER="gemini,openai,extractive",
            NEXUS_GEMINI_BASE_URL=gemini.url,
            NEXUS_OPENAI_BASE_URL=openai.url,
            NEXUS_BLOBS=f"s3://{BUCKET}/keys",
            NEXUS_S3_ENDPOINT=s3.endpoint,
            AWS_ACCESS_KEY_ID="planted",
            AWS_REGION="us-east-1",
            AWS_DEFAULT_REGION="us-east-1",
            **KEYS,
        )
        try:
            nexus.start()
            yield Site(nexus, gemini, openai, s3)
        finally:
            nexus.close()


@pytest.fixture(scope="module")
def lived(site, tmp_path_factory):
    """What happens to an archive whose vendors refuse keys, break, and go away."""
    folder = tmp_path_factory.mktemp("media")
    # 401 that repeats the key
    site.gemini.always = echoes(401)
    site.openai.key = "another"
    items = site.add(speak(folder / "refused.wav", SENTENCES[:2]), 1)
    # 500 with the key in its body, and 429
    site.openai.key = None
    site.openai.down = openai_server.Fault(500, OPENAI, OPENAI, OPENAI, says=OPENAI, headers={"X-Echo": OPENAI})
    site.gemini.always = echoes(500)
    items = site.add(speak(folder / "broken.wav", SENTENCES[2:4]), 2)
    # nobody is there
    site.gemini.always = gemini_server.drop
    site.openai.down = openai_server.Fault(body=OPENAI.encode())
    text = folder / "gone.srt"
    text.write_bytes(srt(*SENTENCES[4:6]))
    items = site.add(text, 3)
    some = items[0].id
    for arguments in (
        ["ls", "--json"], ["show", some], ["transcript", some], ["search", "piano"], ["models"], ["doctor"],
        ["retry", some], ["nonsense"],
    ):  # fmt: skip
        site.run(*arguments)
    nowhere = f"http://127.0.0.1:{free_port()}"
    site.run("doctor", NEXUS_S3_ENDPOINT=nowhere)
    with echoing() as elsewhere:
        here = f"http://127.0.0.1:{site.nexus.port}"
        asked = {here: ("ls", "search"), nowhere: ("ls",), elsewhere: ("ls", "show", "rm")}
        for url, commands in asked.items():
            for command in commands:
                more = {"show": [some], "search": ["piano"], "rm": [some, "--yes"]}.get(command, [])
                site.run(command, *more, NEXUS_URL=url)
    for path in (
        "/api/media", f"/api/media/{some}", f"/api/media/{some}/transcript", f"/api/media/{some}/transcript?format=vtt",
        "/api/search?q=piano", "/api/search?q=piano&mode=meaning", "/api/overview", "/api/action_items", "/health",
        "/openapi.json", "/metrics", "/api/me", "/api/media/none", "/", f"/items/{some}", "/no/such/page",
    ):  # fmt: skip
        site.ask(path)
    site.ask("/api/chat", {"question": "Where is the piano?"})
    site.ask("/api/media", {"url": "ftp://127.0.0.1/"})
    site.nexus.up.terminate()
    site.nexus.up.wait(120)  # what was said last is written, and no file changes any more
    site.nexus.up = None
    site.told["nexus up"] = site.nexus.log.read_text(errors="replace")
    site.told["processes"] = "\n".join(sorted(site.names))
    return items


def test_the_vendors_were_asked_with_these_keys_and_refused_them(site, lived):
    """Else nothing could have been found anyway."""
    assert {asked.headers["x-goog-api-key"] for asked in site.gemini.asked} == {GEMINI}
    assert {asked.headers["authorization"] for asked in site.openai.asked} == {f"Bearer {OPENAI}"}
    spoken = [item for item in lived if item.filename.endswith(".wav")]
    assert {item.step("transcript").engine for item in spoken} == {SPEECH}
    assert {item.step("enrichment").engine for item in lived} == {"local"}
    assert {item.step("translation").state for item in lived} & {State.BLOCKED, State.FAILED}
    assert ItemState.DONE not in {item.state for item in lived}
    assert len(site.s3_objects()) > 10
    assert site.names


def test_no_key_is_in_any_file_below_the_home(site, lived):
    assert places(site.nexus.home, NEEDLES) == []
    assert list(site.nexus.home.rglob("dagster/**/*.db"))
    assert list(Path(site.nexus.home, "logs").glob("*.log"))


def test_no_key_is_in_any_object_of_the_store(site, lived):
    found = [(name, form) for name, data in site.s3_objects().items() for form in seen(data.decode(errors="replace"))]
    assert found == []


def test_no_key_is_in_anything_that_was_printed_or_answered_nor_in_the_name_of_a_process(site, lived):
    assert [(what, form) for what, text in site.told.items() for form in seen(text)] == []


def test_a_key_that_is_there_would_be_seen():
    assert seen(f"Bearer {OPENAI}!")
    assert seen(quote(f"x={GEMINI}"))
    assert seen("eyJrZXkiOiAic2stcGxhbnRlZCtvcGVuYWkvNTFkMD1lMiJ9")  # {"key": "sk-planted+openai/51d0=e2"}


def seen(text):
    low = text.lower()
    return [
        f"{form}: {key[:10]}"
        for key in NEEDLES
        for form, needle in forms(key).items()
        if (needle.decode("latin-1") if form.startswith("base64") else needle.decode("latin-1").lower())
        in (text if form.startswith("base64") else low)
    ]

"""Who is left alone is hung up on: the place that it held is free at once, and nobody else's call ends."""

import gc
import socket
import ssl
import threading
import time
import warnings

import pytest

from nexus_pipeline.domain.errors import Cancelled, EngineDown
from nexus_pipeline.engines import LANGUAGES, build
from nexus_pipeline.engines.cloud import Line, Patience
from nexus_pipeline.engines.gemini_language import GeminiLanguage
from nexus_pipeline.engines.gemini_line import GeminiLine
from nexus_pipeline.engines.site import Cloud, EngineSite
from nexus_pipeline.engines.wires import Wires
from tests import gemini_server
from tests.contracts.test_sources_failures import certificate
from tests.openai_server import WORDS, Fault

SOON_S = 5.0
"""The wait in the other thread ends within 10 ms; the rest is left to a busy machine. What hangs here hangs longer."""


SOON_S = 5.0
"""A tenth of a second, on a machine that does nothing else; whoever is not hung up on holds the place far longer."""


def never():
    return False


def soon(asked):
    """A person leaves a moment after so much was asked, however long that took."""
    since = []

    def cancelled():
        if not since and asked():
            since.append(time.monotonic())
        return bool(since) and time.monotonic() - since[0] > 0.3

    return cancelled


def ask(language, cancelled=never):
    return language.ask("", "Where is it?", str, cancelled)


def tell(language, cancelled=never):
    return "".join(language.tell("", "Where is it?", cancelled))


# ---------------------------------------------------------------- through the vendors' own clients, one call at a time


@pytest.mark.parametrize("do", [ask, tell])
@pytest.mark.parametrize("fault", [gemini_server.hang, gemini_server.drip])
def test_gemini_can_be_asked_again_at_once_when_a_person_has_left(gemini, tmp_path, do, fault):
    cloud = Cloud(gemini.site(tmp_path).gemini.key, gemini.url, calls=1, tokens_a_minute=10**7)
    language = GeminiLanguage(gemini_server.TALKS, GeminiLine(cloud, tmp_path))
    gemini.says = lambda body: '"behind the door"'
    gemini.faults.append(fault)
    with pytest.raises(Cancelled):
        do(language, soon(lambda: gemini.asked))
    left = time.monotonic()
    assert "behind the door" in do(language)
    assert time.monotonic() - left < SOON_S
    assert len(gemini.asked) == 2


def test_openai_can_be_asked_again_at_once_when_a_person_has_left(openai, tmp_path):
    site = EngineSite(None, tmp_path, 1, lambda: None, openai=Cloud(None, openai.url, calls=1))
    language = build(LANGUAGES, "openai", site)
    for n, fault in enumerate((Fault(hold_s=20), Fault(drip_s=20))):
        openai.faults.append(fault)
        with pytest.raises(Cancelled):
            tell(language, soon(lambda n=n: len(openai.asked) > 2 * n))
        left = time.monotonic()
        assert tell(language) == WORDS
        assert time.monotonic() - left < SOON_S


def test_a_stream_that_nobody_reads_on_gives_its_place_back(openai, tmp_path):
    site = EngineSite(None, tmp_path, 1, lambda: None, openai=Cloud(None, openai.url, calls=1))
    language = build(LANGUAGES, "openai", site)
    openai.faults.append(Fault(drip_s=6))
    pieces = language.tell("", "x", never)
    assert next(pieces)
    pieces.close()
    left = time.monotonic()
    assert tell(language) == WORDS
    assert time.monotonic() - left < SOON_S


def test_an_answer_that_took_too_long_gives_its_place_back(gemini, tmp_path):
    """It is an outage, and asked for again."""
    cloud = Cloud(gemini.site(tmp_path).gemini.key, gemini.url, calls=1, tokens_a_minute=10**7)
    patience = Patience(tries=1, answer_s=2.0)
    language = GeminiLanguage(gemini_server.TALKS, GeminiLine(cloud, tmp_path, patience=patience))
    gemini.says = lambda body: '"behind the door"'
    line = GeminiLine(cloud, tmp_path / "patient")  # who comes first waits for the vendor's client to be loaded
    assert ask(GeminiLanguage(gemini_server.TALKS, line)) == "behind the door"
    gemini.faults.append(gemini_server.drip)
    with pytest.raises(EngineDown):
        ask(language)
    assert ask(language) == "behind the door"


def test_lines_that_are_let_go_close_their_connections(gemini, tmp_path):
    """A socket that the collector finds open is a warning, and a warning is an error here."""
    gemini.says = lambda body: '"behind the door"'
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for n in range(3):
            language = GeminiLanguage(gemini_server.TALKS, GeminiLine(gemini.site(tmp_path).gemini, tmp_path / str(n)))
            assert ask(language) == "behind the door"
            del language
            gc.collect()
    assert [str(one.message) for one in said if one.category is ResourceWarning] == []


# ---------------------------------------------------------------- beneath them


class Mute:
    """A server that takes connections and says nothing, over TLS where it has a certificate; it sees who hangs up."""

    def __init__(self, tls=None):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.tls, self.taken, self.ended = tls, threading.Event(), threading.Event()
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server.getsockname()[1]}/"
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        caller, _ = self.server.accept()
        with caller if self.tls is None else self.tls.wrap_socket(caller, server_side=True) as caller:
            self.taken.set()
            try:
                while caller.recv(1000):
                    pass
            except OSError:
                pass
            self.ended.set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.close()


@pytest.mark.parametrize("secret", [False, True])
def test_the_other_end_sees_that_it_was_hung_up_on(tmp_path, secret):
    tls, trusted = None, True
    if secret:
        path = certificate(tmp_path)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(path)
        trusted = ssl.create_default_context(cafile=str(path))
    wires = Wires(lambda http: http, verify=trusted, timeout=60)
    line = Line("mute", Cloud(calls=1), tmp_path, lambda error: EngineDown("it broke off"), Patience(tries=1))

    def do():
        with wires.lent() as http:
            return http.get(mute.url)

    with Mute(tls) as mute:
        with pytest.raises(Cancelled):
            line.call(do, tokens=1, cancelled=soon(mute.taken.is_set))
        assert mute.ended.wait(SOON_S)
        began = time.monotonic()
        assert line.call(lambda: "free", tokens=1, cancelled=never) == "free"
        assert time.monotonic() - began < SOON_S


def test_a_call_that_is_over_is_not_hung_up_on_when_its_client_serves_another(openai, tmp_path):
    """Its reader may be told late that it is over."""
    served = []
    wires = Wires(lambda http: http)
    line = Line("vendor", Cloud(calls=2), tmp_path, lambda error: EngineDown("it broke off"), Patience(tries=1))

    def stream():
        with wires.lent() as http:
            served.append(http)
            yield http.post(f"{openai.url}/none", json={}).status_code

    first = line.stream(stream, tokens=1, cancelled=never)
    assert next(first) == 404
    openai.faults.append(Fault(hold_s=1.5))
    second = line.stream(stream, tokens=1, cancelled=never)
    heard = []
    reader = threading.Thread(target=lambda: heard.extend(second))
    reader.start()
    while len(served) < 2:
        time.sleep(0.01)
    time.sleep(0.3)
    first.close()
    reader.join(10)
    assert heard == [404]
    assert served[0] is served[1]

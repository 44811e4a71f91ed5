"""The line to Gemini: what each fault of the vendor's becomes, how long is waited, how it is left, and the key."""

import contextlib
import logging
import socket
import threading
import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import SecretStr

from nexus_pipeline.domain.errors import (
    Cancelled,
    EngineBusy,
    EngineDown,
    EngineEmpty,
    EngineError,
    EngineFailed,
    ModelMissing,
    NexusError,
)
from nexus_pipeline.engines import gemini_line
from nexus_pipeline.engines.cloud import OUTAGES, TRIES, Barred, Patience
from nexus_pipeline.engines.gemini_embedder import GeminiEmbedder
from nexus_pipeline.engines.gemini_language import GeminiLanguage
from nexus_pipeline.engines.gemini_line import GeminiLine, line_of
from nexus_pipeline.engines.gemini_speech import GeminiSpeech
from nexus_pipeline.engines.site import Cloud
from nexus_pipeline.ports import Hints
from tests import gemini_server as server
from tests.speech import ffmpeg, speak

OTHER_KEY = "AIzaSomebodyElsesPlantedKey0123456789012"


def never():
    return False


def tell(language, cancelled=never):
    return "".join(language.tell("", "Where is it?", cancelled))


def ask(language, cancelled=never):
    return language.ask("", "Where is it?", str, cancelled)


HASTY = Patience(wait_s=0.05)
"""The waits before a call is tried again, twenty times shorter."""


@pytest.fixture
def language(gemini, tmp_path):
    gemini.says = lambda body: '"behind the door"'
    return GeminiLanguage(server.TALKS, GeminiLine(gemini.site(tmp_path).gemini, tmp_path, patience=HASTY))


def caught(error, do, *args):
    with pytest.raises(error) as info:
        do(*args)
    assert type(info.value) is error
    assert server.QUOTED not in "".join(traceback.format_exception(info.value))
    return info.value


MOMENTARY = [
    server.status(429, "RESOURCE_EXHAUSTED"),
    server.status(500, "INTERNAL"),
    server.status(503, "UNAVAILABLE"),
    server.status(504, "DEADLINE_EXCEEDED"),
    server.status(408, "CANCELLED"),
    server.body(b"<html>try later</html>", 502, "text/html"),
    server.body(b"<html>Log in to the hotel's network</html>", 200, "text/html"),
    server.body(b'{"candidates": [{"finishReason"'),
    server.drop,
    server.cut,
]


@pytest.mark.parametrize("fault", MOMENTARY)
def test_what_is_momentary_is_tried_again(gemini, language, fault):
    gemini.faults.extend([fault, fault])
    assert ask(language) == "behind the door"
    assert len(gemini.asked) == 3


@pytest.mark.parametrize("fault", MOMENTARY)
def test_what_lasts_is_busy_or_down(gemini, language, fault):
    gemini.always = fault
    error = caught(EngineBusy if fault is MOMENTARY[0] else EngineDown, ask, language)
    assert error.retryable
    assert len(gemini.asked) == TRIES


@pytest.mark.parametrize(
    "data", [b"[]", b"{}", b'{"candidates": "behind the door"}', b'{"candidates": [{"content": 7}]}']
)
def test_json_that_is_no_answer_is_none(gemini, language, data):
    gemini.always = server.body(data)
    with pytest.raises((EngineEmpty, EngineDown)):
        ask(language)


@pytest.mark.parametrize("do", [ask, tell])
@pytest.mark.parametrize(
    "told", [{"retry_info": "1.2s"}, {"retry_after": "1"}, {"retry_info": "1.5s", "retry_after": "3600"}]
)
def test_what_gemini_asks_to_wait_is_waited(gemini, language, do, told):
    gemini.faults.append(server.status(429, "RESOURCE_EXHAUSTED", **told))
    assert "behind the door" in do(language)
    first, second = gemini.asked
    least = float(told.get("retry_info", "1s")[:-1])
    assert least <= second.at - first.at < least + 2


def test_a_date_to_come_back_is_understood(gemini, language):
    at = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    gemini.always = server.status(503, "UNAVAILABLE", retry_after=at)
    assert caught(EngineDown, ask, language).retry_after_s == pytest.approx(3600, abs=30)


def test_who_is_asked_to_wait_for_long_gives_the_item_back_at_once(gemini, language):
    gemini.always = server.status(429, "RESOURCE_EXHAUSTED", retry_info="3600s")
    began = time.monotonic()
    assert caught(EngineBusy, ask, language).retry_after_s == 3600
    assert time.monotonic() - began < 5
    assert len(gemini.asked) == 1


@pytest.mark.parametrize("do", [ask, tell])
@pytest.mark.parametrize("fault", [server.status(401, "UNAUTHENTICATED"), server.status(403, "PERMISSION_DENIED")])
def test_a_key_that_is_refused_is_not_tried_again(gemini, language, do, fault):
    gemini.always = fault
    assert "set NEXUS_GEMINI_API_KEY" in str(caught(Barred, do, language))
    assert len(gemini.asked) == 1


def test_a_wrong_key_is_known_by_googles_own_word_for_it(gemini, tmp_path):
    language = GeminiLanguage.build(None, gemini.site(tmp_path, OTHER_KEY))
    assert "the key was refused" in str(caught(Barred, ask, language))
    assert gemini.asked[0].headers["x-goog-api-key"] == OTHER_KEY
    assert len(gemini.asked) == 1


@pytest.mark.parametrize("key", ["AIza\nplanted", "AIzaplantedé"])
def test_a_key_that_can_be_none_is_not_sent(gemini, tmp_path, key):
    error = caught(Barred, ask, GeminiLanguage.build(None, gemini.site(tmp_path, key)))
    assert "planted" not in str(error)
    assert gemini.asked == []


@pytest.mark.parametrize("do", [ask, tell])
def test_a_model_that_is_gone_is_named(gemini, tmp_path, do):
    language = GeminiLanguage.build("gemini-1.0-gone", gemini.site(tmp_path))
    assert "gemini-1.0-gone" in str(caught(ModelMissing, do, language))
    assert len(gemini.asked) == 1


@pytest.mark.parametrize("do", [ask, tell])
@pytest.mark.parametrize(("code", "kind"), [(400, "INVALID_ARGUMENT"), (413, "x"), (400, "FAILED_PRECONDITION")])
def test_a_request_that_is_not_taken_has_failed(gemini, language, do, code, kind):
    gemini.always = server.status(code, kind)
    assert str(code) in str(caught(EngineFailed, do, language))
    assert len(gemini.asked) == 1


def test_a_redirect_does_not_carry_the_key_to_another_host(gemini, language):
    with server.serving() as elsewhere:
        gemini.always = lambda it: it.raw(b"", "text/plain", 307, {"Location": elsewhere.url + it.path})
        caught(EngineFailed, ask, language)
        assert elsewhere.asked == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://no-such-host.invalid", "nonsense", "ftp://x"])
def test_an_address_where_nobody_is_says_so(tmp_path, url):
    line = GeminiLine(Cloud(SecretStr(server.KEY), url), tmp_path, patience=HASTY)
    assert "NEXUS_GEMINI_BASE_URL" in str(caught(EngineDown, ask, GeminiLanguage(server.TALKS, line)))


def test_a_host_that_swallows_packets_is_given_up_soon(tmp_path, monkeypatch):
    monkeypatch.setattr(gemini_line, "CONNECT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as callers:
        for _ in range(4):  # more than wait in its queue
            caller = callers.enter_context(socket.socket())
            caller.settimeout(0)
            caller.connect_ex(full.getsockname())
        site = Cloud(SecretStr(server.KEY), f"http://127.0.0.1:{full.getsockname()[1]}")
        line = GeminiLine(site, tmp_path, patience=Patience(tries=1), silent_s=60)
        assert "ConnectTimeout" in str(caught(EngineDown, ask, GeminiLanguage(server.TALKS, line)))


def test_an_outage_opens_the_breaker_for_all_engines_of_the_process(gemini, language):
    gemini.always = server.status(503, "UNAVAILABLE")
    for _ in range(2):
        caught(EngineDown, ask, language)
    assert len(gemini.asked) == OUTAGES
    assert "asked again in" in str(caught(EngineDown, GeminiEmbedder("x", language.line).embed, ["x"]))
    assert len(gemini.asked) == OUTAGES


def test_all_engines_of_a_site_share_one_line(gemini, tmp_path):
    site = gemini.site(tmp_path)
    made = {kind.build(None, site).line for kind in (GeminiLanguage, GeminiEmbedder, GeminiSpeech)}
    assert made == {line_of(site)}


# ---------------------------------------------------------------- leaving


class Stop:
    """A person who cancels a moment after a call came in."""

    def __init__(self, gemini):
        self.at = float("inf")
        self._stopped = threading.Event()
        self.is_set = self._stopped.is_set
        threading.Thread(target=self._wait, args=(gemini,), daemon=True).start()

    def _wait(self, gemini):
        until = time.monotonic() + 60
        while not gemini.asked and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.5)
        self.at = time.monotonic()
        self._stopped.set()


@pytest.mark.parametrize("do", [ask, tell])
@pytest.mark.parametrize(
    "fault", [server.hang, server.drip, server.status(429, "RESOURCE_EXHAUSTED", retry_info="25s")]
)
def test_a_person_who_cancels_waits_no_second(gemini, language, do, fault):
    gemini.always = fault
    stop = Stop(gemini)
    caught(Cancelled, do, language, stop.is_set)
    assert time.monotonic() - stop.at < 1.0


def test_hearing_is_left_as_soon(gemini, tmp_path):
    path = tmp_path / "talk.flac"
    ffmpeg("-i", speak(tmp_path / "talk.wav"), "-ar", "16000", "-ac", "1", path)
    gemini.always = server.hang
    stop = Stop(gemini)
    with pytest.raises(Cancelled):
        list(GeminiSpeech.build(None, gemini.site(tmp_path)).transcribe(path, 8.0, Hints(), stop.is_set))
    assert time.monotonic() - stop.at < 1.0


@pytest.mark.parametrize("do", [ask, tell])
def test_a_slow_drip_ends(gemini, tmp_path, do):
    """No time-out between bytes ever passes."""
    gemini.always = server.drip
    patience = Patience(tries=2, wait_s=0.05, answer_s=1.5)
    line = GeminiLine(gemini.site(tmp_path).gemini, tmp_path, patience=patience, silent_s=5.0)
    caught(EngineDown, do, GeminiLanguage(server.TALKS, line))
    assert time.monotonic() - gemini.asked[0].at < 8


def test_silence_ends_and_is_tried_again(gemini, tmp_path):
    gemini.faults.append(server.hang)
    gemini.says = lambda body: '"behind the door"'
    line = GeminiLine(gemini.site(tmp_path).gemini, tmp_path, patience=HASTY, silent_s=1.0)
    assert ask(GeminiLanguage(server.TALKS, line)) == "behind the door"
    assert 1.0 <= gemini.asked[1].at - gemini.asked[0].at < 4


# ---------------------------------------------------------------- the key


def test_the_key_and_words_of_the_item_stand_nowhere(gemini, language, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    faults = [
        *MOMENTARY,
        server.status(400, "INVALID_ARGUMENT"),
        server.status(403, "PERMISSION_DENIED"),
        server.status(404, "NOT_FOUND"),
        server.breaks_with(500, "INTERNAL"),
        server.blocked(),
    ]
    shown: list[str] = [repr(language), repr(language.line), repr(gemini.site(tmp_path))]
    for n, fault in enumerate(faults):
        gemini.always = fault
        line = GeminiLine(gemini.site(tmp_path).gemini, tmp_path / str(n), patience=HASTY)
        made = GeminiLanguage(server.TALKS, line)
        for do in (ask, tell):
            with pytest.raises(NexusError) as info:
                do(made)
            assert isinstance(info.value, EngineError)
            shown += [str(info.value), repr(info.value), *traceback.format_exception(info.value)]
    shown += [caplog.text, *capfd.readouterr()]
    assert gemini.asked[0].headers["x-goog-api-key"] == server.KEY
    assert [text for text in shown if server.KEY in text] == []
    assert [text for text in shown if server.QUOTED in text] == []
    assert [path for path in tmp_path.rglob("*") if path.is_file() and server.KEY.encode() in path.read_bytes()] == []

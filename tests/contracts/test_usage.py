"""What engines report of tokens: added up by whoever keeps count, of each call, of streams and of those that fail."""

import threading

import pytest
from pydantic import BaseModel

from nexus_pipeline.domain.errors import EngineEmpty, EngineRefused
from nexus_pipeline.domain.usage import Meter, Usage, shares
from nexus_pipeline.engines import ANSWERERS, EMBEDDERS, ENRICHERS, LANGUAGES, SPEECH, build
from nexus_pipeline.engines.site import Cloud, EngineSite
from nexus_pipeline.ports import Hints, metered
from tests import gemini_server, openai_server
from tests.speech import ffmpeg, speak

ONE = {"gemini": Usage(3, 6), "openai": Usage(11, 7)}
"""What the servers report of an answer; of Gemini's six two are said and four thought."""
PASSAGES = ["The budget meeting moved to Thursday."]


class Place(BaseModel):
    """Where something is."""

    name: str


def never():
    return False


@pytest.fixture(params=["gemini", "openai"])
def vendor(request):
    return request.param


@pytest.fixture
def server(request, vendor):
    it = request.getfixturevalue(vendor)
    if vendor == "gemini":
        it.says = lambda body: (
            '{"name": "the museum"}'
            if "responseJsonSchema" in body.get("generationConfig", {})
            else "It is behind the red door [1]."
        )
    return it


@pytest.fixture
def site(server, vendor, tmp_path):
    if vendor == "gemini":
        return server.site(tmp_path)
    return EngineSite(None, tmp_path, 1, lambda: None, openai=Cloud(None, server.url))


@pytest.fixture
def meter():
    return Meter()


def counted(catalogue, vendor, site, meter, model=None):
    return metered(build(catalogue, f"{vendor}:{model}" if model else vendor, site), meter)


def test_an_answer_in_a_form_says_what_it_took(vendor, site, meter):
    language = counted(LANGUAGES, vendor, site, meter)
    language.ask("", "Where is it?", Place, never)
    assert meter.usage == ONE[vendor]
    language.ask("", "Where is it?", Place, never)
    assert meter.usage == ONE[vendor] + ONE[vendor]


def test_a_stream_says_it_when_it_is_over(vendor, site, meter):
    """Gemini tells with every piece what was taken so far: the last one counts, not their sum."""
    pieces = counted(LANGUAGES, vendor, site, meter).tell("", "Where is it?", never)
    assert next(pieces)
    assert "".join(pieces)
    assert meter.usage == ONE[vendor]


def test_an_answerer_tells_what_its_language_model_takes(vendor, site, meter):
    assert "".join(counted(ANSWERERS, vendor, site, meter).answer("Where is it?", PASSAGES, never))
    assert meter.usage == ONE[vendor]


def test_who_keeps_no_count_changes_nothing_for_others(vendor, site, meter):
    plain = build(LANGUAGES, vendor, site)
    other = Meter()
    metered(plain, meter).ask("", "Where is it?", Place, never)
    plain.ask("", "Where is it?", Place, never)
    metered(plain, other)
    assert (meter.usage, other.usage) == (ONE[vendor], Usage())


def test_what_is_asked_twice_and_in_vain_counts_twice(vendor, server, site, meter):
    wrong = [gemini_server.says("nothing of the kind")] if vendor == "gemini" else [openai_server.Fault(content="no")]
    server.faults += wrong * 2
    with pytest.raises(EngineEmpty):
        counted(LANGUAGES, vendor, site, meter).ask("", "Where is it?", Place, never)
    assert meter.usage == ONE[vendor] + ONE[vendor]


def test_what_a_refusal_took_is_counted_where_it_is_told(openai, tmp_path, meter):
    openai.faults.append(openai_server.Fault(refusal="I will not"))
    site = EngineSite(None, tmp_path, 1, lambda: None, openai=Cloud(None, openai.url))
    with pytest.raises(EngineRefused):
        counted(LANGUAGES, "openai", site, meter).ask("", "Where is it?", Place, never)
    assert meter.usage == ONE["openai"]


def test_vectors_take_tokens_in_only(vendor, site, meter):
    counted(EMBEDDERS, vendor, site, meter).embed(["a", "b"])
    assert meter.usage == Usage({"gemini": 2, "openai": 1}[vendor], None)


def test_hearing_says_what_it_took(vendor, site, meter, tmp_path):
    """Of OpenAI's models those that are paid by tokens do; those that are paid by seconds report none."""
    talk = tmp_path / "talk.flac"
    ffmpeg("-i", speak(tmp_path / "talk.wav"), "-ar", "16000", "-ac", "1", talk)
    model = {"gemini": gemini_server.HEARS, "openai": "gpt-4o-transcribe"}[vendor]
    windows = list(counted(SPEECH, vendor, site, meter, model).transcribe(talk, 8.0, Hints(), never))
    assert any(window.segments for window in windows)
    assert meter.usage == {"gemini": ONE["gemini"], "openai": Usage(14, 45)}[vendor]
    if vendor == "openai":
        seconds = Meter()
        list(counted(SPEECH, vendor, site, seconds, openai_server.NANO).transcribe(talk, 8.0, Hints(), never))
        assert seconds.usage == Usage()


def test_a_server_that_cannot_count_streams_is_asked_to_once(openai, tmp_path, meter):
    openai.counts = False
    site = EngineSite(None, tmp_path, 1, lambda: None, openai=Cloud(None, openai.url))
    language = counted(LANGUAGES, "openai", site, meter)
    for _ in range(2):
        assert "".join(language.tell("", "x", never)) == openai_server.WORDS
    assert ["stream_options" in body for body in openai.bodies("/chat")] == [True, False, False]
    assert meter.usage == Usage()


def test_an_engine_of_this_machine_reports_nothing(tmp_path, meter):
    site = EngineSite(None, tmp_path, 1, lambda: None)
    local = build(ENRICHERS, "local", site)
    assert metered(local, meter) is local


def test_what_several_items_took_together_is_shared_and_nothing_is_lost():
    told = shares(Usage(10, None), [1, 0, 1, 1])
    assert [one.tokens_in for one in told] == [3, 0, 3, 4]
    assert {one.tokens_out for one in told} == {None}
    assert shares(Usage(), [1, 2]) == [Usage(), Usage()]
    assert shares(Usage(7, 1), [0, 0]) == [Usage(7, 1), Usage()]
    assert shares(Usage(), []) == []


def test_threads_lose_no_count():
    meter = Meter()
    threads = [
        threading.Thread(target=lambda: [meter(Usage(1, 2)) for _ in range(1000)], daemon=True) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert meter.usage == Usage(8000, 16000)
    assert meter.usage.numbers == {"tokens_in": 8000, "tokens_out": 16000}
    assert Usage().numbers == {}

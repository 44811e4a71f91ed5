"""Items heard and embedded by Gemini through the real steps, and who serves where Gemini cannot."""

import pytest

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.search import Query
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.flow import Flow
from nexus_pipeline.machine import widths
from nexus_pipeline.settings import Settings
from nexus_pipeline.steps import CHAIN
from nexus_pipeline.turns import Run
from nexus_pipeline.wiring import Parts
from tests import gemini_server as server
from tests.running import drop
from tests.speech import MODELS, SENTENCES, SPEECH, speak
from tests.stores import places

GEMINI = f"gemini:{server.HEARS}"


@pytest.fixture
def gemini():
    with server.serving() as running:
        yield running


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def parts_of(gemini, home, **chosen):
    site = {"gemini_api_key": server.KEY, "gemini_base_url": gemini.url}
    return Parts(Settings(home=home, models=MODELS, enricher="none", **site, **chosen))


def add(parts, tmp_path, *talks):
    """Items of two spoken sentences each."""
    files = [speak(tmp_path / f"talk{n}.wav", said) for n, said in enumerate(talks)]
    return parts.catalog.add([drop(parts, file.name, file) for file in files])


def go(parts, items, run="r1"):
    ids = [item.id for item in items]
    list(Flow(CHAIN, parts, Run(run, run, frozenset(STEPS)), widths(parts.settings)).land(ids))
    return [parts.catalog.get(i) for i in ids]


def test_an_item_heard_and_embedded_by_gemini_is_found_by_its_meaning(gemini, home, tmp_path):
    parts = parts_of(gemini, home, speech=GEMINI, embedder="gemini")
    piano, rice = go(parts, add(parts, tmp_path, SENTENCES[:2], SENTENCES[5:7]))
    assert {item.state for item in (piano, rice)} == {ItemState.DONE}
    assert (piano.step("transcript").engine, piano.language) == (GEMINI, "en")
    assert piano.step("embedding").engine == "gemini:gemini-embedding-001"
    for words, item in (("a piano in a museum", piano), ("rice with butter", rice)):
        vector = parts.engines.embedder().embed([words])[0]
        best = parts.archive.search(Query(words, "meaning"), vector).hits[0]
        assert best.item_id == item.id
    assert {asked.does for asked in gemini.asked} == {"generateContent", "batchEmbedContents"}
    assert places(home, [server.KEY]) == []


def test_the_next_engine_serves_where_gemini_is_down_and_it_is_said_who_and_why(gemini, home, tmp_path):
    parts = parts_of(gemini, home, speech=f"{GEMINI},{SPEECH}")
    gemini.always = server.status(503, "UNAVAILABLE")
    [item] = go(parts, add(parts, tmp_path, SENTENCES[:2]))
    step = item.step("transcript")
    assert (step.state, step.engine, step.reason) == (State.DONE, SPEECH, f"{GEMINI}: engine_down")
    assert item.state is ItemState.DONE
    assert gemini.asked
    assert places(home, [server.QUOTED]) == []


def test_without_another_engine_the_step_is_blocked_until_gemini_is_back(gemini, home, tmp_path):
    parts = parts_of(gemini, home, speech=GEMINI)
    gemini.always = server.status(503, "UNAVAILABLE")
    items = add(parts, tmp_path, SENTENCES[:2])
    [item] = go(parts, items)
    step = item.step("transcript")
    assert (step.state, step.reason, step.error_code) == (State.BLOCKED, "engine_down", "engine_down")
    gemini.always = None
    [item] = go(parts, items, "r2")
    assert item.state is ItemState.DONE


def test_what_gemini_will_not_hear_fails_at_once_and_says_so(gemini, home, tmp_path):
    parts = parts_of(gemini, home, speech=GEMINI)
    gemini.always = server.blocked()
    [item] = go(parts, add(parts, tmp_path, SENTENCES[:2]))
    step = item.step("transcript")
    assert (step.state, step.error_code, step.next_attempt_at) == (State.FAILED, "engine_refused", None)

"""Items enriched, translated and asked about by Gemini through the real steps, and what its faults leave standing."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.errors import EngineBusy, EngineEmpty, EngineRefused
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.domain.search import Query
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.domain.timeline import Enrichment
from nexus_pipeline.domain.usage import Meter, Usage
from nexus_pipeline.flow import Flow
from nexus_pipeline.machine import widths
from nexus_pipeline.ports import metered
from nexus_pipeline.results import read, translations_of
from nexus_pipeline.settings import Settings
from nexus_pipeline.steps import CHAIN
from nexus_pipeline.turns import Run
from nexus_pipeline.wiring import Parts
from tests import gemini_server as server
from tests.language import promise, told
from tests.running import drop, srt
from tests.speech import SENTENCES
from tests.stores import places
from tests.translators import GERMAN

NAME = f"gemini:{server.TALKS}"
TALK = SENTENCES[:4]
QUOTE = "Sara and David will share the schedule with the client."
LONG = "3600"


def says(body):
    """What a model that does as it is told answers: a form, lines, or words."""
    form = body.get("generationConfig", {}).get("responseJsonSchema", {})
    if "lines" in form.get("properties", {}):
        lines = json.loads(body["contents"][0]["parts"][0]["text"])["lines"]  # a complaint may stand behind it
        return json.dumps({"lines": [{"id": one["id"], "text": GERMAN[one["text"]]} for one in lines]})
    if form:
        return json.dumps(
            told(summary="They talk about a piano.", action_items=[promise(QUOTE, 12.0, assignee="Sara")])
        )
    return "It is behind the red door [1], they say [7]."


@pytest.fixture
def gemini():
    with server.serving() as running:
        running.says = says
        yield running


@pytest.fixture
def parts(gemini, tmp_path):
    site = {"gemini_api_key": server.KEY, "gemini_base_url": gemini.url}
    chosen = {"enricher": "gemini", "translator": "gemini", "translate_to": ("de",), "answerer": "gemini"}
    return Parts(Settings(home=tmp_path / "home", _env_file=None, **chosen, **site))


@pytest.fixture
def items(parts):
    return parts.catalog.add([drop(parts, "talk.srt", srt(*TALK), kind=Kind.TEXT)])


def go(parts, items, run="r1"):
    ids = [item.id for item in items]
    list(Flow(CHAIN, parts, Run(run, run, frozenset(STEPS)), widths(parts.settings)).land(ids))
    [item] = [parts.catalog.get(i) for i in ids]
    return item


def numbers(parts, item, step):
    return json.loads(parts.blobs.read(item.step(step).blob))["numbers"]


def found(parts, words):
    vector = parts.engines.embedder().embed([words])[0]
    return parts.archive.search(Query(words, "words"), vector).hits


def answered(parts, metering=lambda _used: None):
    [answerer] = parts.engines.answerers()
    passages = [hit.text for hit in found(parts, "piano")]
    return "".join(metered(answerer, metering).answer("Where is the piano?", passages, lambda: False))


def test_an_item_is_enriched_translated_and_asked_about(parts, items, gemini):
    item = go(parts, items)
    assert item.state is ItemState.DONE
    assert {item.step(step).engine for step in ("enrichment", "translation")} == {NAME}
    made = read(item, "enrichment", Enrichment, parts)
    assert (made.summary, made.engine) == ("They talk about a piano.", NAME)
    [action] = parts.catalog.action_items(item.id)
    assert (action.task, action.assignee, action.at_s) == ("Send it", "Sara", 12.0)
    translated = translations_of(item, parts)["de"]
    assert [s.text for s in translated.segments] == [GERMAN[text] for text in TALK]
    assert [hit.item_id for hit in found(parts, "Klavier")] == [item.id]
    assert answered(parts) == "It is behind the red door [1], they say ."
    assert {asked.does for asked in gemini.asked} == {"generateContent", "streamGenerateContent"}
    assert places(parts.settings.root, [server.KEY]) == []


def test_what_it_took_is_kept_with_each_step_and_told_of_each_answer(parts, items):
    item = go(parts, items)
    for step in ("enrichment", "translation"):
        told_numbers = numbers(parts, item, step)
        assert (told_numbers["tokens_in"], told_numbers["tokens_out"]) == (3, 6)
        assert item.step(step).cost is None
    assert "tokens_in" not in numbers(parts, item, "embedding")
    meter = Meter()
    answered(parts, meter)
    assert meter.usage == Usage(3, 6)


@pytest.mark.parametrize("step", ["translation", "enrichment"])
def test_a_wait_that_is_short_is_waited_for(parts, items, gemini, step):
    only = {"translation": "lines", "enrichment": "summary"}[step]
    gemini.faults.append(once(only, server.status(429, "RESOURCE_EXHAUSTED", retry_after="1")))
    item = go(parts, items)
    assert (item.state, item.step(step).engine) == (ItemState.DONE, NAME)
    assert item.step(step).attempt == 1
    assert item.step(step).seconds >= 1.0


def test_a_wait_that_is_long_gives_the_item_back_and_it_is_due_when_the_vendor_said(parts, items, gemini):
    gemini.always = server.status(429, "RESOURCE_EXHAUSTED", retry_after=LONG)
    item = go(parts, items)
    for step in ("translation", "enrichment"):
        status = item.step(step)
        assert (status.state, status.error_code) == (State.FAILED, "engine_busy")
        due = status.next_attempt_at - datetime.now(UTC)
        assert timedelta(minutes=58) < due <= timedelta(hours=1, seconds=5)
    assert item.step("embedding").state is State.DONE
    assert [hit.item_id for hit in found(parts, "piano")] == [item.id]
    with pytest.raises(EngineBusy):
        answered(parts)
    assert places(parts.settings.root, [server.QUOTED]) == []


def test_a_question_that_is_blocked_leaves_transcript_and_search_standing(parts, items, gemini):
    gemini.always = server.blocked()
    item = go(parts, items)
    assert item.state is ItemState.FAILED
    for step in ("translation", "enrichment"):
        status = item.step(step)
        assert (status.state, status.error_code, status.next_attempt_at) == (State.FAILED, "engine_refused", None)
    assert item.step("transcript").state is State.DONE
    assert [hit.item_id for hit in found(parts, "piano")] == [item.id]
    with pytest.raises(EngineRefused):
        answered(parts)
    gemini.always = None
    parts.catalog.ask("retry", [item.id])
    item = go(parts, items, "r2")
    assert item.state is ItemState.DONE
    assert item.step("transcript").attempt == 1  # only what had failed was done again


@pytest.mark.parametrize("wrong", ['{"lines": 7, "summary"', '{"anything": "else"}', "I am sorry, Dave."])
def test_an_answer_in_a_wrong_form_is_asked_for_once_more_and_then_has_failed(parts, items, gemini, wrong):
    gemini.always = server.says(wrong)
    item = go(parts, items)
    for step in ("translation", "enrichment"):
        assert (item.step(step).state, item.step(step).error_code) == (State.FAILED, "engine_empty")
    assert [hit.item_id for hit in found(parts, "piano")] == [item.id]
    gemini.always = None
    gemini.faults.append(server.says(wrong))
    parts.catalog.ask("retry", [item.id])
    assert go(parts, items, "r2").state is ItemState.DONE
    assert not gemini.faults


def test_an_answer_of_nothing_is_an_error_of_its_own(parts, items, gemini):
    item = go(parts, items)
    assert item.state is ItemState.DONE
    gemini.always = server.finish("STOP")
    with pytest.raises(EngineEmpty):
        answered(parts)


def once(only, fault):
    """The fault for the first question of that form; others before it are answered."""

    def act(it):
        form = it.body.get("generationConfig", {}).get("responseJsonSchema", {})
        if only in form.get("properties", {}):
            fault(it)
        else:
            it.said.faults.appendleft(act)
            it.answer()

    return act

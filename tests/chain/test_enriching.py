"""Enrichment by engines of which some cannot: what was heard stands, and the next one of a list serves."""

import time

import pytest

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.domain.search import Query
from nexus_pipeline.domain.states import State
from nexus_pipeline.engines import ENRICHERS
from nexus_pipeline.flow import Flow
from nexus_pipeline.machine import widths
from nexus_pipeline.results import enrichment_of, transcript_of
from nexus_pipeline.settings import Settings
from nexus_pipeline.steps import CHAIN
from nexus_pipeline.turns import Run
from nexus_pipeline.wiring import Parts
from tests.running import drop, srt
from tests.speech import MODELS, SPEECH

SAID = ("The old piano is behind the red door.", "Anna must send the invoice to finance.")


@pytest.fixture
def through(tmp_path, monkeypatch):
    """An item through the real chain with these enrichers; the item then and its stores."""
    monkeypatch.setitem(ENRICHERS, "refusing", "tests.language:Refusing")
    monkeypatch.setitem(ENRICHERS, "language", "tests.language:OfCatalogue")
    runs = iter(range(10))

    def go(enricher, parts=None):
        parts = parts or Parts(Settings(home=tmp_path, speech=SPEECH, models=MODELS, enricher=enricher, _env_file=None))
        parts.settings.root.mkdir(exist_ok=True)
        new = drop(parts, "talk.srt", srt(*SAID), kind=Kind.TEXT)
        [item] = parts.catalog.add([new])
        run = f"run-{next(runs)}"
        list(Flow(CHAIN, parts, Run(run, run, frozenset(STEPS)), widths(parts.settings)).land([item.id]))
        return parts.catalog.get(item.id), parts

    return go


def test_a_refused_enrichment_leaves_transcript_and_search_standing(through):
    item, parts = through("refusing")
    step = item.step("enrichment")
    assert (step.state, step.error_code, step.retryable, step.next_attempt_at) == (
        State.FAILED,
        "engine_refused",
        False,
        None,
    )
    assert "piano" not in (step.error_message or "")
    assert item.step("embedding").state is State.DONE
    assert "piano" in transcript_of(item, parts).text
    assert enrichment_of(item, parts) is None
    vector = parts.engines.embedder().embed(["old piano"])[0]
    found = parts.archive.search(Query("old piano", "hybrid", {"owner": "local"}, 10), vector)
    assert [hit.item_id for hit in found.hits] == [item.id]


def test_the_next_one_of_a_list_serves_and_it_is_said_why(through):
    item, parts = through("refusing,local")
    step = item.step("enrichment")
    assert (step.state, step.engine, step.reason) == (State.DONE, "local", "scripted:one: engine_refused")
    assert [a.task for a in enrichment_of(item, parts).action_items] == ["Send the invoice to finance"]


def test_the_first_one_of_a_list_serves_where_it_can(through):
    item, parts = through("language,local")
    step = item.step("enrichment")
    assert (step.state, step.engine, step.reason) == (State.DONE, "scripted:one", None)
    assert item.summary == "They talk about a budget."
    assert enrichment_of(item, parts).action_items == ()


def test_a_summary_is_found_beside_the_moments_and_follows_when_another_engine_writes_it(through):
    item, parts = through("language")

    def found():
        hits = parts.archive.search(Query("budget ", "words", {"owner": "local"}, 10)).hits
        return [(hit.kind, hit.text, hit.start_s) for hit in hits]

    assert found() == [("summary", "They talk about a budget. And about more.", 0.0)]
    assert ("tag", "budget") in {(one.kind, one.text) for one in parts.catalog.suggest("local", "budg")}
    other = Parts(Settings(home=parts.settings.home, speech=SPEECH, models=MODELS, enricher="local", _env_file=None))
    list(Flow(CHAIN, other, Run("again", "again", frozenset(STEPS)), widths(other.settings)).land([item.id]))
    assert other.catalog.get(item.id).step("enrichment").engine == "local"
    time.sleep(1.1)  # until a handle sees what another one has written
    assert found() == []
    assert parts.catalog.suggest("local", "budg") == []


def test_an_enrichment_that_was_kept_before_there_were_seconds_and_speakers_is_read():
    from nexus_pipeline.domain.timeline import Enrichment, Entity
    from nexus_pipeline.results import result_of

    kept = b"""{"v": 1, "result": {"summary": "S", "summary_long": "L", "topics": [], "tags": ["a"],
        "category": "other", "sentiment": {"label": "neutral", "score": 0.0}, "chapters": [], "action_items": [],
        "entities": [{"name": "Anna", "kind": "name"}], "suggested_title": "T", "engine": "local"}}"""
    found = result_of(Enrichment, kept)
    assert found.entities == (Entity("Anna", "name", None),)
    assert found.speakers == ()

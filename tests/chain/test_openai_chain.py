"""Items heard and embedded by a server that speaks OpenAI's API, and waiting while it is down."""

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from nexus_pipeline.catalog.tables import item_steps
from nexus_pipeline.domain.search import Query
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.sensors import _due
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts
from tests.openai_server import KEY, Fault, busy, serving
from tests.ready import dagster_at
from tests.running import drop
from tests.speech import MODELS, SENTENCES, SPEECH, speak


@pytest.fixture
def openai():
    with serving() as server:
        server.key = KEY
        yield server


@pytest.fixture
def settings(openai, tmp_path):
    return Settings(
        home=tmp_path / "home",
        models=MODELS,
        speech="openai:whisper-nano-en",
        embedder="openai",
        enricher="none",
        openai_base_url=openai.url,
        openai_api_key=KEY,
    )


@pytest.fixture
def parts(settings):
    return Parts(settings)


def add(runs, parts, folder):
    return runs.add(drop(parts, "talk.wav", speak(folder / "talk.wav")))[0]


def test_an_item_is_heard_and_found_through_the_server(runs, parts, openai, tmp_path, caplog):
    openai.faults += [busy("1"), Fault(500)]
    item = add(runs, parts, tmp_path)
    with caplog.at_level(logging.DEBUG):
        assert runs.go([item]).success
    item = runs.now(item)
    assert item.state is ItemState.DONE
    step = item.step("transcript")
    heard = json.loads(parts.blobs.read(step.blob))["result"]
    assert [s["text"] for s in heard["segments"]] == list(SENTENCES[:2])
    assert (heard["language"], heard["engine"], step.engine) == (
        "en",
        "openai:whisper-nano-en",
        "openai:whisper-nano-en",
    )
    assert item.step("embedding").engine == "openai:text-embedding-3-small"
    [vector] = parts.engines.embedder().embed(["piano museum"])
    found = parts.archive.search(Query("piano museum"), vector)
    assert found.hits[0].item_id == item.id
    assert {asked.path for asked in openai.asked} == {"/v1/audio/transcriptions", "/v1/embeddings"}
    assert_the_key_is_nowhere(parts, runs, caplog)


def test_an_engine_that_is_down_blocks_its_step_which_goes_on_when_it_is_back(runs, parts, openai, tmp_path, caplog):
    openai.down = Fault(503)
    item = add(runs, parts, tmp_path)
    with caplog.at_level(logging.DEBUG):
        assert not runs.go([item]).success
    step = runs.now(item).step("transcript")
    assert (step.state, step.reason, step.error_code) == (State.BLOCKED, "engine_down", "engine_down")
    assert "xylophone" not in step.error_message
    assert runs.now(item).step("raw").state is State.DONE
    assert runs.now(item).state is ItemState.BLOCKED
    openai.down = None
    a_minute_passes(parts)
    request = _due(parts, runs.instance)
    assert request.run_requests[0].run_config["ops"]["chain"]["config"]["items"] == [item.id]
    assert runs.go([item]).success
    assert runs.now(item).state is ItemState.DONE
    assert_the_key_is_nowhere(parts, runs, caplog)


def test_a_refused_key_blocks_at_once_and_says_what_to_set(runs, parts, openai, tmp_path):
    openai.key = "another"
    item = add(runs, parts, tmp_path)
    assert not runs.go([item]).success
    step = runs.now(item).step("transcript")
    assert (step.state, step.reason) == (State.BLOCKED, "engine_down")
    assert "set NEXUS_OPENAI_API_KEY" in step.error_message
    assert len(openai.asked) == 1


def test_the_next_engine_of_the_list_serves_and_the_result_says_why(openai, settings, tmp_path):
    from nexus_pipeline.chain import build_chain
    from tests.running import Runs

    openai.down = Fault(400, "content_filter")
    chosen = settings.model_copy(update={"speech": f"openai:whisper-nano-en,{SPEECH}", "embedder": "minilm"})
    parts = Parts(chosen)
    with dagster_at(tmp_path / "dagster") as instance:
        runs = Runs(build_chain(64), parts, instance)
        item = add(runs, parts, tmp_path)
        assert runs.go([item]).success
        step = runs.now(item).step("transcript")
    assert (step.state, step.engine, step.reason) == (
        State.DONE,
        SPEECH,
        "openai:whisper-nano-en: engine_refused",
    )


def a_minute_passes(parts):
    with parts.catalog.writing() as w:
        earlier = datetime.now(UTC) - timedelta(minutes=2)
        w.db.execute(sa.update(item_steps).where(item_steps.c.state == "blocked").values(ended_at=earlier))


def assert_the_key_is_nowhere(parts, runs, caplog):
    """Logs, the catalog, results, Dagster's events."""
    events = [str(record) for run in runs.instance.get_runs() for record in runs.instance.all_logs(run.run_id)]
    assert events
    assert KEY not in caplog.text + "".join(events)
    for file in parts.settings.root.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file

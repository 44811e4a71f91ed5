"""What the sensors ask Dagster for, evaluated as the daemon evaluates them."""

import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg
import pytest

from nexus_pipeline import sensors
from nexus_pipeline.catalog.tables import items
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.domain.states import State
from nexus_pipeline.lanes import retake
from nexus_pipeline.sensors import RETRY_COMES_S, _due, _say_again, _still_blocked, asks, died, due, inbox
from nexus_pipeline.sources import requests
from tests.running import drop, srt
from tests.speech import SENTENCES


def evaluate(sensor, runs):
    """The result, with the partitions that it asks for added, as the daemon does."""
    definitions = dg.Definitions(assets=[runs.chain], sensors=[sensor], resources={"parts": runs.parts})
    context = dg.build_sensor_context(
        instance=runs.instance, definitions=definitions, resources={"parts": runs.parts}, sensor_name=sensor.name
    )
    found = sensor.evaluate_tick(context)
    for request in found.dynamic_partitions_requests or ():
        runs.instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
    return found.run_requests or []


def items_of(request):
    return request.run_config["ops"]["chain"]["config"]["items"]


def keys_between(runs, request):
    keys = list(runs.instance.get_dynamic_partitions("items"))
    start, end = (request.tags[f"dagster/asset_partition_range_{at}"] for at in ("start", "end"))
    return keys[keys.index(start) : keys.index(end) + 1]


@pytest.fixture
def ended(runs, parts):
    """Five items, done."""
    new = [drop(parts, f"t{n}.srt", srt(SENTENCES[n], f"Item {n}."), kind=Kind.TEXT) for n in range(5)]
    all_five = runs.add(*new)
    runs.go(all_five)
    return all_five


def test_what_lies_in_the_inbox_becomes_items_partitions_and_one_run(runs, parts):
    for n in range(5):
        parts.inbox.put(f"sub/t{n}.srt", srt(SENTENCES[n]))
    # as after a rename: all are complete at the first look, however long putting them took
    for path in (parts.settings.root / "blobs" / "inbox" / "sub").iterdir():
        os.utime(path, (0, 0))
    [request] = evaluate(inbox, runs)
    assert len(items_of(request)) == 5
    assert keys_between(runs, request) == items_of(request)
    assert {parts.catalog.get(i).title for i in items_of(request)} == {f"t{n}" for n in range(5)}


def test_a_request_for_an_address_becomes_an_item_once(runs, parts):
    new = requests.request_url(parts.inbox, "https://example.org/talk.mp3?utm_source=x", requests.Said())
    [request] = evaluate(inbox, runs)
    assert items_of(request) == [new.id]
    assert parts.catalog.get(new.id).origin == "https://example.org/talk.mp3"


def test_an_arrival_that_cannot_be_an_item_keeps_nobody_else_out(runs, parts):
    requests.request_url(parts.inbox, "https://example.org/talk.mp3", requests.Said())
    [key] = [b.key for b in parts.inbox.under(".asks/")]
    note = parts.inbox.read(key).replace(b"https://example.org/talk.mp3", b"gopher://example.org/talk")
    parts.inbox.put(".asks/aaaaaaaaaaaaaaaa.json", note)
    told = [i for request in evaluate(inbox, runs) for i in items_of(request)]
    assert [parts.catalog.get(i).origin for i in told] == ["https://example.org/talk.mp3"]


def test_a_retry_of_scattered_items_is_one_run_over_a_range_of_exactly_these(runs, parts, ended):
    these = [ended[n].id for n in (0, 2, 4)]
    parts.catalog.ask("retry", these)
    [request] = evaluate(asks, runs)
    assert sorted(items_of(request)) == sorted(these)
    assert sorted(keys_between(runs, request)) == sorted(these)
    assert parts.catalog.asks() == []


def test_a_rerun_is_forced_from_its_step_on(runs, parts, ended):
    parts.catalog.ask("rerun", [ended[0].id], from_step="enrichment")
    [request] = evaluate(asks, runs)
    assert request.run_config["ops"]["chain"]["config"]["force"] is True
    assert [k.to_user_string() for k in request.asset_selection] == ["enrichment", "embedding"]


def test_a_lost_item_is_due_and_asked_for_once(runs, parts):
    item = parts.catalog.add([drop(parts, "lost.srt", srt(SENTENCES[0]), kind=Kind.TEXT)])[0]
    with parts.catalog.writing() as w:
        w.db.execute(items.update().values(requested_at=datetime.now(UTC) - timedelta(hours=1)))
    [request] = evaluate(due, runs)
    assert items_of(request) == [item.id]
    assert parts.catalog.due() == []


def test_an_item_that_waits_in_a_queued_run_is_not_lost(runs, parts):
    [item] = runs.add(drop(parts, "slow.srt", srt(SENTENCES[0]), kind=Kind.TEXT))
    with parts.catalog.writing() as w:
        w.db.execute(items.update().values(requested_at=datetime.now(UTC) - timedelta(hours=1)))
    job = dg.Definitions(assets=[runs.chain], resources={"parts": parts}).resolve_implicit_global_asset_job_def()
    runs.instance.create_run_for_job(
        job,
        run_config={"ops": {"chain": {"config": {"items": [item.id]}}}},
        tags={"nexus/lane": "bulk"},
    )
    assert _due(parts, runs.instance) is None
    assert parts.catalog.due() == []


def test_a_blocked_item_is_asked_for_only_when_its_model_is_there(runs, parts):
    [item] = runs.add(drop(parts, "t.srt", srt(SENTENCES[0]), kind=Kind.TEXT))
    blocked = parts.catalog.get(item.id)
    steps = tuple(
        s if s.step != "transcript" else type(s)("transcript", State.BLOCKED, reason="model_missing")
        for s in blocked.steps
    )
    there = replace(blocked, steps=steps)
    missing = replace(there, engines={"transcript": "faster-whisper:no-such-model"})
    assert not _still_blocked(there, parts)
    assert _still_blocked(missing, parts)


def test_all_items_of_a_run_that_died_once_too_often_are_asked_for_again_once(runs, parts, monkeypatch):
    one, two = runs.add(*(drop(parts, f"{n}.srt", srt(SENTENCES[n]), kind=Kind.TEXT) for n in range(2)))
    job = dg.Definitions(assets=[runs.chain], resources={"parts": parts}).resolve_implicit_global_asset_job_def()
    config = {"ops": {"chain": {"config": {"items": [one.id, two.id]}}}}

    def failed(**tags):
        run = runs.instance.create_run_for_job(job, run_config=config, tags={"nexus/lane": "now"})
        runs.instance.report_run_failed(run)
        runs.instance.add_run_tags(run.run_id, {"dagster/will_retry": "false", **tags})
        return run

    failed(**{"dagster/failure_reason": "STEP_FAILURE"})
    assert runs.go([one]).success, "done, and its run may have died before Dagster was told"
    dead = failed()
    parts.catalog.lease([two.id], dead.run_id)
    retake(dead, dead.run_id, parts)
    assert evaluate(died, runs) == [], "its worker has to stay up first"
    monkeypatch.setattr(sensors, "LEFT_S", 0.0)
    assert sorted(i for request in evaluate(died, runs) for i in items_of(request)) == sorted([one.id, two.id])
    assert evaluate(died, runs) == []


def test_a_retry_that_dagster_missed_is_asked_for_once_more_and_once_only(runs, parts):
    job = dg.Definitions(assets=[runs.chain], resources={"parts": parts}).resolve_implicit_global_asset_job_def()
    run = runs.instance.create_run_for_job(job, tags={"nexus/lane": "now"})
    runs.instance.report_run_failed(run)
    runs.instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
    failures = partial(runs.instance.all_logs, run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert _say_again(runs.instance) == 0, "Dagster's own retry may still come"
    time.sleep(RETRY_COMES_S + 0.5)
    assert _say_again(runs.instance) == 1
    assert len(failures()) == 2
    assert _say_again(runs.instance) == 0

"""How arrivals are taken up at once: items that are there before their object, two sensors in turn, empty lanes."""

import os
import threading
import time
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import SubmitRunContext
from dagster._core.test_utils import create_run_for_test, instance_for_test

from nexus_pipeline import sensors
from nexus_pipeline.catalog.tables import items
from nexus_pipeline.sensors import _arrived, _due, inbox, inbox_relief
from nexus_pipeline.sources import requests
from tests.chain.test_sensors import evaluate, items_of
from tests.running import srt
from tests.speech import SENTENCES


@pytest.fixture
def added(parts, tmp_path):
    """What `nexus add` does: the item first, its object last."""
    path = tmp_path / "talk.srt"
    path.write_bytes(srt(SENTENCES[0]))
    new = requests.uploaded(path, requests.Said())
    [item] = parts.catalog.add([new])
    requests.put_upload(parts.inbox, new, requests.Said(), path)
    return item


def test_an_item_that_was_made_before_its_file_came_gets_a_run_when_it_comes(runs, parts, added):
    for _ in range(30):
        found = _arrived(parts, runs.instance)
        if found is not None:
            break
        threading.Event().wait(0.1)
    [request] = found.run_requests
    assert items_of(request) == [added.id]


def nothing_arrives(runs, parts):
    for _ in range(20):
        assert _arrived(parts, runs.instance) is None
        threading.Event().wait(0.1)


def test_an_upload_that_lies_there_since_before_the_process_began_is_not_asked_for_again(runs, parts, added):
    with parts.inbox.local(added.inbox_key) as path:
        two_minutes_ago = time.time() - 120
        os.utime(path, (two_minutes_ago, two_minutes_ago))
    nothing_arrives(runs, parts)


def test_an_upload_for_which_a_run_was_asked_is_not_asked_for_again(runs, parts, added):
    runs.instance.add_dynamic_partitions("items", [added.id])
    nothing_arrives(runs, parts)


def test_an_upload_that_took_long_to_copy_gets_its_run_when_it_is_whole(runs, parts, tmp_path):
    path = tmp_path / "talk.srt"
    path.write_bytes(srt(SENTENCES[0]))
    new = requests.uploaded(path, requests.Said())
    [item] = parts.catalog.add([new])
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    with parts.catalog.writing() as w:
        w.db.execute(items.update().values(created_at=an_hour_ago, requested_at=an_hour_ago))
    assert [x.id for x in parts.catalog.due()] == [item.id]
    assert _due(parts, runs.instance) is None
    requests.put_upload(parts.inbox, new, requests.Said(), path)
    [request] = evaluate(inbox, runs)
    assert items_of(request) == [item.id]


def test_one_inbox_sensor_takes_over_when_the_other_one_has_an_answer(runs, parts):
    told = []
    with sensors._looking:
        waits = threading.Thread(target=lambda: told.extend(evaluate(inbox_relief, runs)))
        waits.start()
        parts.inbox.put("talk.srt", srt(SENTENCES[0]))
        waits.join(2.5)
        assert waits.is_alive()
    waits.join(10)
    assert [len(items_of(request)) for request in told] == [1]


@pytest.fixture
def instance():
    """With our coordinator, and a launcher that only remembers what it was told."""
    told = {
        "run_coordinator": {"module": "nexus_pipeline.lanes", "class": "LaneCoordinator"},
        "run_launcher": {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"},
    }
    with instance_for_test(told) as made:
        yield made


def submit(instance, lane):
    server = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=1, location_name="nexus")
    job = RemoteJobOrigin(RemoteRepositoryOrigin(server, "defs"), "chain")
    run = create_run_for_test(instance, job_name="chain", tags={"nexus/lane": lane}, remote_job_origin=job)
    return instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=None)).status


def test_the_first_run_of_a_lane_is_launched_at_once_and_the_next_one_queues(instance):
    assert submit(instance, "now") is dg.DagsterRunStatus.STARTING
    assert submit(instance, "now") is dg.DagsterRunStatus.QUEUED
    assert submit(instance, "bulk") is dg.DagsterRunStatus.STARTING
    assert len(instance.run_launcher.queue()) == 2

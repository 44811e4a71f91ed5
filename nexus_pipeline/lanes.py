"""Lanes: a run coordinator that gives every run one, and a launcher that hands runs to the lanes' warm workers.

Runs go through Celery, embedded over a folder, in production over Redis. `worker.py` is the embedded worker.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_QUEUE_TAG
from kombu.transport import TRANSPORT_ALIASES

from nexus_pipeline.domain.items import Item, Lane, Priority
from nexus_pipeline.wiring import Parts

LANE_TAG = "nexus/lane"
LONG_S = 600.0
"""Seconds of sound that are too many for the lane `now`: its one worker would keep everybody else waiting."""
LARGE_BYTES = 512 << 20
"""The same for a file of which nobody knows yet how long it is: converting alone would take minutes."""

TRANSPORT_ALIASES["folder"] = "nexus_pipeline.messages:Transport"  # `folder://`, for whoever has the launcher

_shutdown = threading.Event()
_in_worker = threading.Event()


def shutting_down() -> bool:
    """Whether this worker was told to end: runs stop within seconds and leave their items waiting."""
    return _shutdown.is_set()


def shut_down() -> None:
    """The run in progress sees it and stops."""
    _shutdown.set()


@contextmanager
def ending_softly() -> Iterator[None]:
    """While a run works in a lane's worker, SIGTERM and SIGINT only tell it to stop: items go back to waiting.

    Dagster would raise in the middle of whatever the main thread does. Elsewhere than in a worker nothing changes.
    """
    if not _in_worker.is_set() or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: shut_down()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def now_in_worker() -> None:
    """This process is a lane's worker."""
    _in_worker.set()


def lane_of(tags: dict[str, str]) -> Lane:
    """A run's lane: its tag; else `now` for a single item that a person launches, `bulk` for everything else."""
    told = tags.get(LANE_TAG)
    if told in set(Lane):
        return Lane(told)
    single = "dagster/partition" in tags and "dagster/backfill" not in tags
    return Lane.NOW if single else Lane.BULK


def is_long(item: Item) -> bool:
    """Whether it would hold up the lane `now`."""
    return item.duration_s > LONG_S if item.duration_s is not None else (item.bytes or 0) > LARGE_BYTES


def leaves_lane(tags: dict[str, str], item: Item) -> bool:
    """Whether a run in the lane `now` that a sensor asked for hands this item on to the lane `bulk`.

    What a person launches in Dagster's UI, or wants done first, stays where it is.
    """
    if lane_of(tags) is not Lane.NOW or "dagster/sensor_name" not in tags:
        return False
    return is_long(item) and item.priority is not Priority.HIGH


UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class LaneCoordinator(QueuedRunCoordinator):
    """Dagster's queue, where every run has a lane: limits count by it, and each lane has its own worker."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Tag the run; launch it at once where its lane is empty, else queue it: the queue looks once a second."""
        run = context.dagster_run
        lane = lane_of(dict(run.tags))
        self._instance.add_run_tags(run.run_id, {LANE_TAG: lane.value, DAGSTER_CELERY_QUEUE_TAG: lane.value})
        ahead = dg.RunsFilter(statuses=UNDER_WAY, tags={LANE_TAG: lane.value})
        if run.status is dg.DagsterRunStatus.NOT_STARTED and not self._instance.get_run_ids(ahead, limit=1):
            return self._instance.launch_run(run.run_id, context.workspace)
        return super().submit_run(context)


class WarmLauncher(CeleryRunLauncher):  # type: ignore[misc]  # no types are shipped with it
    """Celery's launcher, with an end to cancelled runs that is shown as such."""

    def terminate(self, run_id: str) -> bool:
        """Say that the run is being cancelled: a solo worker cannot be revoked, it looks at the run's state."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        return True


def retake(run: dg.DagsterRun | None, run_id: str, parts: Parts) -> None:
    """Free a dead run's items. They count as asked for: Dagster's retry of the run takes them up again."""
    if run is not None:
        parts.catalog.requested(items_of(run))
    parts.catalog.release(run_id)  # last: what waits and does not count as asked for is asked for at once


def items_of(run: dg.DagsterRun) -> list[str]:
    """The items that a run was told by a sensor; none for a run that a person launched over partitions."""
    config: Any = run.run_config
    told: list[str] = config.get("ops", {}).get("chain", {}).get("config", {}).get("items", [])
    return told

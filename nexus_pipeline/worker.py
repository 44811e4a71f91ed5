"""The embedded worker: takes a lane's runs out of a folder, one at a time, in one warm process.

Celery's `solo` pool: models stay loaded from run to run, and nothing is forked after LanceDB and thread pools have
started. `python -m nexus_pipeline.worker now`
"""

import ctypes
import logging
import sys
from pathlib import Path
from typing import Any

import dagster as dg
from celery.signals import setup_logging, task_postrun, worker_ready
from celery.worker import state
from dagster_celery.launcher import CeleryRunLauncher

from nexus_pipeline import definitions, logs
from nexus_pipeline.domain.items import Lane
from nexus_pipeline.lanes import LANE_TAG, now_in_worker, retake, shutting_down
from nexus_pipeline.machine import sweep_scratch
from nexus_pipeline.resources import parts_of_process

log = logging.getLogger(__name__)

_ARENA_MAX = -8
"""M_ARENA_MAX of malloc.h."""
ARENAS = 2
"""Heaps of glibc's malloc: with its eight a core, what one thread gave back is seldom there for the next, and a worker
grows by some 40 MB (measured on an item of ten hours). Two cost no time here: big buffers have none."""


def app(instance: dg.DagsterInstance) -> Any:
    """The launcher's own Celery app with the tasks that execute runs."""
    from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

    launcher = instance.run_launcher
    if not isinstance(launcher, CeleryRunLauncher):
        msg = "this Dagster instance launches runs without Celery; start the worker through `nexus up`"
        raise SystemExit(msg)
    create_execute_job_task(launcher.celery)
    create_resume_job_task(launcher.celery)
    return launcher.celery


def sweep(instance: dg.DagsterInstance, lane: Lane) -> int:
    """End the runs of a worker that died: this is the lane's only worker, so nobody else can be at them.

    Dagster's automatic retry takes them up again with their tags and config. Returns how many there were.
    """
    parts = parts_of_process()
    begun = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    runs = instance.get_runs(dg.RunsFilter(statuses=begun, tags={LANE_TAG: lane.value}))
    for run in runs:
        if run.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, "The worker ended while the run was being cancelled.")
        else:
            instance.report_run_failed(run, "The worker died; the run is taken up again.")
        retake(run, run.run_id, parts)
    return len(runs)


def save_memory() -> bool:
    """Keep the worker's memory together; False where the C library has no such knob (musl)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_ARENA_MAX, ARENAS))


def work(lane: Lane) -> None:
    """Work off a lane's runs until told to end."""
    now_in_worker()
    save_memory()
    with dg.DagsterInstance.get() as instance:
        celery = app(instance)
        ready = parts_of_process().settings.root / "queue" / f"{lane.value}.ready"
        folder = celery.conf.broker_transport_options.get("data_folder_in")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
        died = sweep(instance, lane)
        if died:
            log.warning("lane=%s runs that died with their worker: %d", lane, died)
        _warm_up()
        worker_ready.connect(lambda **_: ready.touch(), weak=False)
        task_postrun.connect(_stop_if_told, weak=False)
        worker = celery.Worker(
            queues=[lane.value],
            pool="solo",
            concurrency=1,
            loglevel="WARNING",
            quiet=True,  # its banner is no line of a log
            hostname=f"{lane}@nexus",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        worker.start()


def _stop_if_told(**_: object) -> None:
    """A run that was told to stop has returned; Celery's own handler for SIGTERM works between runs only."""
    if shutting_down():
        state.should_stop = 0


def _warm_up() -> None:
    """Load what the first run would wait for."""
    parts = parts_of_process()
    sweep_scratch(parts.settings)
    definitions.defs()
    parts.warm_up()


if __name__ == "__main__":
    found = parts_of_process().settings
    logs.set_up(found.log, found.secrets)
    # whoever listens to this signal has set logging up, so Celery does not
    setup_logging.connect(lambda **_: None, weak=False)
    work(Lane(sys.argv[1]))

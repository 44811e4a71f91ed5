"""Inbox to items to runs; asks; retries that are due; runs that died.

Each sensor waits inside its evaluation, so that what happens is answered at once: the daemon itself would
look only every few seconds. An evaluation must end well before Dagster's limit of 60 s for it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import dagster as dg

from nexus_pipeline import upkeep
from nexus_pipeline.batches import in_order, lane_for, runs_for
from nexus_pipeline.chain import ITEMS
from nexus_pipeline.domain.errors import BadInput, NexusError, NotFound
from nexus_pipeline.domain.items import Item, Lane, NewItem
from nexus_pipeline.domain.listing import Ask
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.lanes import LANE_TAG, items_of, retake
from nexus_pipeline.sources.inbox import Arrival
from nexus_pipeline.steps import CHAIN
from nexus_pipeline.wiring import Parts

log = logging.getLogger(__name__)

WAIT_S = 39.0
"""How long an evaluation waits for something to happen: until just before the daemon begins new ones, every 5 s."""
LOOK_S = 0.3
"""How often it looks meanwhile."""
JUST_COME = timedelta(seconds=30)
"""What is added through Nexus is an item before its object is there; while that is younger, it has just come."""
ON_ITS_WAY = timedelta(days=1)
"""An upload whose object has not come for so long is given up: whoever was to bring it has died."""
RETRY_COMES_S = 10.0
"""Dagster launches a retry within so long: it looks every 5 s."""
LEFT_S = 45.0
"""A worker stays up for 30 s before it dies again, or it counts as one that does not stay up at all (supervisor.py)."""
FAILED_WITHIN = timedelta(hours=1)
SAID_AGAIN = "nexus/failure_said_again"
SLOW_LOOK_S = 5.0
"""How often for what is not urgent."""
Evaluation = dg.SensorResult | dg.SkipReason


def ask_for(
    items: Sequence[Item], parts: Parts, why: str, *, first: str = "raw", force: bool = False
) -> dg.SensorResult:
    """Runs for these items, whose partitions are added."""
    items = in_order(items)
    ids = [item.id for item in items]
    for lane in Lane:
        mine = [item.id for item in items if lane_for(item, len(items)) is lane]
        if mine:
            parts.catalog.requested(mine, lane.value)
    runs = runs_for(items, parts.settings.batch, why, first=first, force=force)
    return dg.SensorResult(dynamic_partitions_requests=[ITEMS.build_add_request(ids)], run_requests=runs)


def ask_again(
    items: Sequence[Item], parts: Parts, instance: dg.DagsterInstance, why: str, **how: Any
) -> dg.SensorResult:
    """The same for items that have partitions: they are added anew, side by side, as a range must hold few others.

    Taken out here, since Dagster refuses a request that takes out and adds the same keys. Should this process be
    killed in between, nothing but the partitions is missing, and the items are due again.
    """
    if len(items) > 1:
        _take_out(items, instance)
    return ask_for(items, parts, why, **how)


def _take_out(items: Sequence[Item], instance: dg.DagsterInstance) -> None:
    for item in items:
        instance.delete_dynamic_partition(str(ITEMS.name), item.id)


def _wait(look: Callable[[], Evaluation | None], every_s: float, nothing: str, wait_s: float = WAIT_S) -> Evaluation:
    """Look again and again until there is something to answer."""
    until = time.monotonic() + wait_s
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() + every_s > until:
            return dg.SkipReason(nothing)
        time.sleep(every_s)


_sensor = partial(
    dg.sensor, asset_selection=[step.name for step in CHAIN], default_status=dg.DefaultSensorStatus.RUNNING
)


_looking = threading.Lock()


def _inbox(context: dg.SensorEvaluationContext, parts: dg.ResourceParam[Parts]) -> Evaluation:
    """Answers an arrival at once.

    Two sensors do: while the answer of one is on its way and the daemon has not begun it anew, the other one looks.
    """
    began = time.monotonic()
    if not _looking.acquire(timeout=WAIT_S):
        return dg.SkipReason("The other one has been looking.")
    try:
        left_s = WAIT_S - (time.monotonic() - began)
        return _wait(lambda: _arrived(parts, context.instance), LOOK_S, "Nothing new in the inbox.", left_s)
    finally:
        _looking.release()


inbox, inbox_relief = (
    _sensor(name=name, minimum_interval_seconds=1, description=told)(_inbox)
    for name, told in (
        ("inbox", "New objects in the inbox become items and runs."),
        ("inbox_relief", "The same while `inbox` is not looking."),
    )
)


def _arrived(parts: Parts, instance: dg.DagsterInstance) -> Evaluation | None:
    arrivals = parts.arrivals.arrivals()
    if not arrivals:
        return None
    try:
        items = _new(arrivals, parts, instance)
    except NexusError:
        parts.arrivals.forget(arrivals)  # told again with the next look
        raise
    _take_out([item for item in items if item.step(CHAIN[0].name).attempt], instance)
    return ask_for(items, parts, "inbox") if items else None


def _told(arrivals: Sequence[Arrival]) -> Iterator[NewItem]:
    """What they are; one that cannot be an item stays where it is and keeps nobody else out."""
    for arrival in arrivals:
        try:
            yield arrival.new_item()
        except BadInput as error:
            log.warning("refused code=%s bytes=%d: %s", error.code, arrival.bytes, error)


def _new(arrivals: Sequence[Arrival], parts: Parts, instance: dg.DagsterInstance) -> list[Item]:
    """The items of these that want a run. What a process before this one has seen is `due`'s business, if any's."""
    found = {item.id: item for item in _told(arrivals)}
    known = parts.catalog.find(list(found))
    late = [new for new in found.values() if new.sidecar_key and new.id in known and not known[new.id].sidecar_key]
    again = [parts.catalog.edit(new.id, sidecar_key=new.sidecar_key) for new in late]
    fresh = [new for new in found.values() if new.id not in known]
    upkeep.make_way(parts, [new.id for new in fresh])
    added = parts.catalog.add(fresh)
    waited = [x for x in known.values() if _has_waited(x, instance) and _just_come(found[x.id].inbox_key, parts)]
    return list({item.id: item for item in (*waited, *again, *added)}.values())


def _has_waited(item: Item, instance: dg.DagsterInstance) -> bool:
    """Whether the command line or the API made the item, and no run was asked for yet: it has no partition."""
    waits = item.source in {"upload", "url"} and item.state is ItemState.WAITING
    return waits and not instance.has_dynamic_partition(str(ITEMS.name), item.id)


def _just_come(key: str | None, parts: Parts) -> bool:
    """Whether the object is as young as one for which an item waits; older ones are `due`'s business."""
    with suppress(NotFound):
        return key is not None and datetime.now(UTC) - parts.inbox.info(key).modified_at < JUST_COME
    return False


@_sensor(name="asks", minimum_interval_seconds=1, description="Carries out what people ask for.")
def asks(context: dg.SensorEvaluationContext, parts: dg.ResourceParam[Parts]) -> Evaluation:
    """Retry, rerun and unlink become runs; a cancellation is seen by the run that holds the item."""
    return _wait(lambda: _asked(parts, context.instance), LOOK_S, "Nobody asks for anything.")


def _asked(parts: Parts, instance: dg.DagsterInstance) -> Evaluation | None:
    # A cancellation is seen by the run that holds the item, and closes by itself.
    wanted = [a for a in parts.catalog.asks() if a.ask != "cancel"]
    if not wanted:
        return None
    # One evaluation answers asks of one shape; the next one comes at once.
    shape = _shape(wanted[0])
    these = [a for a in wanted if _shape(a) == shape]
    items = list(parts.catalog.find([a.item_id for a in these]).values())
    parts.catalog.answered([a.id for a in these])
    first, force = shape
    return ask_again(items, parts, instance, "asks", first=first, force=force) if items else None


def _shape(ask: Ask) -> tuple[str, bool]:
    """From which step, and whether by force: a retry does only what is not done."""
    if ask.ask == "rerun":
        return ask.from_step or CHAIN[0].name, True
    return CHAIN[0].name, False


@_sensor(name="due", minimum_interval_seconds=1, description="Retries whose time has come, and lost items.")
def due(context: dg.SensorEvaluationContext, parts: dg.ResourceParam[Parts]) -> Evaluation:
    """What failed for a reason that may pass, what was blocked and is not any more, what a lost run left."""
    return _wait(lambda: _due(parts, context.instance), SLOW_LOOK_S, "Nothing is due.")


def _due(parts: Parts, instance: dg.DagsterInstance) -> Evaluation | None:
    items = [item for item in parts.catalog.due() if not _still_blocked(item, parts)]
    if not items:
        return None
    queued = _queued(instance)
    left = {item.id for item in items if item.id in queued or _on_its_way(item, parts)}
    parts.catalog.requested(list(left))
    lost = [item for item in items if item.id not in left]
    return ask_again(lost, parts, instance, "due") if lost else None


def _queued(instance: dg.DagsterInstance) -> set[str]:
    """Items of runs that have not begun: behind ten thousand others an item may wait for hours and is not lost."""
    ahead = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING]
    runs = instance.get_runs(dg.RunsFilter(statuses=ahead, tags={LANE_TAG: [lane.value for lane in Lane]}))
    return {item_id for run in runs for item_id in items_of(run)}


def _on_its_way(item: Item, parts: Parts) -> bool:
    """Whether its bytes are still being brought: a large file takes longer to copy than a new item may wait."""
    young = datetime.now(UTC) - item.created_at < ON_ITS_WAY
    if not young or item.source != "upload" or item.inbox_key is None or parts.inbox.exists(item.inbox_key):
        return False
    return next(iter(parts.blobs.under(item.key(CHAIN[0].name, ""))), None) is None


def _still_blocked(item: Item, parts: Parts) -> bool:
    blocked = [s for s in item.steps if s.state is State.BLOCKED]
    return any(parts.engines.missing(s.step, item) is not None for s in blocked)


@_sensor(name="died", minimum_interval_seconds=5, description="Ends runs whose worker has died.")
def died(context: dg.SensorEvaluationContext, parts: dg.ResourceParam[Parts]) -> Evaluation:
    """A lease silent for 60 s is dead: its run is reported failed, and Dagster's retry takes it up again."""
    silent = {lease.run_id for lease in parts.catalog.dead_leases()}
    for run_id in silent:
        run = context.instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            context.instance.report_run_failed(run, "Its worker has not been heard of for a minute.")
        retake(run, run_id, parts)
    missed = _say_again(context.instance)
    left = _left(context.instance)
    if left:
        return _ask_for_all(left, parts, context.instance)
    return dg.SkipReason(
        f"{len(silent)} runs had died, {missed} were to be retried." if silent or missed else "All live."
    )


def _say_again(instance: dg.DagsterInstance) -> int:
    """Report runs failed once more whose retry Dagster has missed; how many.

    It stores the failure before it marks the run as failed. A daemon that looks between the two passes the run over
    and never looks again (1.13.27; event_methods.py, auto_run_reexecution.py). A second report is safe: of one run it
    makes one retry.
    """
    missed = [r for r in _failed(instance, "true", RETRY_COMES_S) if "dagster/auto_retry_run_id" not in r.tags]
    for run in missed:
        instance.add_run_tags(run.run_id, {SAID_AGAIN: "true"})
        instance.report_run_failed(run, "Its retry did not come; it is asked for again.")
    return len(missed)


def _left(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs whose worker has died once more than Dagster retries: a run that ends by itself has a reason."""
    died = (run for run in _failed(instance, "false", LEFT_S) if "dagster/failure_reason" not in run.tags)
    return [run for run in died if items_of(run)]


def _ask_for_all(left: Sequence[dg.DagsterRun], parts: Parts, instance: dg.DagsterInstance) -> Evaluation:
    """Another run for all of their items: what had landed is told to Dagster once more, which may not have heard it.

    An item that ends its runs again and again fails at last (`turns.DEATHS`).
    """
    for run in left:
        instance.add_run_tags(run.run_id, {SAID_AGAIN: "true"})
    ids = list(dict.fromkeys(item_id for run in left for item_id in items_of(run)))
    held = parts.catalog.leased(ids) | _queued(instance)
    items = [item for item in parts.catalog.find(ids).values() if item.id not in held]
    return ask_again(items, parts, instance, "died") if items else dg.SkipReason("Others are at what died.")


def _failed(instance: dg.DagsterInstance, will_retry: str, for_s: float) -> list[dg.DagsterRun]:
    """Runs of the last hour that failed so long ago, and of which nothing has been said since."""
    now = datetime.now(UTC)
    tags: dict[str, str | list[str]] = {"dagster/will_retry": will_retry, LANE_TAG: [lane.value for lane in Lane]}
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], tags=tags, updated_after=now - FAILED_WITHIN)
    records = instance.get_run_records(failed, limit=100)
    old = (record for record in records if now.timestamp() - (record.end_time or 0.0) >= for_s)
    return [record.dagster_run for record in old if SAID_AGAIN not in record.dagster_run.tags]


SENSORS = (inbox, inbox_relief, asks, due, died)

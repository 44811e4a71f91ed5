"""Upkeep on a schedule, as Dagster jobs and assets; and the job by which people give URLs in the UI."""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.runs import SqliteRunStorage

from nexus_pipeline import upkeep
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.errors import BadInput, EngineFailed
from nexus_pipeline.engines import NONE, EngineSpec, load
from nexus_pipeline.lanes import LANE_TAG, UNDER_WAY
from nexus_pipeline.wiring import CATALOGUES, Parts, intake

CHANGES_KEPT = timedelta(days=7)
"""How long event streams can be resumed; an older cursor is told to start anew."""


@dg.asset(group_name="care", kinds={"lancedb"}, description="Archive: compacted, indexed, old versions cleaned.")
def archive_care(context: dg.AssetExecutionContext, parts: dg.ResourceParam[Parts]) -> dg.MaterializeResult[None]:
    """One tending at a time; nightly also the full merge of the word index."""
    told = upkeep.tend(parts, full=context.run.tags.get("nexus/full") == "true")
    return dg.MaterializeResult(metadata={name: float(value) for name, value in told.items()})


@dg.asset(group_name="care", kinds={"sql"}, description="Catalog: old changes pruned.")
def catalog_care(parts: dg.ResourceParam[Parts]) -> dg.MaterializeResult[None]:
    """Event streams read `changes`; what nobody can resume from any more goes."""
    pruned = parts.catalog.prune_changes(datetime.now(UTC) - CHANGES_KEPT)
    return dg.MaterializeResult(metadata={"pruned": pruned})


@dg.asset(group_name="care", kinds={"lancedb", "sql"}, description="Erased items: nothing of them left in any file.")
def erasure(context: dg.AssetExecutionContext, parts: dg.ResourceParam[Parts]) -> dg.MaterializeResult[None]:
    """Takes out what is buried, writes the archive anew without it, and completes receipts a minute later."""
    settled = upkeep.settle(parts)
    return dg.MaterializeResult(metadata={"receipts": settled, "requests": _forget_requests(context.instance, parts)})


@dg.asset(group_name="care", kinds={"python"}, description="Stores: what disagrees between them.")
def agreement(parts: dg.ResourceParam[Parts]) -> dg.MaterializeResult[None]:
    """Blobs, archive and catalog against each other; `nexus care` mends."""
    wrong = upkeep.check(parts)
    return dg.MaterializeResult(metadata={"disagree": len(wrong), "first": dg.MetadataValue.json(wrong[:20])})


_ASSETS = [archive_care, catalog_care, erasure, agreement]
_LANE = {LANE_TAG: "bulk"}
_SOON = {"dagster/priority": "10"}
"""Before the batches of a backfill that wait in the lane."""
care = dg.define_asset_job("care", selection=_ASSETS, tags=_LANE, description="All upkeep, in full.")
tend = dg.define_asset_job("tend", selection=[archive_care], tags=_LANE, description="The archive's small upkeep.")

erase = dg.define_asset_job(
    "erase", selection=[erasure], tags={**_LANE, **_SOON}, description="Completes the erasing of items."
)


@dg.schedule(job=care, cron_schedule="30 3 * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def nightly() -> dg.RunRequest:
    """Everything, in full, when few people look."""
    return dg.RunRequest(tags={"nexus/full": "true"})


@dg.sensor(job=tend, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def archive_grows(parts: dg.ResourceParam[Parts]) -> dg.RunRequest | dg.SkipReason:
    """Every 50 commits or 1,000 rows that no index knows yet, and then not before a minute has passed."""
    return dg.RunRequest() if parts.archive.needs_tending() else dg.SkipReason("The archive is in order.")


@dg.sensor(job=erase, minimum_interval_seconds=5, default_status=dg.DefaultSensorStatus.RUNNING)
def items_erased(context: dg.SensorEvaluationContext, parts: dg.ResourceParam[Parts]) -> dg.RunRequest | dg.SkipReason:
    """Soon after an item was buried, and again when nobody can read the archive's older versions any more."""
    if not upkeep.erasing_is_due(parts):
        return dg.SkipReason("Nothing is to be erased.")
    if context.instance.get_run_ids(dg.RunsFilter(job_name=erase.name, statuses=UNDER_WAY), limit=1):
        return dg.SkipReason("A run is at it.")
    return dg.RunRequest()


# ---------------------------------------------------------------- people give URLs

CHOSEN = frozenset(CATALOGUES) & frozenset(STEPS) - {"embedding"}
"""Steps for which an item may have an engine of its own; all vectors lie in one space."""
ITEMS_TAG = "nexus/items"
"""On a run of `ingest`: the items that it asked for."""


class IngestConfig(dg.Config):
    """What to take in."""

    urls: list[str]
    title: str | None = None
    tags: list[str] = []
    language: str | None = None
    prompt: str | None = None
    """What the speech engine is told before it listens."""
    vocabulary: list[str] = []
    """Names and jargon that may be said."""
    engines: dict[str, str] = {}
    """Engines of these items, step: engine:model, e.g. {"transcript": "faster-whisper:small"}."""


@dg.op(description="Writes requests into the inbox, nothing else; the inbox's sensor does the rest.")
def request_urls(context: dg.OpExecutionContext, config: IngestConfig, parts: dg.ResourceParam[Parts]) -> None:
    """Asking twice is the same item.

    Raises, before anything is written, BadAddress for what is no http(s) address, BadInput for engines that are none.
    """
    said = intake.Said(
        title=config.title,
        tags=tuple(config.tags),
        language=config.language,
        engines=_engines(config.engines),
        prompt=config.prompt,
        vocabulary=tuple(dict.fromkeys(word.strip() for word in config.vocabulary if word.strip())),
    )
    items = [intake.requested(parts.followed(url), said) for url in config.urls]
    context.instance.add_run_tags(context.run.run_id, {ITEMS_TAG: ",".join(item.id for item in items)})
    for item in items:
        intake.request_url(parts.inbox, item.origin, said)
        context.log.info("requested item_id=%s", item.id)


@dg.job(tags={LANE_TAG: "now"}, executor_def=dg.in_process_executor, description="Take in URLs.")
def ingest() -> None:
    """For people in the UI."""
    request_urls()


def _engines(told: Mapping[str, str]) -> dict[str, str]:
    """As an item has them. Raises BadInput for a step without a choice, and for an engine that it does not have."""
    chosen = {}
    for step, specs in told.items():
        if step not in CHOSEN:
            raise BadInput(f"an item chooses no engine for {step!r}, only for one of {', '.join(sorted(CHOSEN))}")
        try:
            several = EngineSpec.parse_all(specs)
            for spec in several:
                load(CATALOGUES[step], spec.engine)
        except EngineFailed as error:
            raise BadInput(f"the engine of {step}: {error}") from error
        chosen[step] = ",".join(map(str, several)) or NONE
    return chosen


def _forget_requests(instance: dg.DagsterInstance, parts: Parts) -> int:
    """Delete runs of `ingest` that asked for items which were erased: their config repeats what was said of them."""
    gone = 0
    for run in instance.get_runs(dg.RunsFilter(job_name=ingest.name)):
        asked = [item_id for item_id in run.tags.get(ITEMS_TAG, "").split(",") if item_id]
        if run.is_finished and any(parts.catalog.is_erased(item_id) for item_id in asked):
            instance.delete_run(run.run_id)
            gone += 1
    if gone and isinstance(instance.run_storage, SqliteRunStorage):
        _shrink(instance.run_storage)
    return gone


def _shrink(storage: SqliteRunStorage) -> None:
    """A deleted row lies in the free space of SQLite's file, and in its log, until then."""
    with storage.connect() as db:
        file: sqlite3.Connection | None = db.connection.driver_connection
        if file is not None:
            file.executescript("PRAGMA busy_timeout=60000; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")


CARE = dg.Definitions(
    assets=_ASSETS, jobs=[care, tend, erase, ingest], schedules=[nightly], sensors=[archive_grows, items_erased]
)

"""Upkeep on a schedule, as Dagster jobs and assets; and the job by which people give URLs in the UI."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from nexus_pipeline import upkeep
from nexus_pipeline.lanes import LANE_TAG
from nexus_pipeline.wiring import Parts, intake

CHANGES_KEPT = timedelta(days=7)
"""How long event streams can be resumed; an older cursor is told to start anew."""


@dg.asset(group_name="care", kinds={"lancedb"}, description="Archive: compacted, indexed, old versions cleaned.")
def archive_care(context: dg.AssetExecutionContext, parts: dg.ResourceParam[Parts]) -> dg.MaterializeResult[None]:
    """One tending at a time; nightly also the full merge of the word index."""
    told = upkeep.tend(parts, full=context.run.tags.get("nexus/full") == "true")
    return dg.MaterializeResult(metadata={name: float(value) for name, value in told.items()})


@dg.asset(group_name="care", kinds={"sql"}, description="Catalog: old changes pruned, erasing finished.")
def catalog_care(parts: dg.ResourceParam[Parts]) -> dg.MaterializeResult[None]:
    """Event streams read `changes`; what nobody can resume from any more goes."""
    pruned = parts.catalog.prune_changes(datetime.now(UTC) - CHANGES_KEPT)
    return dg.MaterializeResult(metadata={"pruned": pruned, "erased": upkeep.finish_erasing(parts)})


@dg.asset(group_name="care", kinds={"python"}, description="Stores: what disagrees between them.")
def agreement(parts: dg.ResourceParam[Parts]) -> dg.MaterializeResult[None]:
    """Blobs, archive and catalog against each other; `nexus care` mends."""
    wrong = upkeep.check(parts)
    return dg.MaterializeResult(metadata={"disagree": len(wrong), "first": dg.MetadataValue.json(wrong[:20])})


_ASSETS = [archive_care, catalog_care, agreement]
_LANE = {LANE_TAG: "bulk"}
care = dg.define_asset_job("care", selection=_ASSETS, tags=_LANE, description="All upkeep, in full.")
tend = dg.define_asset_job("tend", selection=[archive_care], tags=_LANE, description="The archive's small upkeep.")


@dg.schedule(job=care, cron_schedule="30 3 * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def nightly() -> dg.RunRequest:
    """Everything, in full, when few people look."""
    return dg.RunRequest(tags={"nexus/full": "true"})


@dg.sensor(job=tend, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def archive_grows(parts: dg.ResourceParam[Parts]) -> dg.RunRequest | dg.SkipReason:
    """Every 50 commits or 1,000 rows that no index knows yet, and then not before a minute has passed."""
    return dg.RunRequest() if parts.archive.needs_tending() else dg.SkipReason("The archive is in order.")


# ---------------------------------------------------------------- people give URLs


class IngestConfig(dg.Config):
    """What to take in."""

    urls: list[str]
    title: str | None = None
    tags: list[str] = []
    language: str | None = None


@dg.op(description="Writes requests into the inbox, nothing else; the inbox's sensor does the rest.")
def request_urls(context: dg.OpExecutionContext, config: IngestConfig, parts: dg.ResourceParam[Parts]) -> None:
    """Asking twice is the same item. Raises BadAddress for what is no http(s) address, before anything is written."""
    said = intake.Said(title=config.title, tags=tuple(config.tags), language=config.language)
    items = [intake.requested(url, said) for url in config.urls]
    for item in items:
        intake.request_url(parts.inbox, item.origin, said)
        context.log.info("requested item_id=%s", item.id)


@dg.job(tags={LANE_TAG: "now"}, executor_def=dg.in_process_executor, description="Take in URLs.")
def ingest() -> None:
    """For people in the UI."""
    request_urls()


CARE = dg.Definitions(assets=_ASSETS, jobs=[care, tend, ingest], schedules=[nightly], sensors=[archive_grows])

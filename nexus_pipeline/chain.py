"""The steps as one partitioned Dagster multi-asset: selection, events, failures. The one place that talks to Dagster.

Dagster has no result for one partition of a batch. So every item that lands is logged by hand, one materialization
a step, and a run in which anything did not land ends in failure: Dagster then shows exactly those partitions as failed.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import dagster as dg

from nexus_pipeline.domain import errors
from nexus_pipeline.domain.states import Skipped, State
from nexus_pipeline.flow import Flow
from nexus_pipeline.lanes import ending_softly, lane_of, leaves_lane, shutting_down
from nexus_pipeline.machine import widths
from nexus_pipeline.steps import CHAIN
from nexus_pipeline.steps.step import Landed, Step
from nexus_pipeline.turns import SHUTDOWN, Run
from nexus_pipeline.wiring import Parts

ITEMS = dg.DynamicPartitionsDefinition(name="items")
NEVER = 2**62
"""Newer than any event: what comes `after` a step does not become stale with it."""
LOOK_EVERY_S = 2.0
"""How often a run asks Dagster whether a person has terminated it."""

_SPEECH_FOUND = dg.AssetCheckSpec(
    "speech_found", asset="transcript", description="Every item of the run that has sound has speech in it."
)
_ARCHIVE_AGREES = dg.AssetCheckSpec(
    "archive_agrees", asset="embedding", description="The archive holds as many passages as the transcripts gave."
)


class ChainConfig(dg.Config):
    """What a run of the chain can be told in the launchpad."""

    items: list[str] = []
    """Exactly these items; a range of partitions may hold others in between. Empty: all partitions of the run."""
    force: bool = False
    """Do it again although nothing has changed. A person's launch and a backfill do so anyway."""
    engines: dict[str, str] = {}
    """Engines for this run, step: engine:model, e.g. {"transcript": "faster-whisper:small"}."""


def spec(step: Step) -> dg.AssetSpec:
    """A step as Dagster's UI shows it."""
    return dg.AssetSpec(
        step.name,
        deps=list(step.upstream),
        skippable=True,
        group_name="chain",
        kinds=set(step.kinds),
        code_version=step.code_version,
        description=step.description,
        partitions_def=ITEMS,
    )


def build_chain(batch: int, steps: Sequence[Step] = CHAIN) -> dg.AssetsDefinition:
    """The multi-asset; a backfill is cut into runs of at most `batch` items."""

    @dg.multi_asset(
        name="chain",
        specs=[spec(step) for step in steps],
        check_specs=[_SPEECH_FOUND, _ARCHIVE_AGREES],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(batch),
    )
    def chain(
        context: dg.AssetExecutionContext, config: ChainConfig, parts: dg.ResourceParam[Parts]
    ) -> Iterator[dg.AssetCheckResult]:
        ids = config.items or list(context.partition_keys)
        chosen = frozenset(key.to_user_string() for key in context.selected_asset_keys)
        tags = dict(context.run.tags)
        force = config.force or asked_by_person(tags)
        run = Run(context.run.run_id, _root(context), chosen, force=force, lane=lane_of(tags).value)
        flow = Flow(
            steps,
            parts.chosen_for_run(config.engines),
            run,
            widths(parts.settings),
            stopped=_Terminated(context),
            leaves=partial(leaves_lane, tags),
        )
        tally, by_name = Tally(), {step.name: step for step in steps}
        with ending_softly():
            for landed in flow.land(ids):
                _log(context, landed, by_name.get(landed.work.step, steps[0]), parts)
                tally.count(landed)
        yield from tally.checks(context.selected_asset_check_keys, parts)
        tally.fail(len(ids))

    return chain


def asked_by_person(tags: Mapping[str, str]) -> bool:
    """Whether a run was launched by a person or a backfill: what they choose is done again.

    Runs that a sensor asks for carry its name; automatic retries keep the tags of the run that they retry,
    a backfill's too, so a retried backfill still forces, and only what has not landed under its root run.
    """
    return "dagster/sensor_name" not in tags and "dagster/schedule_name" not in tags


def _root(context: dg.AssetExecutionContext) -> str:
    return context.run.root_run_id or context.run.run_id


class _Terminated:
    """Whether a person has pressed Terminate, or the worker is to end: a solo worker is not interrupted, it looks."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self.context, self.looked = context, time.monotonic()

    def __call__(self) -> str | None:
        if shutting_down():
            return SHUTDOWN
        if time.monotonic() - self.looked < LOOK_EVERY_S:
            return None
        self.looked = time.monotonic()
        run = self.context.instance.get_run_by_id(self.context.run.run_id)
        ended = run is None or run.is_finished or run.status is dg.DagsterRunStatus.CANCELING
        return "its run was terminated" if ended else None


# ---------------------------------------------------------------- events


def _log(context: dg.AssetExecutionContext, landed: Landed, step: Step, parts: Parts) -> None:
    """One event for what landed: a materialization, or an observation that says why not."""
    item = landed.work.item
    link = dg.MetadataValue.url(f"{parts.settings.site}/items/{item.id}")
    if landed.error is None:
        newest = context.instance.event_log_storage.get_maximum_record_id() or 0 if step.upstream else 0
        context.log_event(materialization(landed, step, link, newest))
        return
    told: dict[str, str | dg.MetadataValue] = {"code": landed.error.code, "item": link, "state": landed.state.value}
    context.log_event(dg.AssetObservation(step.name, partition=item.id, metadata=told))


def materialization(landed: Landed, step: Step, link: dg.UrlMetadataValue, newest: int) -> dg.AssetMaterialization:
    """Numbers, a link, and the versions by which the UI knows what is stale; never words of the item.

    Logged by hand an event has no versions, and the UI would call everything fresh. `newest` is the id of the newest
    event: an input that lands after it with another version makes this stale.
    """
    item = landed.work.item
    numbers = {name: dg.MetadataValue.float(float(value)) for name, value in landed.numbers.items()}
    reason = {"skipped": dg.MetadataValue.text(str(landed.reason))} if landed.reason else {}
    tags = {"dagster/code_version": step.code_version, "dagster/data_version": landed.work.version_key}
    for name in step.upstream:
        version = item.step(name).version_key
        if version:
            tags[f"dagster/input_data_version/{name}"] = version
            tags[f"dagster/input_event_pointer/{name}"] = str(NEVER if name in step.after else newest)
    return dg.AssetMaterialization(
        step.name, partition=item.id, metadata={**numbers, **reason, "item": link}, tags=tags
    )


class Tally:
    """Counts what landed, for the run's end."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.causes: Counter[str] = Counter()
        self.failed: set[str] = set()
        self.silent = 0
        self.heard = 0
        self.passages: dict[str, int] = {}

    def count(self, landed: Landed) -> None:
        """One landing."""
        item_id, step = landed.work.item.id, landed.work.step
        if landed.error is not None:
            if not (isinstance(landed.error, errors.LeaseLost) or item_id in self.failed):
                self.failed.add(item_id)
                self.causes[landed.error.code] += 1
            return
        if step == "transcript":
            self.silent += landed.reason == Skipped.SILENCE
            self.heard += landed.state is State.DONE
        if step == "embedding" and "passages" in landed.numbers:
            self.passages[item_id] = int(landed.numbers["passages"])

    def checks(self, wanted: "set[dg.AssetCheckKey]", parts: Parts) -> Iterator[dg.AssetCheckResult]:
        """Results of the asset checks, over the items of this run."""
        if any(key.name == _SPEECH_FOUND.name for key in wanted):
            yield dg.AssetCheckResult(
                passed=self.silent == 0,
                asset_key="transcript",
                check_name=_SPEECH_FOUND.name,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"heard": self.heard, "silent": self.silent},
            )
        if any(key.name == _ARCHIVE_AGREES.name for key in wanted):
            there = parts.archive.counts(list(self.passages)) if self.passages else {}
            wrong = sorted(i for i, n in self.passages.items() if there.get(i, 0) != n)
            yield dg.AssetCheckResult(
                passed=not wrong,
                asset_key="embedding",
                check_name=_ARCHIVE_AGREES.name,
                metadata={"items": len(self.passages), "disagree": len(wrong), "first": wrong[0] if wrong else ""},
            )

    def fail(self, items: int) -> None:
        """Raises Failure when anything did not land: only then does Dagster show those partitions as failed."""
        if not self.failed:
            return
        told = ", ".join(f"{n} {code}" for code, n in self.causes.most_common())
        raise dg.Failure(
            f"{len(self.failed)} of {items} items did not land: {told}",
            metadata={code: dg.MetadataValue.int(n) for code, n in self.causes.items()},
            allow_retries=False,
        )

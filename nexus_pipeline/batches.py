"""Items to runs: which lane takes them, how many go into one run. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from nexus_pipeline.domain.items import Item, Lane, Priority
from nexus_pipeline.lanes import LANE_TAG, is_long
from nexus_pipeline.steps import CHAIN

FEW = 16
"""So many new items at once are what a person has just given; more are a folder, and go to the bulk lane."""
FEW_A_RUN = 8
"""Items in a run of the lane `now`: the next arrival does not wait long."""
WORK_S = 1800.0
"""Seconds of sound in a run (design.md, "Batches"): one long item holds nobody up."""
UNKNOWN_S = 600.0
"""What an item counts whose length is not known."""
LEAST_BYTES_A_S = 8000.0
"""64 kbit/s: a small file of unknown length counts less than `UNKNOWN_S`."""


def cut(items: Sequence[Item], batch: int) -> list[list[Item]]:
    """Batches by number and by work, in order."""
    batches: list[list[Item]] = []
    room_s = 0.0
    for item in items:
        takes_s = item.duration_s or min(UNKNOWN_S, (item.bytes or 1e12) / LEAST_BYTES_A_S)
        if not batches or len(batches[-1]) >= batch or takes_s > room_s:
            batches.append([])
            room_s = WORK_S
        batches[-1].append(item)
        room_s -= takes_s
    return batches


def lane_for(item: Item, many: int) -> Lane:
    """`now` for what a person has just given, unless it is a whole folder, or long, or they said that it may wait."""
    if item.priority is Priority.HIGH:
        return Lane.NOW
    return Lane.BULK if item.priority is Priority.LOW or many > FEW or is_long(item) else Lane.NOW


def _first(items: Sequence[Item], many: int) -> bool:
    """Whether this run goes before others of its lane: a person wants it so, or has just given what is long."""
    given = many <= FEW and any(is_long(item) and item.priority is not Priority.LOW for item in items)
    return given or any(item.priority is Priority.HIGH for item in items)


def runs_for(
    items: Sequence[Item], batch: int, why: str, *, first: str = "raw", force: bool = False
) -> list[dg.RunRequest]:
    """One run a batch: the range of their keys for Dagster, and exactly these items as config."""
    names = [step.name for step in CHAIN]
    steps = [dg.AssetKey(name) for name in names[names.index(first) :]]
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    requests = []
    for lane in Lane:
        mine = [item for item in items if lane_for(item, len(items)) is lane]
        for some in cut(mine, FEW_A_RUN if lane is Lane.NOW else batch):
            ids = [item.id for item in some]
            requests.append(
                dg.RunRequest(
                    run_key=f"{why}:{ids[0]}..{ids[-1]}:{stamp}",
                    asset_selection=steps,
                    run_config={"ops": {"chain": {"config": {"items": ids, "force": force}}}},
                    tags={
                        LANE_TAG: lane.value,
                        "dagster/asset_partition_range_start": ids[0],
                        "dagster/asset_partition_range_end": ids[-1],
                        **({"dagster/priority": "1"} if _first(some, len(items)) else {}),
                    },
                )
            )
    return requests


def in_order(items: Sequence[Item]) -> list[Item]:
    """So that the batches of a lane lie side by side among the partitions."""
    many = len(items)
    return [item for lane in Lane for item in items if lane_for(item, many) is lane]

"""How soon what arrives is taken up, can be read and can be searched: `nexus up` as a process, files of 30 s of speech.

Instants: the last byte is the wall clock when the copy, the rename or `nexus add` was over; the first step is the
catalog's `started_at` of raw; readable is the first segments' blob, looked for every 30 ms; searchable is the catalog's
`ended_at` of embedding, which is written after the archive's rows. Renamed files are older than a few seconds, as
files that somebody moves are; a file renamed while it is being finished counts as a copied one.

`python -m bench.arrival [--singles 20] [--burst 100] [--backfill 300]`; 0 leaves a part out.
"""

import argparse
import os
import random
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import dagster as dg

from bench.said import files
from bench.told import tell
from bench.up import Nexus
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Item

COPY_S = 0.5
"""Seconds that a copied file takes to be written."""
CHUNKS = 20
APART_S = (3.0, 9.0)
"""Seconds between two single arrivals: drawn, so that they meet every moment of Dagster's own beats."""
SOON_S = 5.0
"""Seconds from the start of the backfill's first run to the arrival beside it."""
ITEM_S = 6.0
"""Patience for one item, in seconds, where many are waited for."""

LAUNCH = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
CANCEL = "mutation($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }"


@dataclass
class Arrival:
    """One file: how and when it came, in seconds since 1970."""

    how: str
    name: str
    began: float = 0.0
    last_byte: float = 0.0


class Arrivals:
    """Brings files, each of them once."""

    def __init__(self, nexus: Nexus, paths: Sequence[Path]) -> None:
        self.nexus, self.paths = nexus, iter(paths)
        self.given = 0
        self.beside = nexus.inbox.parent.parent / "beside"
        self.beside.mkdir(exist_ok=True)

    def bring(self, how: str, group: str) -> Arrival:
        """Copy, rename or add the next file; when that is over."""
        self.given += 1
        came = Arrival(how, f"{group}-{self.given:04d}.wav")
        path = self._beside(came.name) if how != "copied" else next(self.paths)
        to = self.nexus.inbox / came.name
        came.began = time.time()
        match how:
            case "copied":
                written(path, to)
            case "renamed":
                path.rename(to)
            case _:
                self.nexus.nexus("add", str(path))
        came.last_byte = time.time()
        return came

    def _beside(self, name: str) -> Path:
        """A file that has been lying there for a while."""
        source, to = next(self.paths), self.beside / name
        shutil.copyfile(source, to)
        an_hour_ago = time.time() - 3600
        os.utime(to, (an_hour_ago, an_hour_ago))
        return to

    def at_once(self, many: int, group: str) -> list[Arrival]:
        """Copy so many in a row, as `cp *` does."""
        came = []
        for _ in range(many):
            self.given += 1
            one = Arrival("copied", f"{group}-{self.given:04d}.wav", began=time.time())
            shutil.copyfile(next(self.paths), self.nexus.inbox / one.name)
            one.last_byte = time.time()
            came.append(one)
        return came


def written(path: Path, to: Path) -> None:
    """A copy that takes its time."""
    data = path.read_bytes()
    size = -(-len(data) // CHUNKS)
    with to.open("wb") as out:
        for at in range(0, len(data), size):
            out.write(data[at : at + size])
            out.flush()
            time.sleep(COPY_S / CHUNKS)


# ---------------------------------------------------------------- parts


def singles(arrivals: Arrivals, many: int) -> list[Arrival]:
    """One by one, a few seconds apart, each way in turn."""
    draw = random.Random(1)
    came = []
    for how, _ in zip(cycle(("copied", "renamed", "added")), range(many), strict=False):
        came.append(arrivals.bring(how, "single"))
        time.sleep(draw.uniform(*APART_S))
    return came


def beside_backfill(nexus: Nexus, arrivals: Arrivals, ids: Sequence[str]) -> Arrival:
    """Copied while a backfill does all of these items again; the backfill is cancelled afterwards."""
    params = {"assetSelection": [{"path": [s]} for s in STEPS], "partitionNames": list(ids)}
    launched = nexus.graphql(LAUNCH, params=params)["launchPartitionBackfill"]
    if "backfillId" not in launched:
        sys.exit(f"the backfill was not launched: {launched}")
    began = dg.RunsFilter(tags={"dagster/backfill": launched["backfillId"]}, statuses=[dg.DagsterRunStatus.STARTED])
    nexus.wait_until("the backfill's first run", lambda: nexus.instance.get_runs_count(began), 120)
    print(f"a backfill of {len(ids)} items runs", file=sys.stderr)
    time.sleep(SOON_S)
    came = arrivals.bring("copied", "beside")
    if not nexus.instance.get_runs_count(began):
        sys.exit("the backfill was over before the arrival: give --backfill more items")
    nexus.wait_until("the one beside it", lambda: searchable(nexus.items().get(came.name)) is not None, 240)
    nexus.graphql(CANCEL, id=launched["backfillId"])
    return came


def measured(nexus: Nexus, args: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, bool], list[Any]]:
    """Rows, bars and the hops of the single arrivals."""
    arrivals = Arrivals(nexus, files(1 + args.singles + max(args.burst, args.backfill - args.singles - 1) + 1))
    arrivals.bring("copied", "first")
    nexus.wait_done(1, 120)
    rows: list[dict[str, Any]] = []
    bars: dict[str, bool] = {}
    told: list[Any] = []
    if args.singles:
        came = singles(arrivals, args.singles)
        nexus.wait_done(arrivals.given, ITEM_S * args.singles + 30)
        told = hops(nexus, came)
        tell_singles(nexus, came, rows, bars)
    if args.burst:
        came = arrivals.at_once(args.burst, "burst")
        nexus.wait_done(arrivals.given, ITEM_S * args.burst + 60)
        tell_burst(nexus, came, rows, bars)
    if args.backfill:
        more = max(0, args.backfill - arrivals.given)
        arrivals.at_once(more, "more")
        nexus.wait_done(arrivals.given, ITEM_S * more + 60)
        ids = [item.id for item in nexus.items().values()][: args.backfill]
        came = [beside_backfill(nexus, arrivals, ids)]
        row = summary("beside a backfill", came, nexus)
        rows.append(row)
        bars["beside a backfill: first step <= 10 s"] = row["first_step_p50"] <= 10
    return rows, bars, told


# ---------------------------------------------------------------- what came of them


def at(instant: datetime | None) -> float | None:
    return instant.timestamp() if instant else None


def searchable(item: Item | None) -> float | None:
    return at(item.step("embedding").ended_at) if item and item.step("embedding").state == "done" else None


def p(values: Sequence[float], percent: int) -> float:
    """A percentile; of few values the next higher one there is."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def summary(name: str, came: Sequence[Arrival], nexus: Nexus) -> dict[str, Any]:
    """Seconds: from the last byte to the first step, from there to the first segments and to the archive."""
    items = nexus.items()
    first = {one.name: at(items[one.name].step("raw").started_at) or 0.0 for one in came}
    waits = [first[one.name] - one.last_byte for one in came]
    read = [nexus.readable.at[items[one.name].id] - first[one.name] for one in came]
    found = [(searchable(items[one.name]) or 0.0) - first[one.name] for one in came]
    return {
        "arrivals": name,
        "items": len(came),
        "first_step_p50": statistics.median(waits),
        "first_step_p95": p(waits, 95),
        "first_step_min": min(waits),
        "first_step_max": max(waits),
        "readable_p50": statistics.median(read),
        "searchable_p50": statistics.median(found),
        "last_byte_to_searchable_p50": statistics.median([w + f for w, f in zip(waits, found, strict=True)]),
    }


def tell_singles(nexus: Nexus, came: Sequence[Arrival], rows: list[dict[str, Any]], bars: dict[str, bool]) -> None:
    for how, bar_s in (("copied", 4.0), ("renamed", 3.0), ("added", 3.0)):
        mine = [one for one in came if one.how == how]
        if mine:
            row = summary(how, mine, nexus)
            rows.append(row)
            bars[f"{how}: first step p50 <= {bar_s:.0f} s"] = row["first_step_p50"] <= bar_s
    added = [Arrival("added", one.name, one.began, one.began) for one in came if one.how == "added"]
    if added:
        rows.append(summary("added, from the command's start", added, nexus))
    whole = summary("all single ones", came, nexus)
    rows.append(whole)
    steps_bars("singles", whole, bars)


def tell_burst(nexus: Nexus, came: Sequence[Arrival], rows: list[dict[str, Any]], bars: dict[str, bool]) -> None:
    row = summary("burst", came, nexus)
    items = nexus.items()
    started = min(at(items[one.name].step("raw").started_at) or 0.0 for one in came)
    ended = max(searchable(items[one.name]) or 0.0 for one in came)
    last = max(one.last_byte for one in came)
    rows.append(row | {"burst_to_first_step": started - last, "burst_to_all_searchable": ended - last})
    steps_bars("burst", row, bars)


def steps_bars(name: str, row: dict[str, Any], bars: dict[str, bool]) -> None:
    bars[f"{name}: readable p50 <= 5 s after the first step"] = row["readable_p50"] <= 5
    bars[f"{name}: searchable p50 <= 10 s after the first step"] = row["searchable_p50"] <= 10


def hops(nexus: Nexus, came: Sequence[Arrival]) -> list[dict[str, Any]]:
    """Where the seconds go: instants of the catalog's rows, Dagster's run records and its events."""
    items = nexus.items()
    ways = [_way(nexus, one, items[one.name]) for one in came]
    legs = {
        f"{a} -> {b}": [way[b] - way[a] for way in ways if a in way and b in way]
        for a, b in (
            ("last byte", "item"),
            ("item", "run made"),
            ("last byte", "run made"),
            ("run made", "queued"),
            ("queued", "launched"),
            ("run made", "launched"),
            ("launched", "run started"),
            ("run started", "raw starts"),
            *((f"{a} {x}", f"{b} {y}") for a, x, b, y in _between_steps()),
        )
    }
    return [{"hop": hop, "p50": statistics.median(s), "p95": p(s, 95), "max": max(s)} for hop, s in legs.items() if s]


def _between_steps() -> list[tuple[str, str, str, str]]:
    out = []
    for n, step in enumerate(STEPS):
        out.append((step, "starts", step, "ends"))
        if n + 1 < len(STEPS):
            out.append((step, "ends", STEPS[n + 1], "starts"))
    return out


def _way(nexus: Nexus, one: Arrival, item: Item) -> dict[str, float]:
    run_id = str(item.step("raw").run_id)
    record = nexus.instance.get_run_record_by_id(run_id)
    stats = nexus.instance.get_run_stats(run_id)
    told: dict[str, Any] = {
        "last byte": one.last_byte,
        # of what is added the command makes the item itself, before the last byte
        "item": None if one.how == "added" else at(item.created_at),
        "run made": record.create_timestamp.timestamp() if record else None,
        "queued": stats.enqueued_time,
        "launched": stats.launch_time,
        "run started": stats.start_time,
    }
    for step in STEPS:
        told[f"{step} starts"], told[f"{step} ends"] = at(item.step(step).started_at), at(item.step(step).ended_at)
    return {name: instant for name, instant in told.items() if instant is not None}


def main() -> None:
    """The parts in turn, then the table and the bars."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--singles", type=int, default=20)
    asked.add_argument("--burst", type=int, default=100)
    asked.add_argument("--backfill", type=int, default=300)
    asked.add_argument("--hops", action="store_true", help="also print where the seconds go")
    args = asked.parse_args()
    nexus = Nexus()
    try:
        rows, bars, told = measured(nexus, args)
    finally:
        nexus.close()
    for row in told if args.hops else ():
        print(f"{row['hop']:<32} p50 {row['p50']:6.3f}  p95 {row['p95']:6.3f}  max {row['max']:6.3f}")
    tell("arrival", rows, bars, hops=told)


if __name__ == "__main__":
    main()

"""What the chain costs beyond its steps: a run in a warm worker against a bare loop over the same Step functions.

Bars: at most 1.10 in CPU from 100 items on; the overhead of an item at 400 at most 0.02 CPU s above that at 100.
`python -m bench.overhead [10 100 400] [--rounds 3]`
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import dagster as dg
import psutil
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.launcher import LaunchRunContext

from bench.said import MODELS, ROOT, SPEECH, files
from bench.told import tell
from nexus_api.dagster_home import DagsterHome
from nexus_pipeline.domain.items import Kind, NewItem
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts

BATCH = 64


class Bare:
    """The loop, warm in a process of its own."""

    def __init__(self, home: Path) -> None:
        command = [sys.executable, "-m", "bench.bare", str(home)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def go(self, paths: list[Path]) -> dict[str, float]:
        self.process.stdin.write(json.dumps([str(p) for p in paths]) + "\n")
        self.process.stdin.flush()
        told = self.process.stdout.readline()
        if not told:
            sys.exit(f"the bare loop ended with {self.process.wait(30)}; why stands above")
        return json.loads(told)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)


class Chain:
    """The real one: catalog and archive on disk, Dagster's SQLite, runs through Celery in the embedded worker."""

    def __init__(self, home: Path) -> None:
        settings = Settings(home=home, speech=SPEECH, models=MODELS)
        self.parts = Parts(settings)
        at = DagsterHome(settings.root)
        at.write(code_port=0)
        dagster_home = at.folder
        env = {**os.environ, "NEXUS_HOME": str(home), "NEXUS_SPEECH": SPEECH, "NEXUS_MODELS": str(MODELS)}
        env |= {"DAGSTER_HOME": str(dagster_home), "OMP_NUM_THREADS": "1"}
        os.environ["DAGSTER_HOME"] = str(dagster_home)
        self.instance = dg.DagsterInstance.get()
        self.worker = subprocess.Popen(
            [sys.executable, "-m", "nexus_pipeline.worker", "bulk"], env=env, cwd=ROOT, stdout=sys.stderr
        )
        repository = ReconstructableRepository.for_module("nexus_pipeline.definitions", "defs", str(ROOT))
        self.job = repository.get_reconstructable_job("__ASSET_JOB")

    def _new(self, path: Path, tag: str) -> NewItem:
        key = f"{tag}-{path.name}"
        self.parts.inbox.put_file(key, path)
        origin = f"inbox:{key}@{self.parts.inbox.info(key).version}"
        kind = Kind.TEXT if path.suffix == ".srt" else None
        return NewItem(tag, origin, "inbox", path.stem, filename=path.name, inbox_key=key, kind=kind)

    def _launch(self, ids: list[str]) -> str:
        span = {"dagster/asset_partition_range_start": ids[0], "dagster/asset_partition_range_end": ids[-1]}
        tags = {"nexus/lane": "bulk", "dagster-celery/queue": "bulk", "dagster/sensor_name": "inbox", **span}
        run = self.instance.create_run_for_job(
            self.job.get_definition().get_subset(asset_selection={dg.AssetKey(s) for s in STEPS}),
            tags=tags,
            run_config={"ops": {"chain": {"config": {"items": ids}}}},
            job_code_origin=self.job.get_python_origin(),
            asset_selection=frozenset(dg.AssetKey(s) for s in STEPS),
        )
        self.instance.run_launcher.launch_run(LaunchRunContext(run, None))
        return run.run_id

    def go(self, paths: list[Path], tag: str) -> dict[str, float]:
        """One run over these items, from its launch to its end."""
        items = self.parts.catalog.add([self._new(path, tag) for path in paths])
        ids = [item.id for item in items]
        self.instance.add_dynamic_partitions("items", ids)
        began, before = time.monotonic(), self.cpu()
        run = self._launch(ids)
        until = time.monotonic() + 60 + 10 * len(paths)
        while time.monotonic() < until:
            # looking costs CPU, too: not the chain's, but beside it
            time.sleep(0.2)
            if self.instance.get_run_by_id(run).status in OVER:
                break
            if self.worker.poll() is not None:
                sys.exit(f"the chain's worker ended with {self.worker.returncode}; why stands above")
        took = {"wall": time.monotonic() - began, "cpu": self.cpu() - before}
        found = self.parts.catalog.find(ids)
        wrong = [i.id for i in found.values() if i.state != "done"]
        if wrong:
            sys.exit(f"{len(wrong)} of {len(ids)} items did not end done: {found[wrong[0]]}")
        return took

    def cpu(self) -> float:
        told = psutil.Process(self.worker.pid).cpu_times()
        return told.user + told.system + told.children_user + told.children_system

    def close(self) -> None:
        self.worker.terminate()
        self.worker.wait(30)


STEPS = ("raw", "fingerprint", "transcript", "speakers", "translation", "enrichment", "embedding")
OVER = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}


def main() -> None:
    """Rounds of slices, medians, bars."""
    told = argparse.ArgumentParser()
    told.add_argument("sizes", nargs="*", type=int, default=[10, 100, 400])
    told.add_argument("--rounds", type=int, default=3)
    args = told.parse_args()
    sizes = sorted(args.sizes)
    paths = files(sizes[-1] + 2)
    with contextlib.ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="bench-overhead-"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        bare = stack.enter_context(contextlib.closing(Bare(home / "bare")))
        chain = stack.enter_context(contextlib.closing(Chain(home / "chain")))
        bare.go(paths[-2:])
        chain.go(paths[-2:], "warm")
        rounds = [measure(sizes, r, paths, bare, chain) for r in range(args.rounds)]
    report([row(n, [told[n] for told in rounds], rounds) for n in sizes])


def slices(sizes: list[int]) -> list[tuple[int, int]]:
    """From item and to item: batches, cut at the sizes too."""
    cuts, at = [0], 0
    while at < sizes[-1]:
        at = min(at + BATCH, next(n for n in sizes if n > at))
        cuts.append(at)
    return list(pairwise(cuts))


def measure(sizes: list[int], r: int, paths: list[Path], bare: Bare, chain: Chain) -> dict[int, dict[str, float]]:
    """What the first n items took, for each size: the chain one batch, the bare loop the same batch, and so on.

    A machine's speed changes by half within minutes where others share it; of two batches side by side it is the same.
    """
    sums, at = dict.fromkeys(("wall", "cpu", "bare_wall", "bare_cpu"), 0.0), {}
    for a, b in slices(sizes):
        ours, theirs = chain.go(paths[a:b], f"round-{r}"), bare.go(paths[a:b])
        for name in ("wall", "cpu"):
            sums[name] += ours[name]
            sums[f"bare_{name}"] += theirs[name]
        print(f"round={r} items={a}..{b} chain={ours} bare={theirs}", file=sys.stderr, flush=True)
        if b in sizes:
            at[b] = dict(sums)
    return at


def row(n: int, told: list[dict[str, float]], rounds: list[dict[int, dict[str, float]]]) -> dict[str, float]:
    """Medians over the rounds; the overhead is told in seconds of this machine at its usual speed."""
    cpu = statistics.median(t["cpu"] / t["bare_cpu"] for t in told)
    wall = statistics.median(t["wall"] / t["bare_wall"] for t in told)
    base = statistics.median(t["bare_cpu"] / size for several in rounds for size, t in several.items())
    return {"items": n, "cpu_ratio": cpu, "wall_ratio": wall, "bare_cpu_s": base, "overhead_cpu_s": (cpu - 1) * base}


def report(rows: list[dict[str, float]]) -> None:
    by_n = {row["items"]: row for row in rows}
    bars = {f"cpu ratio at {n} <= 1.10": row["cpu_ratio"] <= 1.10 for n, row in by_n.items() if n >= 100}
    if {100, 400} <= set(by_n):
        grows = by_n[400]["overhead_cpu_s"] - by_n[100]["overhead_cpu_s"]
        bars["overhead of an item at 400 <= that at 100 + 0.02 CPU s"] = grows <= 0.02
    tell("overhead", rows, bars)


if __name__ == "__main__":
    main()

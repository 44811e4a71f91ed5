"""One API process under load: 200 event streams that hear every change, and searches that come when they come.

uvicorn as `nexus up` starts it, over an archive of 100,000 passages and a catalog of their items. First its saturation:
searches side by side, each after the one before, without streams, the best of several widths. Then for a minute: a
writer takes items through the chain's steps in the catalog, 20 changes a second, 200 streams listen, and searches
(hybrid, the real embedder) arrive by chance at half the rate of saturation; their time counts from when they were
due, whoever was late. Clients are a process of their own (`clients.py`), and so is the writer (this one).
Bars: each stream is told each change once and in order; p95 of a search at most 150 ms; no search fails; resident
memory at the end at most 5 % over that after a sixth of the time.
`python -m bench.api [--passages 100000] [--streams 200] [--seconds 60] [--changes 20]`
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.passages import World, kept, near, opened, world
from bench.said import DATA, ROOT
from bench.told import tell
from nexus_api.dagster_home import DagsterHome
from nexus_api.programs import environment, free_port, programs
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Item, NewItem
from nexus_pipeline.domain.states import State, StepStatus
from nexus_pipeline.machine import threads
from nexus_pipeline.ports import Catalog
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts

P95_MS, GROWTH = 150.0, 1.05
WIDTHS = (2, 4, 8, 16)
"""Searches side by side, while the saturation is looked for."""
QUESTIONS = 2000
READY_S, END_S = 60.0, 10.0
HOST = "127.0.0.1"
FORMAT = 2
"""Of what is kept; counts up when it changes in another way than the archive's columns."""


class Api:
    """The process under test: what `nexus up` starts for the API, and nothing else of it."""

    def __init__(self, settings: Settings) -> None:
        """Starts it and waits until it says that it can work."""
        self.port = free_port()
        home = DagsterHome(settings.root)
        told = environment(settings, f"http://{HOST}:{self.port}", threads(settings))
        clean = {k: v for k, v in told.items() if not k.startswith("NEXUS_") or k in {"NEXUS_HOME", "NEXUS_SITE"}}
        argv = programs(home, 0, 0, HOST, self.port)[-1].argv
        self._log = (settings.root / "api.log").open("w")
        self.process = subprocess.Popen(
            argv, env=clean, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )
        self.seen = psutil.Process(self.process.pid)
        until = time.monotonic() + READY_S
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > until:
                self.close()
                sys.exit(f"the API did not become ready:\n{(settings.root / 'api.log').read_text()[-3000:]}")
            time.sleep(0.1)

    def _ready(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with suppress(urllib.error.URLError, OSError):
            return bool(opener.open(f"http://{HOST}:{self.port}/health/ready", timeout=2).status == 200)
        return False

    def cpu_s(self) -> float:
        """Seconds that it has spent so far."""
        told = self.seen.cpu_times()
        return float(told.user + told.system)

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()


class Clients:
    """The process of `clients.py`."""

    def __init__(self, port: int, queries: Path) -> None:
        argv = [sys.executable, "-m", "bench.clients", HOST, str(port), str(queries)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)

    def ask(self, do: str, **how: Any) -> dict[str, Any]:
        """One thing to do, and what came of it."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"do": do, **how}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("the clients have ended")
        told: dict[str, Any] = json.loads(line)
        return told

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Writer(threading.Thread):
    """Takes one item after the other through the chain's steps, so many changes a second."""

    def __init__(self, catalog: Catalog, items: Sequence[Item], a_second: float) -> None:
        super().__init__(name="writer", daemon=True)
        self._catalog, self._items, self._every_s = catalog, items, 1.0 / a_second
        self.over = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        due = time.monotonic()
        try:
            for _ in self._changes():
                due += self._every_s
                if self.over.wait(max(0.0, due - time.monotonic())):
                    return
        except Exception as error:
            self.error = error

    def _changes(self) -> Iterator[None]:
        """A transaction that changes something, each time it is asked for the next."""
        for item in self._items:
            [held] = self._catalog.lease([item.id], "bench").values()
            for step in STEPS:
                self._catalog.begin(held, step, "bench", "bench")
                yield
                self._catalog.advance(held, step, "bench", 0.5)
                yield
                self._catalog.land(held, StepStatus(step, State.DONE, run_id="bench", progress=1.0, seconds=0.1))
                yield
            self._catalog.release("bench", [item.id])


class Memory(threading.Thread):
    """Resident megabytes of a process, once a second."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(name="memory", daemon=True)
        self._process = process
        self.over, self.mb = threading.Event(), [self._now()]

    def _now(self) -> float:
        return float(self._process.memory_info().rss) / 2**20

    def run(self) -> None:
        while not self.over.wait(1.0):
            self.mb.append(self._now())


def filled(settings: Settings, of: World) -> list[Item]:
    """The home's catalog and archive, the archive copied from what was written once."""
    told = str(opened(settings.root)._tables._schema)  # noqa: SLF001  columns may change: then it is written anew
    path = DATA / f"archive-api-{len(of.vectors)}-{hashlib.sha256(told.encode()).hexdigest()[:8]}-{FORMAT}"
    catalog = Parts(settings).catalog
    new = [NewItem("local", f"bench:{n}", "inbox", f"Talk {n}") for n in range(len(of.owners))]
    items = [item for at in range(0, len(new), 500) for item in catalog.add(new[at : at + 500])]
    passages = (replace(one, item=item) for one, item in zip(of.items(), items, strict=True))
    shutil.copytree(kept(path, passages, together=800), settings.root / "archive")  # care leaves one file all the same
    if (DATA / "home" / "cache").exists():  # the embedder's converted weights
        shutil.copytree(DATA / "home" / "cache", settings.root / "cache", dirs_exist_ok=True)
    return items


def questions(of: World, path: Path) -> Path:
    """Four words of a passage each."""
    draw = np.random.default_rng(45)
    rows = draw.integers(0, len(of.vectors), size=QUESTIONS)
    path.write_text(json.dumps([near(of, int(row), draw)[0] for row in rows]))
    return path


def p(values: Sequence[float], share: float) -> float:
    """A percentile."""
    return float(np.percentile(values, share)) if len(values) else float("nan")


def measured(api: Api, clients: Clients, catalog: Catalog, items: list[Item], args: argparse.Namespace) -> None:
    """Saturation, then the load; the table and the bars."""
    warm = clients.ask("saturate", side=2, seconds=max(2.0, args.seconds / 10))
    widths = []
    for side in WIDTHS:
        spent = api.cpu_s()
        widths.append(clients.ask("saturate", side=side, seconds=max(1.0, args.seconds / 6)))
        widths[-1]["cpu_ms"] = 1000 * (api.cpu_s() - spent) / max(1, widths[-1]["searches"])
    best = max(widths, key=lambda told: told["a_second"])
    rate = args.rate or best["a_second"] / 2
    after = catalog.changes_span()[1]
    listening = clients.ask("listen", streams=args.streams, after=after)["listening"]
    writer, memory = Writer(catalog, items, args.changes), Memory(api.seen)
    spent, own, began = api.cpu_s(), time.process_time(), time.monotonic()
    writer.start()
    memory.start()
    told = clients.ask("search", rate=rate, seconds=args.seconds, seed=46)
    took = time.monotonic() - began
    cores = {"api": (api.cpu_s() - spent) / took, "clients": told["cores"]}
    cores["writer"] = (time.process_time() - own) / took
    for one in (writer, memory):
        one.over.set()
        one.join()
    if writer.error:
        raise writer.error
    lines = [line.id for line in _all(catalog, after)]
    heard = clients.ask("heard", last=lines[-1], within_s=20.0)
    right = sum(one["streams"] for one in heard["sequences"] if one["ids"] == lines)
    early = memory.mb[min(len(memory.mb) - 1, max(1, round(args.seconds / 6)))]
    failed = {**warm["failed"], **best["failed"], **told["failed"]}
    rows = [
        {
            "searches": f"{one['side']} side by side",
            "a_second": one["a_second"],
            "cpu_ms": one["cpu_ms"],
            "cores_of_clients": one["cores"],
        }
        for one in widths
    ]
    rows.append(
        {
            "searches": "on schedule",
            "a_second": rate,
            "cores_of_clients": cores["clients"],
            "p50_ms": p(told["ms"], 50),
            "p95_ms": p(told["ms"], 95),
            "p99_ms": p(told["ms"], 99),
            "most_ms": max(told["ms"], default=0.0),
            "event_p95_ms": p(heard["delays_ms"], 95),
        }
    )
    bars = {
        f"{args.streams} streams are told all {len(lines)} changes once and in order": right == args.streams,
        f"p95 of a search from when it was due <= {P95_MS:.0f} ms": p(told["ms"], 95) <= P95_MS,
        "every search is answered with hits": not failed and not told["empty"],
        f"memory at the end <= {GROWTH:.2f} x that after a sixth of the time": memory.mb[-1] <= GROWTH * early,
    }
    tell(
        "api",
        rows,
        bars,
        passages=args.passages,
        streams=listening,
        streams_right=right,
        streams_resumed=heard["resumed"],
        changes=len(lines),
        saturates_a_second=best["a_second"],
        rate=rate,
        searches=len(told["ms"]),
        p95_ms=p(told["ms"], 95),
        late_p95_ms=p(told["late_ms"], 95),
        failed=failed,
        cores=cores,
        mb={"early": early, "end": memory.mb[-1], "most": max(memory.mb)},
        load=os.getloadavg()[0],
    )


def _all(catalog: Catalog, after: int) -> Iterator[Any]:
    while page := catalog.changes(after, 500):
        yield from page
        after = page[-1].id


def main() -> None:
    """A home, the processes, the load, and nothing left."""
    wanted = argparse.ArgumentParser()
    wanted.add_argument("--passages", type=int, default=100_000)
    wanted.add_argument("--streams", type=int, default=200)
    wanted.add_argument("--seconds", type=float, default=60.0)
    wanted.add_argument("--changes", type=float, default=20.0, help="a second")
    wanted.add_argument("--rate", type=float, help="searches a second, instead of half of what saturates it")
    args = wanted.parse_args()
    DATA.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-api-"))
    settings = Settings(home=folder / "home", _env_file=None)
    settings.root.mkdir()
    api = clients = None
    try:
        of = world(args.passages)
        items = filled(settings, of)
        api = Api(settings)
        print(f"the API is process {api.process.pid}", file=sys.stderr, flush=True)
        clients = Clients(api.port, questions(of, folder / "questions.json"))
        measured(api, clients, Parts(settings).catalog, items, args)
    finally:
        for one in (clients, api):
            if one is not None:
                one.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

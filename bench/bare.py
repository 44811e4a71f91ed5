"""The loop to compare with: the very same `Step` functions, the same widths, memory blobs, and nothing else.

No flow, no catalog, no archive, no Dagster. Started as a process of its own by `bench.overhead`; prints a JSON line
for each batch that it is told on stdin.
"""

import json
import queue
import resource
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from bench.said import MODELS, SPEECH
from nexus_pipeline.domain.items import Item, item_id
from nexus_pipeline.domain.states import State, StepStatus
from nexus_pipeline.flow import GATHER, GATHER_S
from nexus_pipeline.machine import widths
from nexus_pipeline.settings import Settings
from nexus_pipeline.steps import CHAIN
from nexus_pipeline.steps.step import Step, kept
from nexus_pipeline.wiring import Parts

DOING = tuple(step for step in CHAIN if step.name not in {"speakers", "translation"})
"""Without those that are skipped until a person switches them on."""


class NoCatalog:
    """Knows nothing, remembers nothing."""

    def fingerprinted(self, *_): ...
    def first_of(self, *_): ...
    def candidates(self, *_, **__):
        return []

    def related(self, *_):
        return []

    def relate(self, *_): ...
    def find(self, *_):
        return {}


class NoArchive:
    """Takes rows and drops them."""

    def replace(self, *_): ...
    def remove(self, *_): ...


@dataclass
class Work:
    """One item at one step, without anybody to tell."""

    item: Item
    step: str
    version_key: str
    redo: bool = True
    temporary: list = field(default_factory=list)

    @cached_property
    def folder(self) -> Path:
        self.temporary.append(tempfile.TemporaryDirectory())
        return Path(self.temporary[0].name)

    def progress(self, *_, **__): ...
    def cancelled(self) -> bool:
        return False


def parts_for(home: Path) -> Parts:
    parts = Parts(Settings(home=home, blobs="memory://", inbox="memory://", speech=SPEECH, models=MODELS))
    parts.__dict__["catalog"], parts.__dict__["archive"] = NoCatalog(), NoArchive()
    return parts


def landed(step: Step, works: list[Work], parts: Parts) -> list[Item]:
    """Do the step, keep its results, and the items as they are then."""
    out = []
    for one in step.run(works, parts):
        key = one.work.item.key(step.name, f"{one.work.version_key}.json")
        parts.blobs.put(key, kept(one))
        status = StepStatus(step.name, one.state, reason=one.reason, version_key=one.work.version_key, blob=key)
        steps = (*one.work.item.steps, status)
        # some facts are for other tables of the catalog
        facts = {name: value for name, value in one.facts.items() if hasattr(one.work.item, name)}
        out.append(replace(one.work.item, steps=steps, **facts))
        assert one.state is State.DONE, (step.name, one.reason)
        for folder in one.work.temporary:
            folder.cleanup()
    return out


def go(names: list[str], parts: Parts) -> None:
    """All items through all steps: a queue between each two, threads as wide as the chain's pools."""
    now = datetime.now(UTC)
    wide = widths(parts.settings)
    queues = [queue.Queue() for _ in range(len(DOING) + 1)]
    for name in names:
        path = Path(name)
        parts.inbox.put_file(path.name, path)
        ident = item_id("local", str(path))
        queues[0].put(
            Item(
                ident,
                "local",
                1,
                path.stem,
                "inbox",
                "none",
                f"inbox:{path.name}@{parts.inbox.info(path.name).version}",
                now,
                now,
                filename=path.name,
                inbox_key=path.name,
            )
        )
    threads = [
        threading.Thread(target=worker, args=(step, queues[n], queues[n + 1], queues[-1], parts), daemon=True)
        for n, step in enumerate(DOING)
        for _ in range(wide[step.name])
    ]
    for thread in threads:
        thread.start()
    for _ in names:
        ended = queues[-1].get(timeout=600)
        if isinstance(ended, Exception):
            raise ended
    for n, step in enumerate(DOING):
        for _ in range(wide[step.name]):
            queues[n].put(None)


def worker(step: Step, coming: queue.Queue, going: queue.Queue, end: queue.Queue, parts: Parts) -> None:
    try:
        until_told(step, coming, going, parts)
    except Exception as error:
        end.put(error)


def until_told(step: Step, coming: queue.Queue, going: queue.Queue, parts: Parts) -> None:
    while True:
        items = [coming.get()]
        until = time.monotonic() + GATHER_S
        while step.gathers and items[-1] is not None and len(items) < GATHER and time.monotonic() < until:
            try:
                items.append(coming.get(timeout=0.3))
            except queue.Empty:
                break
        works = [Work(item, step.name, step.key(item, parts)) for item in items if item is not None]
        for item in landed(step, works, parts) if works else ():
            going.put(item)
        if None in items:
            return


def cpu() -> float:
    """CPU seconds of this process and of the children it has waited for."""
    mine, theirs = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


if __name__ == "__main__":
    made = parts_for(Path(sys.argv[1]))
    for line in sys.stdin:
        began, before = time.monotonic(), cpu()
        go(json.loads(line), made)
        print(json.dumps({"wall": time.monotonic() - began, "cpu": cpu() - before}), flush=True)

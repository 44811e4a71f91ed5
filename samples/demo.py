"""The whole way in a home of its own: samples into the inbox, their steps, a search for each planted sentence.

`python -m samples.demo` exits 0 only if every sample ended as its script says and every search found its moment.
The person's archive is never touched: no NEXUS_* variable and no `.env` is read.
"""

import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.states import ItemState, Skipped, State
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts
from samples.make import Sample, make
from samples.nexus import Failed, bare_environment, nexus, up
from samples.scripts import MODEL
from samples.watch import Watch

LIMIT_S = 300.0
"""All samples are heard in about a minute on two cores."""
LOOK_S = 0.3
NEAR_S = 1.0
"""How far the hit's seconds may lie from where the sentence was spoken: what is heard begins in its pause."""


def main() -> int:
    """Everything; the exit code."""
    for name in os.environ.keys() - bare_environment().keys():
        del os.environ[name]
    folder = Path(tempfile.mkdtemp(prefix="nexus-demo-"))
    try:
        samples = make()
        wrong = _demo(samples, folder)
    except (Failed, RuntimeError) as error:
        wrong = [str(error)]
    if wrong:
        print("\n".join(["", *(f"WRONG: {line}" for line in wrong), f"Its home is kept in {folder}"]))
        return 1
    shutil.rmtree(folder)
    print("\nAll samples ended as expected and every search found its moment.")
    return 0


def _demo(samples: Sequence[Sample], folder: Path) -> list[str]:
    """What was not as expected."""
    environment = {
        **bare_environment(),
        "NEXUS_HOME": str(folder / "home"),
        "NEXUS_SPEECH": f"faster-whisper:{MODEL.name}",
        "NEXUS_MODELS": str(MODEL.parent),
    }
    parts = Parts(Settings(home=folder / "home", _env_file=None))
    port, dagster_port = (str(port) for port in _free_ports(2))
    output = folder / "nexus-up.log"
    # in that folder no .env is found
    up_there = up("--port", port, "--dagster-port", dagster_port, environment=environment, folder=folder, output=output)
    with up_there as child:
        print(f"nexus up: Dagster's UI at http://127.0.0.1:{dagster_port} while this runs")
        watch = Watch(parts.catalog, samples)
        until = time.monotonic() + LIMIT_S
        waiting = list(samples)
        while (waiting or not watch.ended()) and time.monotonic() < until:
            if child.poll() is not None:
                raise Failed(f"`nexus up` ended by itself:\n{_tail(output)}")
            waiting = _drop(waiting, parts, watch)
            _show(watch)
            time.sleep(LOOK_S)
        _show(watch)
        items = watch.items()
        found = {s.path.name: _search(s, items, environment, folder) for s in samples if s.planted}
    return _table(samples, items, found)


def _show(watch: Watch) -> None:
    for line in watch.look():
        print(line, flush=True)


def _drop(samples: Sequence[Sample], parts: Parts, watch: Watch) -> list[Sample]:
    """Put them into the inbox; copies of what is no item yet are left for later, for the older item is the first."""
    there = watch.items().keys()
    ready = [s for s in samples if s.copy_of is None or s.copy_of in there]
    for sample in ready:
        parts.inbox.put_file(sample.path.name, sample.path)
        print(f"  {sample.path.name} is in the inbox: {sample.kind}")
    return [s for s in samples if s not in ready]


def _search(sample: Sample, items: dict[str, Item], environment: dict[str, str], folder: Path) -> str:
    """Where the best hit lies, when it is the planted sentence; empty otherwise."""
    if sample.planted is None or sample.path.name not in items:
        return ""
    told = nexus("search", sample.planted.query, "--limit", "3", environment=environment, folder=folder)
    start_s, end_s = sample.planted_at_s()
    for hit in told["hits"][:1]:
        holds = hit["start_s"] <= start_s + NEAR_S and hit["end_s"] >= end_s - NEAR_S
        if hit["item_id"] == items[sample.path.name].id and holds:
            return f"{hit['start_s']:.1f} to {hit['end_s']:.1f} s, spoken at {start_s:.1f}"
    return ""


def _table(samples: Sequence[Sample], items: dict[str, Item], found: dict[str, str]) -> list[str]:
    """Print how each ended; what is wrong."""
    print(f"\n{'sample':<32} {'expected':<10} {'ended':<10} search")
    wrong = []
    for sample in samples:
        name = sample.path.name
        item = items.get(name)
        ended = item.state.value if item else "missing"
        searched = f"{sample.planted.query!r}: {found[name] or 'NOT FOUND'}" if sample.planted else ""
        print(f"{name:<32} {sample.expect:<10} {ended:<10} {searched}".rstrip())
        if item is None or not _as_expected(sample, item, items):
            wrong.append(f"{name} ended as {ended}, expected {sample.expect}{_why(item)}")
        if sample.planted and not found[name]:
            wrong.append(f"{name}: searching {sample.planted.query!r} did not find {sample.planted.says!r}")
    return wrong


def _as_expected(sample: Sample, item: Item, items: dict[str, Item]) -> bool:
    transcript = item.step("transcript")
    match sample.expect:
        case "duplicate":
            first = items.get(sample.copy_of or "")
            return item.state is ItemState.DUPLICATE and first is not None and item.duplicate_of == first.id
        case "silent":
            skipped = transcript.state is State.SKIPPED and transcript.reason == Skipped.SILENCE
            return item.state is ItemState.DONE and skipped
        case _:
            return item.state is ItemState.DONE and transcript.state is State.DONE


def _why(item: Item | None) -> str:
    steps = item.steps if item else ()
    told = [f"{s.step} {s.state}: {s.error_message or s.reason}" for s in steps if s.error_message or s.reason]
    return f" ({'; '.join(told)})" if told else ""


def _free_ports(count: int) -> list[int]:
    """Loopback ports on which nobody listens now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _tail(path: Path, lines: int = 20) -> str:
    return "\n".join(path.read_text("utf-8", "replace").splitlines()[-lines:])


if __name__ == "__main__":
    sys.exit(main())

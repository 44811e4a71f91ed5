"""`--wait`: until items have ended, with each step shown as it lands."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nexus_api.cli.printing import Bar, bar, note

if TYPE_CHECKING:
    from nexus_api.cli.opening import Nexus
    from nexus_api.shown import Json

NOBODY_S = 10.0
"""After so long without a step having begun it says that nobody seems to work."""
ENDED = {"done", "duplicate", "failed", "cancelled", "blocked"}
FINE = {"done", "duplicate"}
LANDED = {"done", "skipped", "failed", "blocked", "cancelled"}


def until_ended(nexus: "Nexus", ids: Sequence[str]) -> list[str]:
    """Until all have ended or are gone; what went wrong with each that did not end well."""
    waiting = _Waiting(ids)
    with bar("waiting", len(ids)) as shown:
        for _ in nexus.looks():
            waiting.see(nexus.find(waiting.open_ids), shown)
            if not waiting.open_ids:
                break
    return [what_failed(item) for item in waiting.ended if item["state"] not in FINE]


class _Waiting:
    """What has been seen so far."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.open_ids = list(ids)
        self.ended: list[Json] = []
        self._many, self._began, self._warned = len(ids), time.monotonic(), False
        self._landed: set[tuple[str, str, int]] = set()
        self._first = True

    def see(self, items: "Sequence[Json]", shown: Bar) -> None:
        """The open ones as they are now; those that are gone are open no more."""
        for item in items:
            self._steps(item, shown)
        self._first = False
        running = [item for item in items if item["state"] not in ENDED]
        self.ended += [item for item in items if item["state"] in ENDED]
        self.open_ids = [item["id"] for item in running]
        shown.show(self._many - len(running) + sum(map(_share, running)), _now(running))
        late = time.monotonic() - self._began > NOBODY_S
        if late and not self._warned and items and not any(_begun(item) for item in items):
            self._warned = True
            note("Nothing has begun yet: is `nexus up` running?")

    def _steps(self, item: "Json", shown: Bar) -> None:
        """A line for each step that has landed since; what had before is not told."""
        for step in item["steps"]:
            key = (item["id"], step["step"], step["attempt"])
            if step["state"] not in LANDED or key in self._landed:
                continue
            self._landed.add(key)
            if not self._first:
                shown.landed(f"{item['title'][:40]}: {_outcome(step)}")


def _outcome(step: "Json") -> str:
    seconds = f" in {step['seconds']:.1f} s" if step["seconds"] is not None and step["state"] == "done" else ""
    why = (step["error"] or {}).get("message") or step["reason"]
    return f"{step['step']} {step['state']}{seconds}" + (f" ({why})" if why else "")


def _share(item: "Json") -> float:
    """How much of the item is done, 0 to 1: steps count alike."""
    done = {"done": 1.0, "skipped": 1.0}
    return float(sum(done.get(step["state"], step["progress"]) for step in item["steps"]) / len(item["steps"]))


def _begun(item: "Json") -> bool:
    return any(step["attempt"] for step in item["steps"])


def _now(running: "Sequence[Json]") -> str:
    """What goes on, of the first item that is being worked on."""
    for item in running:
        for step in item["steps"]:
            if step["state"] == "running":
                phase = f", {step['phase']}" if step["phase"] else ""
                return f"{item['title'][:40]}: {step['step']}{phase} {step['progress']:.0%}"
    return f"{len(running)} waiting"


def what_failed(item: "Json") -> str:
    """Which step it was, and why."""
    for step in item["steps"]:
        if step["state"] in {"failed", "blocked", "cancelled"}:
            why = step["error"]["message"] if step["error"] else step["reason"]
            return f"{item['id']}: {step['step']} is {step['state']}" + (f": {why}" if why else "")
    return f"{item['id']} is {item['state']}"

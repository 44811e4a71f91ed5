"""What a step is: what it reads, what it does, how it lands. Steps know ports, never vendors, never Dagster."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from nexus_pipeline.domain import errors
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.states import Skipped, State
from nexus_pipeline.versions import version_key
from nexus_pipeline.wiring import Parts


class Work(Protocol):
    """One item's turn at one step, as `flow` hands it out."""

    item: Item
    step: str
    version_key: str
    redo: bool
    """A person wants it done again: nothing that was kept may be taken instead."""

    @property
    def folder(self) -> Path:
        """Scratch space of this turn, emptied afterwards."""

    def progress(self, fraction: float, phase: str | None = None, *, heard: int | None = None) -> None:
        """How far it is, 0 to 1; told to the catalog at most once a second, a window that was heard at once."""

    def cancelled(self) -> bool:
        """Whether to stop: asked by a person, the lease is lost, or the run ends."""


@dataclass(frozen=True)
class Landed:
    """What a step says of one item. `facts` go onto the item's row, `numbers` to Dagster's plots.

    With an `error` it has failed; a `result` beside it is what it could make, and stands until it is done again.
    """

    work: Work
    result: Any = None
    state: State = State.DONE
    reason: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    error: errors.NexusError | None = None
    engine: str | None = None
    kept: bool = False
    """Its result lies among the blobs already: a run before this one died before it could say so."""


@dataclass(frozen=True)
class Step:
    """One asset of the chain."""

    name: str
    code_version: str
    run: Callable[[Sequence[Work], Parts], Iterator[Landed]]
    """Lands every item that it was handed, in any order; what it does not land failed with what it raised."""
    needs: tuple[str, ...] = ()
    """Steps whose results it reads: without them it does not run."""
    wants: tuple[str, ...] = ()
    """Steps whose results it reads when they are there: it waits until they have landed or failed."""
    after: tuple[str, ...] = ()
    """Steps that it waits for and does not read: their versions do not make it stale."""
    parameters: Callable[[Item, Parts], Mapping[str, str]] = lambda _item, _parts: {}
    """Engine, model and parameters: part of the version key."""
    skip: Callable[[Item, Parts], Skipped | None] = lambda _item, _parts: None
    """Why this item does not take this step, if so."""
    gathers: bool = False
    """Items are gathered and handed over together."""
    adopts: bool = True
    """A finished blob with the wanted key is taken as the result without running."""
    follows: bool = False
    """Words stand in its result that people change at any time: what they change while it runs, it takes up again."""
    description: str = ""
    kinds: tuple[str, ...] = ()
    """What Dagster's UI shows as kinds."""

    @property
    def upstream(self) -> tuple[str, ...]:
        """All that comes right before it, as Dagster's graph shows it."""
        return (*self.needs, *self.wants, *self.after)

    def key(self, item: Item, parts: Parts) -> str:
        """The version key of this step's result for this item by today's settings."""
        # what is switched off is not there: a step that came later makes nothing stale until it is switched on
        wanted = [name for name in self.wants if item.step(name).state is not State.SKIPPED]
        inputs = [(name, item.step(name).version_key) for name in (*self.needs, *wanted)]
        return version_key(self.name, self.code_version, self.parameters(item, parts), inputs)


def one_by_one(do: Callable[[Work, Parts], Landed]) -> Callable[[Sequence[Work], Parts], Iterator[Landed]]:
    """A step's `run` from a function of one item."""

    def run(works: Sequence[Work], parts: Parts) -> Iterator[Landed]:
        for work in works:
            yield do(work, parts)

    return run


# ---------------------------------------------------------------- results as blobs


def kept(landed: Landed) -> bytes:
    """A result as the JSON that is kept: with all that landing it again takes."""
    told = {
        "v": 1,
        "state": landed.state,
        "reason": landed.reason,
        "engine": landed.engine,
        "facts": dict(landed.facts),
        "numbers": dict(landed.numbers),
        "result": asdict(landed.result) if is_dataclass(landed.result) else landed.result,  # type: ignore[arg-type]
    }
    return json.dumps(told, ensure_ascii=False, default=_plain).encode()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    msg = f"a result may not hold {type(value).__name__}"
    raise TypeError(msg)


def adopted(work: Work, data: bytes) -> Landed:
    """The landing that was kept; its result stays in its blob."""
    told = json.loads(data)
    facts = told["facts"]
    if facts.get("published_at"):
        facts["published_at"] = datetime.fromisoformat(facts["published_at"])
    return Landed(
        work,
        state=State(told["state"]),
        reason=told["reason"],
        facts=facts,
        numbers=told["numbers"],
        engine=told["engine"],
        kept=True,
    )


def silent(item: Item, _parts: Parts) -> Skipped | None:
    """Steps after the transcript are skipped for the reason for which it was, and of a copy in any case."""
    if item.duplicate_of:
        return Skipped.DUPLICATE
    transcript = item.step("transcript")
    return Skipped(transcript.reason) if transcript.state is State.SKIPPED and transcript.reason else None

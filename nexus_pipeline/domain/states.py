"""The states of steps and items, and the one table of transitions between them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """Of a step; an item's state is one of these or `duplicate`."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"


class ItemState(StrEnum):
    """Derived from an item's steps by `item_state`; never set."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DUPLICATE = "duplicate"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"


class Skipped(StrEnum):
    """Why a step is skipped."""

    DUPLICATE = "duplicate"
    NO_AUDIO = "no_audio"
    SILENCE = "silence"
    NO_PICTURES = "no_pictures"
    SWITCHED_OFF = "switched_off"
    SAME_LANGUAGE = "same_language"


class Blocked(StrEnum):
    """Why a step is blocked; looked at again."""

    BUDGET = "budget"
    ENGINE_DOWN = "engine_down"
    MODEL_MISSING = "model_missing"


_W, _R, _D, _F, _S, _B, _C = State

TRANSITIONS: dict[State, frozenset[State]] = {
    # done straight from waiting: a finished blob with the wanted key is adopted
    _W: frozenset({_R, _D, _S, _F, _B, _C}),
    # back to waiting: the run gave the item up, or died
    _R: frozenset({_D, _F, _S, _B, _C, _W}),
    _D: frozenset({_W, _R, _S}),
    _F: frozenset({_W, _R, _C}),
    _S: frozenset({_W, _R, _D}),
    _B: frozenset({_W, _R, _C, _F}),
    _C: frozenset({_W, _R}),
}


@dataclass(frozen=True, slots=True)
class StepStatus:
    """What the catalog knows of one step of one item; the contract's step."""

    step: str
    state: State = State.WAITING
    reason: str | None = None
    phase: str | None = None
    version_key: str | None = None
    blob: str | None = None
    engine: str | None = None
    attempt: int = 0
    error_code: str | None = None
    error_message: str | None = None
    retryable: bool = False
    next_attempt_at: datetime | None = None
    progress: float = 0.0
    seconds: float | None = None
    cost: float | None = None
    run_id: str | None = None
    root_run_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


def may_become(old: State, new: State) -> bool:
    """Whether the table allows it; staying the same is always allowed."""
    return old == new or new in TRANSITIONS[old]


def rests(steps: Iterable[StepStatus], by: datetime) -> bool:
    """Whether nothing of an item runs, waits for its run, is blocked (looked at again every minute) or due until then.

    Steps behind a failed or cancelled one do not run before that one does.
    """
    steps = tuple(steps)
    states = {s.state for s in steps}
    if states & {State.RUNNING, State.BLOCKED}:
        return False
    if any(s.state is State.FAILED and s.next_attempt_at is not None and s.next_attempt_at <= by for s in steps):
        return False
    return bool(states & {State.FAILED, State.CANCELLED}) or State.WAITING not in states


def item_state(steps: Iterable[StepStatus], *, duplicate: bool = False) -> ItemState:
    """The item's state by the contract: running, cancelled, failed (and nothing due), blocked, done, waiting."""
    steps = tuple(steps)
    states = {s.state for s in steps}
    if State.RUNNING in states:
        return ItemState.RUNNING
    if State.CANCELLED in states:
        return ItemState.CANCELLED
    if any(s.state is State.FAILED and s.next_attempt_at is None for s in steps):
        return ItemState.FAILED
    if State.BLOCKED in states:
        return ItemState.BLOCKED
    if steps and states <= {State.DONE, State.SKIPPED}:
        return ItemState.DUPLICATE if duplicate else ItemState.DONE
    return ItemState.WAITING

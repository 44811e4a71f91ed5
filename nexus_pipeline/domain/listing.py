"""What the catalog answers besides items: pages, changes, asks, leases."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.states import ItemState
from nexus_pipeline.domain.timeline import ActionItem


@dataclass(frozen=True, slots=True)
class ItemQuery:
    """A listing, newest first or by title; `cursor` is opaque and survives inserts."""

    owner: str | None = None
    states: tuple[ItemState, ...] = ()
    tag: str | None = None
    source: str | None = None
    platform: str | None = None
    kind: str | None = None
    language: str | None = None
    category: str | None = None
    sentiment: str | None = None
    exhausted: bool | None = None
    """Whether a step has failed for a reason that might have passed, and is tried no more by itself."""
    ids: tuple[str, ...] = ()
    """Whole ids, or what they begin with: any of them."""
    q: str | None = None
    sort: str = "created_at"
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some items and where to go on; None at the end."""

    items: tuple[Item, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """One line of `changes`: what event streams send.

    `kind` is `step`, `item` (state new, changed, erased) or `segments` (`phase`: the number of a window now heard).
    """

    id: int
    item_id: str
    kind: str
    step: str | None
    state: str
    phase: str | None
    progress: float
    at: datetime
    owner: str
    """The item's; its tombstone keeps it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a person wants done to items: `ask` is retry, rerun, cancel or unlink; carried out by a sensor."""

    id: int
    ask: str
    item_id: str
    from_step: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """Who works on an item, and when it was last heard of."""

    item_id: str
    run_id: str
    gen: int
    beat_at: datetime


@dataclass(frozen=True, slots=True)
class StepCount:
    """How many items are in this state of this step; `error_code` where it failed."""

    step: str
    state: str
    error_code: str | None
    count: int


@dataclass(frozen=True, slots=True)
class LaneCount:
    """Items of a lane that a run holds, and that wait for one."""

    lane: str
    running: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How an owner's items stand. `open` leaves out what is done or skipped; `bytes` is as fetched."""

    items: Mapping[str, int]
    open: tuple[StepCount, ...]
    lanes: tuple[LaneCount, ...]
    bytes: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """What became searchable since an instant."""

    items: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class Used:
    """What an owner has here: items, their bytes as fetched, their seconds."""

    items: int
    bytes: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many steps of a kind wait or run in a lane, whoever owns the items."""

    lane: str
    step: str
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class Promise:
    """An action item with the item in which it was said."""

    item_id: str
    title: str
    action_item: ActionItem


@dataclass(frozen=True, slots=True)
class Promises:
    """Some action items and where to go on; None at the end."""

    items: tuple[Promise, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What went with an erased item: numbers only. `at` is None until nothing of it is left in any store."""

    item_id: str
    owner: str
    blobs: int
    rows: int
    passages: int
    versions: int
    """Older versions of the archive's tables that may have held its passages."""
    marks: Mapping[str, int] | None
    """From which version on each table of the archive is clean; None until that was seen to."""
    buried_at: datetime
    purged_at: datetime | None
    at: datetime | None

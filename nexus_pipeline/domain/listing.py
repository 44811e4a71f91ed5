"""What the catalog answers besides items: pages, changes, asks, leases."""

from dataclasses import dataclass
from datetime import datetime

from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.states import ItemState


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
    """One line of `changes`: what event streams send. `kind` is `step` or `item` (state new, changed, erased)."""

    id: int
    item_id: str
    kind: str
    step: str | None
    state: str
    phase: str | None
    progress: float
    at: datetime


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

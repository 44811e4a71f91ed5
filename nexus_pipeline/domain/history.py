"""What people have searched for, and what one may be offered while one types."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A title, a tag or a speaker; `item_id` is an item that has it."""

    kind: str
    text: str
    item_id: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A hit of a search that somebody opened."""

    item_id: str
    start_s: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Searched:
    """A search that somebody made, how many passages it found, and which hits were opened."""

    id: int
    query: str
    mode: str
    filters: Mapping[str, Any]
    hits: int
    took_ms: float
    opened_count: int
    """Of items that are erased since, too."""
    at: datetime
    opened: tuple[Opened, ...] = ()


@dataclass(frozen=True, slots=True)
class Searches:
    """Some searches, the newest first, and where to go on; None at the end."""

    items: tuple[Searched, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Frequent:
    """The same words searched for several times: how often, and how often a hit was opened; the rest is the last's."""

    query: str
    count: int
    opened: int
    hits: int
    at: datetime

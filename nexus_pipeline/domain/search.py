"""A search and what it finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Query:
    """A search. `filters`: field -> value, list of values, or {"gte", "lt"}; fields are the archive's columns."""

    text: str
    mode: str = "hybrid"
    filters: Mapping[str, Any] = field(default_factory=dict)
    limit: int = 10
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """A found passage; `highlights` are [from, to) offsets of characters in `text`."""

    item_id: str
    kind: str
    start_s: float
    end_s: float
    text: str
    highlights: tuple[tuple[int, int], ...]
    speaker: str | None
    language: str | None
    tags: tuple[str, ...]
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """Hits in order, best first. `total` counts the fused top 1,000; `total_is_bound` when there may be more."""

    hits: tuple[Hit, ...]
    total: int
    total_is_bound: bool
    facets: Mapping[str, Mapping[str, int]]

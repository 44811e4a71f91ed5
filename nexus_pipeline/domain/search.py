"""A search and what it finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class Query:
    """A search.

    `filters`: field -> value, list of values, or {"gte", "lt"}; fields are those of archive.filters. `merge`: passages
    that follow one another and are both found are one hit. `group`: None, or `item`: the best hits of an item together;
    limit and offset then count items. `today`: the day on which it is asked, in UTC; without it `text` tells no dates.
    `entitled`: the items whose titles `text` names, and how surely, 0 to 1.
    """

    text: str
    mode: str = "hybrid"
    filters: Mapping[str, Any] = field(default_factory=dict)
    limit: int = 10
    offset: int = 0
    merge: bool = False
    group: str | None = None
    today: date | None = None
    entitled: Mapping[str, float] = field(default_factory=dict)


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
class Group:
    """The best hits of an item, best first, and how many more there are."""

    item_id: str
    hits: tuple[Hit, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Found:
    """Hits in order, best first. `total` counts the fused top 1,000; `total_is_bound` when there may be more.

    Grouped, `hits` are the best of each group, and `groups` have all of them.
    """

    hits: tuple[Hit, ...]
    total: int
    total_is_bound: bool
    facets: Mapping[str, Mapping[str, int]]
    groups: tuple[Group, ...] | None = None


@dataclass(frozen=True, slots=True)
class Near:
    """An item that says the like of another one: `likeness` is the cosine of what both say on the whole."""

    item_id: str
    likeness: float

    @property
    def rank(self) -> tuple[int, float, str]:
        """Its place in a list, the least first: the most alike."""
        return 0, -self.likeness, self.item_id

"""Rows to items and steps, and back: the one place that knows both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, TypeVar

import sqlalchemy as sa

from nexus_pipeline.catalog.tables import item_steps, items, storable
from nexus_pipeline.domain.errors import StoreError
from nexus_pipeline.domain.items import Item, Kind, NewItem, Priority
from nexus_pipeline.domain.states import State, StepStatus

CHUNK = 500
"""Values in one IN; SQLite before 3.32 allowed 999, and a longer list is not faster."""

LOST_AFTER_S = 600.0
"""A run that was asked for and has not taken its items for so long is lost."""
YOUNG_S = 30.0
"""So long has whoever adds an item to ask for its run."""

TITLE_KEY = 200
"""Characters of a title that are sorted by and looked into; PostgreSQL indexes at most 2,704 bytes."""

ITEM_NAMES = tuple(f.name for f in fields(Item) if f.name in items.c)
ITEM_COLUMNS = tuple(items.c[name] for name in ITEM_NAMES)
STEP_NAMES = tuple(f.name for f in fields(StepStatus))
STEP_COLUMNS = (item_steps.c.item_id, *(item_steps.c[name] for name in STEP_NAMES))

_NEW = ("id", *(f.name for f in fields(NewItem) if f.name in ITEM_NAMES))

FACTS = frozenset({
    "title", "filename", "platform", "kind", "bytes", "duration_s", "width", "height", "fps", "channels", "language",
    "author", "description", "published_at", "tags", "digest", "summary", "category", "sentiment", "inbox_key",
    "sidecar_key", "sidecar_digest", "duplicate_of", "duplicate_offset_s",
})  # fmt: skip
"""What a step may say of an item when it lands."""

DECIDED = frozenset({"duplicate_of", "duplicate_offset_s"})
"""What `link` has decided in a transaction of its own: what a step says of it is older and is left out."""

EDITABLE = frozenset({
    "title", "tags", "language", "prompt", "vocabulary", "engines", "priority", "unique", "sidecar_key",
})  # fmt: skip
"""What a person may change of an item."""


T = TypeVar("T")


def chunks(many: Sequence[T]) -> Iterator[Sequence[T]]:
    """Slices of at most CHUNK."""
    return (many[start : start + CHUNK] for start in range(0, len(many), CHUNK))


def to_item(row: sa.Row[Any], steps: tuple[StepStatus, ...], speakers: dict[str, str]) -> Item:
    """A row of ITEM_COLUMNS, with what stands of it in other tables."""
    told = dict(zip(ITEM_NAMES, row, strict=True))
    if told["kind"] is not None:
        told["kind"] = Kind(told["kind"])
    told["tags"] = tuple(told["tags"])
    told["vocabulary"] = tuple(told["vocabulary"] or ())
    told["priority"] = Priority(told["priority"])
    return Item(**told, steps=steps, speakers=speakers)


def to_status(row: sa.Row[Any]) -> StepStatus:
    """A row of STEP_COLUMNS, which begins with the item's id."""
    step, state, *rest = row[1:]
    return StepStatus(step, State(state), *rest)


def step_values(item_id: str, status: StepStatus) -> dict[str, Any]:
    """All of a step's row."""
    told = {name: getattr(status, name) for name in STEP_NAMES}
    return {"item_id": item_id, **told, "state": status.state.value}


def title_key(title: str) -> str:
    """What a title is sorted and found by: without case, cut."""
    return storable(title).casefold()[:TITLE_KEY]


def titled(new: NewItem) -> bool:
    """Whether a person gave the title: it is neither empty, nor the address, nor the file's name."""
    names = {"", new.origin, new.filename or "", PurePosixPath(new.filename or "").stem}
    return new.title not in names and not new.title.startswith(("http://", "https://"))


def new_values(new: NewItem, gen: int, at: datetime) -> dict[str, Any]:
    """All of a new item's row; what steps find out is None, also where a tombstone's row is used again."""
    told = dict.fromkeys(ITEM_NAMES) | {name: getattr(new, name) for name in _NEW}
    return told | {
        "gen": gen,
        "state": State.WAITING.value,
        "kind": None if new.kind is None else new.kind.value,
        "title_key": title_key(new.title),
        "titled": titled(new),
        "tags": list(dict.fromkeys(new.tags)),
        "vocabulary": list(new.vocabulary),
        "engines": dict(new.engines),
        "priority": new.priority.value,
        "duplicate_offset_s": 0.0,
        "unique": False,
        "created_at": at,
        "updated_at": at,
        "requested_at": at - timedelta(seconds=LOST_AFTER_S - YOUNG_S),
    }


def fact_values(facts: Mapping[str, Any], item: Item, *, titled: bool) -> dict[str, Any]:
    """What a step's facts change in the item's row.

    A person's title stays; tags are added to those that are there; whose duplicate it is stays as `link` decided.
    Raises StoreError for a fact that items have no place for.
    """
    _only(facts, FACTS, "fact")
    told = {name: value for name, value in facts.items() if name not in DECIDED}
    if titled:
        told.pop("title", None)
    if "tags" in told:
        told["tags"] = (*item.tags, *told["tags"])
    return column_values(told)


def edit_values(edits: Mapping[str, Any]) -> dict[str, Any]:
    """What a person's changes change in the item's row. Raises StoreError for what a person cannot change."""
    _only(edits, EDITABLE, "field")
    return column_values(edits) | ({"titled": True} if "title" in edits else {})


def column_values(told: Mapping[str, Any]) -> dict[str, Any]:
    """Domain values as the columns hold them."""
    values = dict(told)
    if "title" in values:
        values["title_key"] = title_key(values["title"])
    if "tags" in values:
        values["tags"] = list(dict.fromkeys(values["tags"]))
    if "vocabulary" in values:
        values["vocabulary"] = list(values["vocabulary"])
    if values.get("kind") is not None:
        values["kind"] = Kind(values["kind"]).value
    if "priority" in values:
        values["priority"] = Priority(values["priority"]).value
    return values


def _only(given: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise StoreError(f"no {what} of an item is called {', '.join(unknown)}: known are {', '.join(sorted(known))}")

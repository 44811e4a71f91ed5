"""Action items: what was promised in items, and what people did to it, which later runs keep.

A run that finds the same promise again (nearly the same task, near the same second) writes into the same row, except
for what a person wrote there; its number never becomes another's. What nobody touched goes when a run no longer finds
it; what somebody changed or ticked stays.
"""

import base64
import heapq
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from nexus_pipeline.catalog.rows import chunks
from nexus_pipeline.catalog.store import Reading, Store, Writing
from nexus_pipeline.catalog.tables import EPOCH, action_items, items
from nexus_pipeline.domain.errors import BadInput, NotFound, StoreError
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.listing import Promise, Promises
from nexus_pipeline.domain.timeline import ActionItem

CHANGEABLE = frozenset({"task", "priority", "assignee", "estimate", "done"})
"""What a person may change."""
SAME_S = 30.0
"""The same promise of another run stands within so many seconds: engines choose another word of the same sentence."""
ALIKE = 75.0
"""Of 100: so alike are two engines' words for one task."""
LONGEST = 1000
"""Action items on a page at most."""

_NAMES = tuple(f.name for f in fields(ActionItem))
_COLUMNS = tuple(action_items.c[name] for name in _NAMES)
_OF_ITEM = action_items.c.item_id == sa.bindparam("item_id")
_READ = sa.select(*_COLUMNS).where(_OF_ITEM).order_by(action_items.c.at_s, action_items.c.n)
_ROWS = sa.select(*_COLUMNS, action_items.c.told, action_items.c.changed, action_items.c.changed_at).where(_OF_ITEM)
_TICK = timedelta(microseconds=1)


class Promised(Store):
    """Reading, and people's changes."""

    def action_items(self, item_id: str) -> tuple[ActionItem, ...]:
        """What was promised in an item, as people changed it, in order of time."""
        with self.reading() as r:
            return tuple(ActionItem(*row) for row in r.db.execute(_READ, {"item_id": item_id}))

    def change_action_item(
        self, item_id: str, n: int, changes: Mapping[str, Any], seed: Sequence[ActionItem] = ()
    ) -> ActionItem:
        """A person's change: task, priority, assignee, estimate, done; later runs keep it.

        `seed`: what was promised, where the catalog has nothing of the item yet (it was enriched before there was this
        table). Raises NotFound where the item or its number n is not there, StoreError for any other field.
        """
        unknown = sorted(set(changes) - CHANGEABLE)
        if unknown:
            raise StoreError(f"no field of an action item is called {', '.join(unknown)}")
        with self.writing() as w:
            item = w.all_of([item_id], lock=True)[item_id]
            rows = _rows(w, item_id)
            if seed and not rows:
                keep(w, item, seed)
                rows = _rows(w, item_id)
            if n not in rows:
                raise NotFound(f"item {item_id} has no action item {n}: its enrichment lists those that it has")
            changed = sorted({*rows[n].changed, *changes})
            values = {**changes, "changed": changed, "changed_at": w.at}
            change = action_items.update().where(action_items.c.item_id == item_id, action_items.c.n == n)
            w.db.execute(change.values(values))
            w.set(item, {"updated_at": w.at})
            w.line(item_id, "changed")
            told = rows[n]._asdict() | dict(changes)
            return ActionItem(**{name: told[name] for name in _NAMES})

    def promises(self, owner: str, *, done: bool | None = None, limit: int = 50, cursor: str | None = None) -> Promises:
        """An owner's action items over all items, those of the newest item first; at most 1,000.

        A duplicate's are its first's, so they are told once. Raises BadInput for a cursor of another listing.
        """
        after = None if cursor is None else _opened(cursor)
        limit = min(max(limit, 1), LONGEST)
        states = (False, True) if done is None else (done,)
        with self.reading() as r:
            lists = [r.db.execute(select(owner, after, done=state).limit(limit + 1)).all() for state in states]
        rows = list(heapq.merge(*lists, key=lambda row: tuple(row[:3]), reverse=True))[: limit + 1]
        found = tuple(Promise(row.item_id, row.title, ActionItem(*row[4:])) for row in rows[:limit])
        return Promises(found, _cursor(rows[limit - 1]) if len(rows) > limit else None)


def select(owner: str, after: tuple[Any, str, int] | None, *, done: bool) -> sa.Select[Any]:
    """The statement of a listing: sort key, title and what it is, in order, without limit."""
    c = action_items.c
    key = (c.created_at, c.item_id, c.n)
    told = (
        sa.select(*key, items.c.title, *_COLUMNS)
        .join(items, items.c.id == c.item_id)
        .where(c.owner == owner, c.done == done, items.c.deleted_at.is_(None), items.c.duplicate_of.is_(None))
        .order_by(*(one.desc() for one in key))
    )
    if after is None:
        return told
    there = (sa.literal(value, one.type) for value, one in zip(after, key, strict=True))
    return told.where(sa.tuple_(*key) < sa.tuple_(*there))


def keep(w: Writing, item: Item, found: Sequence[ActionItem]) -> None:
    """What a run has found is what was promised in the item; what people did to it before stays."""
    before = _rows(w, item.id)
    again = _found_again(before, found)
    _drop(w, item.id, [n for n, row in before.items() if n not in again and row.changed_at is None])
    for n, place in again.items():
        one = found[place]
        theirs = {"task": one.task, "priority": one.priority, "assignee": one.assignee, "estimate": one.estimate}
        values: dict[str, Any] = {"at_s": one.at_s, "context": one.context, "told": one.task}
        values |= {name: value for name, value in theirs.items() if name not in before[n].changed}
        change = action_items.update().where(action_items.c.item_id == item.id, action_items.c.n == n)
        w.db.execute(change.values(values))
    fresh = [one for place, one in enumerate(found) if place not in again.values()]
    numbers = _numbers(before, [one.n for one in fresh])
    _insert(w, [_row(item, n, one) for n, one in zip(numbers, fresh, strict=True)])


def hand_over(w: Writing, item: Item, heir: Item) -> None:
    """What people did to an item's promises goes over to its copy, in the copy's seconds, as far as it has them."""
    until_s = heir.duration_s or float("inf")
    touched = (row._asdict() for row in _rows(w, item.id).values() if row.changed_at is not None)
    shifted = ({**row, "at_s": row["at_s"] - heir.duplicate_offset_s} for row in touched)
    moving = [row for row in shifted if 0 <= row["at_s"] < until_s]
    own = _rows(w, heir.id)
    told = [ActionItem(row["n"], row["told"], row["priority"], row["at_s"], row["context"]) for row in moving]
    again = _found_again(own, told)
    _drop(w, heir.id, list(again))
    numbers = {place: n for n, place in again.items()}
    fresh = [place for place in range(len(moving)) if place not in numbers]
    numbers |= dict(zip(fresh, _numbers(own, [told[place].n for place in fresh]), strict=True))
    of_heir = {"item_id": heir.id, "owner": heir.owner, "created_at": heir.created_at}
    _insert(w, [{**row, **of_heir, "n": numbers[place]} for place, row in enumerate(moving)])


def _drop(w: Writing, item_id: str, numbers: Sequence[int]) -> None:
    for some in chunks(numbers):
        w.db.execute(action_items.delete().where(action_items.c.item_id == item_id, action_items.c.n.in_(some)))


def _insert(w: Writing, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        w.db.execute(action_items.insert(), [dict(row) for row in rows])


def _found_again(before: Mapping[int, Any], found: Sequence[ActionItem]) -> dict[int, int]:
    """By a row's number the place of what was found again in it; the most alike first, each at most once."""
    from rapidfuzz import fuzz
    from rapidfuzz.utils import default_process

    near = [
        (-fuzz.token_set_ratio(row.told, one.task, processor=default_process), abs(row.at_s - one.at_s), n, place)
        for n, row in before.items()
        for place, one in enumerate(found)
        if abs(row.at_s - one.at_s) <= SAME_S
    ]
    again: dict[int, int] = {}
    for unlike, _, n, place in sorted(near):
        if -unlike >= ALIKE and n not in again and place not in again.values():
            again[n] = place
    return again


def _numbers(used: Iterable[int], wanted: Sequence[int]) -> list[int]:
    """A number for each: the engine's own where nobody had it, else the next one."""
    taken, given = set(used), []
    for n in wanted:
        number = n if n > 0 and n not in taken else max(taken, default=0) + 1
        taken.add(number)
        given.append(number)
    return given


def _row(item: Item, n: int, one: ActionItem) -> dict[str, Any]:
    told = {name: getattr(one, name) for name in _NAMES}
    fresh: dict[str, Any] = {"told": one.task, "changed": [], "changed_at": None, "done": False}
    return {**told, **fresh, "n": n, "item_id": item.id, "owner": item.owner, "created_at": item.created_at}


def _rows(r: Reading, item_id: str) -> dict[int, Any]:
    return {row.n: row for row in r.db.execute(_ROWS, {"item_id": item_id})}


def _cursor(row: Any) -> str:
    told = [(row.created_at - EPOCH) // _TICK, row.item_id, row.n]
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


def _opened(cursor: str) -> tuple[Any, str, int]:
    try:
        at, item_id, n = json.loads(base64.urlsafe_b64decode(cursor))
        if not (item_id.isalnum() and item_id.isascii() and 0 <= n < 2**31):
            raise ValueError(item_id, n)  # noqa: TRY301 - as for what is no cursor in another way
        return EPOCH + timedelta(microseconds=at), item_id, n
    except (ValueError, TypeError, AttributeError, OverflowError) as error:  # binascii's error is a ValueError
        raise BadInput("this cursor is none: begin without one") from error

"""Which items share sound, and where: kept in one row for each two, read from either side.

A row's times are those of its `item_id` first, whoever looked last. Duplicates have one too, but what is told of them
comes from the items themselves, where they are linked and unlinked: a row between two that are no duplicates any more
says that they share what both have. A duplicate's relations are its first's, in its own seconds.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from nexus_pipeline.catalog import dialect
from nexus_pipeline.catalog.rows import chunks
from nexus_pipeline.catalog.store import Reading, Store, Writing
from nexus_pipeline.catalog.tables import items, relations
from nexus_pipeline.domain.errors import LeaseLost, NotFound, StoreError
from nexus_pipeline.domain.fingerprints import Related, Stretch
from nexus_pipeline.domain.items import Item

MOST = 200
"""Items that an item merely shares a stretch with; an intro has thousands, and the next is no news."""
LOOKED_AT = 2000
"""Rows that are read for one item, the newest: a long one may have been cut into more excerpts."""

_PLACE = (items.c.id, items.c.duplicate_of, items.c.duplicate_offset_s, items.c.duration_s)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an item lies on the time of its first, which is itself where it is no duplicate."""

    id: str
    duplicate_of: str | None
    offset_s: float
    duration_s: float | None

    @property
    def first(self) -> str:
        return self.duplicate_of or self.id


class Relations(Store):
    """Writing and reading them."""

    def relate(self, item: Item, found: Sequence[Related], compared: Collection[str]) -> None:
        """What the item shares with those that it was `compared` with is what was `found`, and no more.

        What others have found of it stays where it was not compared with them now. An item that 200 share something
        with gets no more of these; excerpts are always kept. Others that were deleted meanwhile are left out.
        Raises LeaseLost where the item itself was, StoreError for an unknown relation.
        """
        unknown = {one.relation for one in found} - {"excerpt", "shared"}
        if unknown:
            raise StoreError(f"items are not related by {', '.join(sorted(unknown))}: by excerpt or shared")
        with self.writing() as w:
            dialect.alone(w.db, dialect.LINKING)
            alive(w.items([item.id], lock=True), item)
            for some in chunks(sorted(compared)):
                copies = sa.select(items.c.id).where(items.c.duplicate_of.in_(some))
                _forget(w, item.id, [*some, *w.db.execute(copies).scalars()])
            there = _places(w, item, [one.other_id for one in found])
            room = MOST - _shared_by(w, item.id)
            kept = []
            for one in found:
                shared = one.relation == "shared"
                if one.other_id not in there or (shared and (room <= 0 or _shared_by(w, one.other_id) >= MOST)):
                    continue
                room -= shared
                kept.append((one.other_id, _row(one)))
            record(w, item.id, kept)

    def related(self, item_id: str, limit: int | None = 50) -> list[Related]:
        """Other items of its owner that share sound with it, seen from it: copies, then excerpts, then the rest.

        Of each kind those come first that share most. Of an item and its duplicates only the first is told, but for
        the item's own. Raises NotFound, also for a tombstone.
        """
        with self.reading() as r:
            mine = r.items([item_id]).get(item_id)
            if mine is None:
                raise NotFound(f"no item {item_id}: see `nexus ls` for those that are there")
            here = _Place(mine.id, mine.duplicate_of, mine.duplicate_offset_s, mine.duration_s)
            told = _copies(r, mine, here) | _others(r, mine, here)
        return sorted(told.values(), key=lambda x: x.rank)[:limit]


def record(w: Writing, item_id: str, rows: Iterable[tuple[str, Mapping[str, object]]]) -> None:
    """A pair has one row, whoever looked last."""
    told = dict(rows)
    for some in chunks(list(told)):
        _forget(w, item_id, some)
        new = [{"item_id": item_id, "other_id": other, "at": w.at, **told[other]} for other in some]
        w.db.execute(relations.insert(), new)


def inherit(w: Writing, item: Item) -> None:
    """A duplicate that is one no more shares what its first shares, in its own seconds, where it knows no better."""
    if item.duplicate_of is None:
        return
    (first,) = w.items([item.duplicate_of], buried=True).values()
    here = _Place(item.id, item.duplicate_of, item.duplicate_offset_s, item.duration_s)
    own = {one.other_id for one in _rows(w, item.id)}
    theirs = (_from_first(one, here) for one in _rows(w, first.id) if one.relation != "duplicate")
    record(w, item.id, [(x.other_id, _row(x)) for x in theirs if x and x.other_id not in own | {item.id}])


def alive(found: Mapping[str, Item], item: Item) -> Item:
    """The item as it is now. Raises LeaseLost where it was deleted or made anew meanwhile."""
    now = found.get(item.id)
    if now is None or now.gen != item.gen:
        raise LeaseLost(f"item {item.id} was deleted or made anew meanwhile: what was found of it is dropped")
    return now


# ---------------------------------------------------------------- rows


def _row(one: Related) -> dict[str, object]:
    stretches = [[s.start_s, s.end_s, s.other_start_s, s.other_end_s] for s in one.stretches]
    offset_s = one.stretches[0].other_start_s - one.stretches[0].start_s if one.stretches else 0.0
    times = {"stretches": stretches, "excerpt": one.excerpt_id}
    return {"relation": one.relation, "offset_s": offset_s, "times": times}


def _rows(r: Reading, item_id: str) -> list[Related]:
    """An item's rows, from its side; of a duplicate the one stretch says only by how much the other is shifted."""
    columns = (relations.c.other_id, relations.c.relation, relations.c.offset_s, relations.c.times, relations.c.at)
    mine = sa.select(*columns, sa.literal(value=False)).where(relations.c.item_id == item_id)
    theirs = sa.select(relations.c.item_id, *columns[1:], sa.literal(value=True)).where(relations.c.other_id == item_id)
    both = mine.union_all(theirs).order_by(sa.text("at DESC")).limit(LOOKED_AT)
    return [_seen(*row[:4], turned=bool(row[5])) for row in r.db.execute(both)]


def _seen(other_id: str, relation: str, offset_s: float, times: Mapping[str, Any], *, turned: bool) -> Related:
    stretches = tuple(Stretch(*s) for s in times.get("stretches", ()))
    if relation == "duplicate":
        stretches = (Stretch(0.0, 0.0, offset_s, offset_s),)
    if turned:
        stretches = tuple(sorted((s.turned for s in stretches), key=lambda s: (s.start_s, s.other_start_s)))
    return Related(other_id, relation, stretches, times.get("excerpt"))


def _forget(w: Writing, item_id: str, others: Sequence[str]) -> None:
    for some in chunks(others):
        mine = (relations.c.item_id == item_id) & relations.c.other_id.in_(some)
        theirs = (relations.c.other_id == item_id) & relations.c.item_id.in_(some)
        w.db.execute(relations.delete().where(mine | theirs))


def _shared_by(w: Writing, item_id: str) -> int:
    count = 0
    for side in (relations.c.item_id, relations.c.other_id):
        told = sa.select(sa.func.count()).where(side == item_id, relations.c.relation == "shared")
        count += int(w.db.execute(told).scalar_one())
    return count


def _places(r: Reading, item: Item, ids: Sequence[str]) -> dict[str, _Place]:
    """Of these, the owner's that are alive."""
    found: dict[str, _Place] = {}
    for some in chunks(ids):
        told = sa.select(*_PLACE).where(items.c.id.in_(some), items.c.owner == item.owner, items.c.deleted_at.is_(None))
        found |= {row.id: _Place(*row) for row in r.db.execute(told)}
    return found


# ---------------------------------------------------------------- what is told


def _copies(r: Reading, item: Item, here: _Place) -> dict[str, Related]:
    """The item's first and what else is a duplicate of it: they share all that both have."""
    told = sa.select(*_PLACE).where(
        (items.c.duplicate_of == here.first) | (items.c.id == here.first),
        items.c.owner == item.owner,
        items.c.deleted_at.is_(None),
        items.c.id != item.id,
    )
    found = (_Place(*row) for row in r.db.execute(told.order_by(items.c.created_at).limit(LOOKED_AT)))
    return {x.id: Related(x.id, "duplicate", _overlap(here, x, here.offset_s - x.offset_s)) for x in found}


def _overlap(here: _Place, there: _Place, shift_s: float) -> tuple[Stretch, ...]:
    """What both have, where time there = time here + shift; nothing where a length is not known."""
    if here.duration_s is None or there.duration_s is None:
        return ()
    start_s, end_s = max(0.0, -shift_s), min(here.duration_s, there.duration_s - shift_s)
    return (Stretch(start_s, end_s, start_s + shift_s, end_s + shift_s),) if end_s > start_s else ()


def _others(r: Reading, item: Item, here: _Place) -> dict[str, Related]:
    """What the item's rows say, then those of its first; each other item's first stands for it."""
    rows = _rows(r, item.id)
    if here.duplicate_of is not None:
        rows += [x for one in _rows(r, here.first) if one.relation != "duplicate" and (x := _from_first(one, here))]
    places = _places(r, item, list({one.other_id for one in rows}))
    told: dict[str, Related] = {}
    for one in rows:
        there = places.get(one.other_id)
        if there is None or there.first == here.first:
            continue
        x = _of_first(_no_duplicate(one, here, there), there)
        # a first's own row says more than what a copy of it stands for
        if x.other_id not in told or one.other_id == x.other_id:
            told[x.other_id] = x
    return told


def _no_duplicate(one: Related, here: _Place, there: _Place) -> Related:
    """Two that were copies until a person unlinked one: they share what both have."""
    if one.relation != "duplicate":
        return one
    shift_s = one.stretches[0].other_start_s - one.stretches[0].start_s
    return replace(one, relation="shared", stretches=_overlap(here, there, shift_s))


def _of_first(one: Related, there: _Place) -> Related:
    """The same of the other's first."""
    if there.duplicate_of is None:
        return one
    excerpt_id = there.first if one.excerpt_id == there.id else one.excerpt_id
    stretches = tuple(s.moved(other_by_s=there.offset_s) for s in one.stretches)
    return replace(one, other_id=there.first, stretches=stretches, excerpt_id=excerpt_id)


def _from_first(one: Related, here: _Place) -> Related | None:
    """What the first shares as its duplicate does: in its seconds, where it has that sound at all."""
    until_s = here.duration_s if here.duration_s is not None else float("inf")
    moved = (s.moved(by_s=-here.offset_s) for s in one.stretches)
    stretches = tuple(s for s in moved if s.end_s > 0 and s.start_s < until_s)
    excerpt_id = here.id if one.excerpt_id == here.first else one.excerpt_id
    return replace(one, stretches=stretches, excerpt_id=excerpt_id) if stretches else None

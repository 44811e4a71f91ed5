"""Which items are one and the same: digests, the index of sub-fingerprints, and who is first.

A duplicate begins at `duplicate_offset_s` of its first: the first's time is its own plus this. A duplicate's first is
never a duplicate itself. Keys of different owners are different numbers, so one owner's items are never compared with
another's.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sqlalchemy as sa

from nexus_pipeline.catalog import dialect
from nexus_pipeline.catalog.related import alive, inherit, record
from nexus_pipeline.catalog.rows import chunks
from nexus_pipeline.catalog.store import Reading, Store, Writing, waiting
from nexus_pipeline.catalog.tables import items, posted, postings
from nexus_pipeline.domain.errors import StoreError
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.states import Skipped, State

COMMON = 200
"""A key that more items of the owner hold says nothing: jingles, hum."""

_KEYS: sa.BindParameter[Any] = sa.bindparam("keys", expanding=True)
_COUNTED = sa.select(postings.c.key, sa.func.count().label("holders")).where(postings.c.key.in_(_KEYS))
_COUNTED = _COUNTED.group_by(postings.c.key)
_COMMON = _COUNTED.having(sa.func.count() > COMMON)
_RARE = _COUNTED.having(sa.func.count() <= COMMON).cte("rare")
_HOLDERS = (
    sa.select(postings.c.item, sa.func.count(), sa.func.sum(1.0 / _RARE.c.holders))
    .select_from(_RARE.join(postings, postings.c.key == _RARE.c.key))
    .group_by(postings.c.item)
)


class Identity(Store):
    """Seeking the first, and linking."""

    def first_of(self, item: Item, digest: str) -> Item | None:
        """The oldest other item of the owner with these bytes that is no duplicate itself."""
        told = sa.select(items.c.id).where(
            items.c.owner == item.owner,
            items.c.digest == digest,
            items.c.id != item.id,
            items.c.duplicate_of.is_(None),
            items.c.deleted_at.is_(None),
        )
        with self.reading() as r:
            first = r.db.execute(told.order_by(items.c.created_at, items.c.id).limit(1)).scalar_one_or_none()
            return None if first is None else r.items([first]).get(first)

    def fingerprinted(self, item: Item, digest: str, keys: Sequence[int]) -> None:
        """Set the item's digest and replace its postings in the index of sub-fingerprints.

        A key that more than 200 items hold already is not posted: it says nothing, and its holders would be counted at
        every look.
        What it was a duplicate of is forgotten: `link` is asked next. Raises LeaseLost where it was deleted meanwhile.
        """
        wanted = posting_keys(item.owner, keys)
        with self.writing() as w:
            dialect.alone(w.db, dialect.LINKING)
            now = alive(w.items([item.id], lock=True), item)
            w.set(now, {"digest": digest, "duplicate_of": None, "duplicate_offset_s": 0.0})
            if now.duplicate_of is not None:
                w.move([(replace(now, duplicate_of=None), ())])
            n = _number(w, item.id)
            unpost(w, item.id)
            wanted = wanted[~np.isin(wanted, _common(w, wanted.tolist()))]
            if len(wanted):
                w.db.execute(postings.insert(), [{"key": key, "item": n} for key in wanted.tolist()])
                w.db.execute(posted.insert(), {"item": n, "packed": wanted.tobytes()})

    def candidates(self, item: Item, keys: Sequence[int], *, least: int = 2, limit: int = 50) -> list[tuple[str, int]]:
        """Other items of the owner that hold at least `least` of these keys, with the count; never a duplicate.

        Those that share the rarest come first: a key counts the less, the more items hold it, so that a jingle of 150
        does not hide the one with ten seconds of its own. Keys that more than 200 hold are left out. What a duplicate
        shares its first stands for; the item's own duplicates are left out.
        """
        shared: dict[int, tuple[float, int]] = {}
        with self.reading() as r:
            for some in chunks(posting_keys(item.owner, keys).tolist()):
                for holder, count, weight in r.db.execute(_HOLDERS, {"keys": some}):
                    before = shared.get(holder, (0.0, 0))
                    shared[holder] = before[0] + float(weight), before[1] + count
            found = sorted((-weight, n, count) for n, (weight, count) in shared.items() if count >= least)
            told: dict[str, int] = {}
            for batch in chunks(found):
                firsts = _firsts(r, item, [n for _, n, _ in batch])
                for _, n, count in batch:
                    if n in firsts:
                        told.setdefault(firsts[n], count)
                if len(told) >= limit:
                    break
        return list(told.items())[:limit]

    def link(self, item: Item, other_id: str, offset_s: float = 0.0) -> Item | None:
        """Two items are copies: decide in this transaction which is first by (created_at, id).

        `offset_s`: `item` begins at this time of the other. Returns the first, if `item` is a duplicate then (of an
        older one than `other_id`, where that is a duplicate itself); None if `item` is first: then the other, and what
        was a duplicate of it, is linked to `item`, and its steps after the fingerprint are skipped unless one of them
        runs or is done. An item that a person made one of its own is never linked, and one that
        was deleted meanwhile is related to nothing. Raises LeaseLost where that is `item`, StoreError for itself.
        """
        if item.id == other_id:
            raise StoreError(f"item {item.id} cannot be a copy of itself: this is a bug")
        with self.writing() as w:
            cluster = cluster_of(w, [item.id, other_id])
            mine, other = alive(cluster, item), cluster.get(other_id)
            if other is None:
                return None
            record(w, mine.id, [(other_id, {"relation": "duplicate", "offset_s": offset_s, "times": {}})])
            self._join(w, cluster, mine, other, offset_s)
            first = w.items([mine.id])[mine.id].duplicate_of
            return None if first is None else w.items([first])[first]

    def _join(self, w: Writing, cluster: dict[str, Item], item: Item, other: Item, offset_s: float) -> None:
        mine, its = cluster[item.duplicate_of or item.id], cluster[other.duplicate_of or other.id]
        if mine.id == its.id:
            return
        # from the times of the two to those of their firsts
        between = offset_s + other.duplicate_offset_s - item.duplicate_offset_s
        older, younger = sorted((mine, its), key=lambda x: (x.created_at, x.id))
        if younger.unique:
            return
        shift = between if younger is mine else -between
        moving = [x for x in cluster.values() if x.duplicate_of == younger.id]
        for x in (younger, *moving):
            values = {"duplicate_of": older.id, "duplicate_offset_s": shift + x.duplicate_offset_s, "updated_at": w.at}
            w.set(x, values)
            w.line(x.id, "changed")
        linked = replace(younger, duplicate_of=older.id)
        if younger.id == item.id:  # its own run lands what it skips
            w.move([(linked, ())])
        else:
            self._skip(w, linked)

    def _skip(self, w: Writing, item: Item) -> None:
        """What follows the fingerprint is skipped, unless one of it runs or is done: results stay."""
        after = self._order["fingerprint"]
        later = {s.step: s.state for s in item.steps if self._order.get(s.step, -1) > after}
        if {State.RUNNING, State.DONE} & set(later.values()):
            w.move([(item, ())])
            return
        # the table knows no way from failed to skipped but through waiting
        stopped = [waiting(s) for s in item.steps if later.get(s.step) in {State.FAILED, State.BLOCKED}]
        (item,) = w.move([(item, stopped)])
        skipped = [
            replace(s, state=State.SKIPPED, reason=Skipped.DUPLICATE.value, progress=1.0, ended_at=w.at)
            for s in item.steps
            if s.step in later and s.state is State.WAITING
        ]
        w.move([(item, skipped)])


def posting_keys(owner: str, keys: Iterable[int]) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """The owner's own numbers for sub-fingerprints, unique and sorted: 31 bits of the owner, 32 of the key."""
    scope = (zlib.crc32(owner.encode()) & 0x7FFFFFFF) << 32
    return np.unique(np.fromiter((scope | (int(key) & 0xFFFFFFFF) for key in keys), dtype=np.int64))


def unpost(w: Writing, item_id: str) -> int:
    """Take the item out of the index; how many rows went."""
    n = _number(w, item_id)
    packed = w.db.execute(sa.select(posted.c.packed).where(posted.c.item == n)).scalar_one_or_none()
    if packed is None:
        return 0
    gone = 1
    for some in chunks(np.frombuffer(packed, dtype=np.int64).tolist()):
        gone += w.db.execute(postings.delete().where(postings.c.key.in_(some), postings.c.item == n)).rowcount
    w.db.execute(posted.delete().where(posted.c.item == n))
    return gone


def duplicates_of(r: Reading, item_id: str) -> Sequence[str]:
    """Ids of its duplicates, oldest first; tombstones left out."""
    told = sa.select(items.c.id).where(items.c.duplicate_of == item_id, items.c.deleted_at.is_(None))
    return r.db.execute(told.order_by(items.c.created_at, items.c.id)).scalars().all()


def first_becomes(w: Writing, heirs: Sequence[Item]) -> None:
    """The oldest of a buried item's duplicates is the first of the others; what was skipped for it waits."""
    if not heirs:
        return
    heir, *others = sorted(heirs, key=lambda x: (x.created_at, x.id))
    inherit(w, heir)
    w.set(heir, {"duplicate_of": None, "duplicate_offset_s": 0.0})
    for x in others:
        w.set(x, {"duplicate_of": heir.id, "duplicate_offset_s": x.duplicate_offset_s - heir.duplicate_offset_s})
    again = [waiting(s, fresh=True) for s in heir.steps if s.reason == Skipped.DUPLICATE]
    w.move([(replace(heir, duplicate_of=None), again), *((x, ()) for x in others)])
    for x in heirs:
        w.line(x.id, "changed")


def _number(r: Reading, item_id: str) -> int:
    n: int = r.db.execute(sa.select(items.c.n).where(items.c.id == item_id)).scalar_one()
    return n


def _common(r: Reading, keys: Sequence[int]) -> list[int]:
    return [key for some in chunks(keys) for key, _ in r.db.execute(_COMMON, {"keys": some})]


def _firsts(r: Reading, item: Item, numbers: Sequence[int]) -> dict[int, str]:
    """Of these numbers of items, what each is a duplicate of or itself is."""
    first = sa.func.coalesce(items.c.duplicate_of, items.c.id)
    told = sa.select(items.c.n, first).where(
        items.c.n.in_(numbers),
        items.c.owner == item.owner,
        items.c.deleted_at.is_(None),
        items.c.id != item.id,
        first != item.id,
    )
    return dict(r.db.execute(told).tuples().all())


def cluster_of(w: Writing, item_ids: Sequence[str], *, buried: bool = False) -> dict[str, Item]:
    """These, their firsts and all duplicates of those, locked; who is whose duplicate changes in no other transaction.

    To be called before anything is locked.
    """
    dialect.alone(w.db, dialect.LINKING)
    told = sa.select(items.c.id, items.c.duplicate_of).where(items.c.id.in_(item_ids))
    firsts = {first or item_id for item_id, first in w.db.execute(told)}
    members = sa.select(items.c.id).where(items.c.duplicate_of.in_(firsts), items.c.deleted_at.is_(None))
    wanted = {*item_ids, *firsts, *w.db.execute(members).scalars()}
    return w.items(sorted(wanted), buried=buried, lock=True)

"""Erasing an item: first a tombstone, at last nothing but its id, owner, gen and when; and a receipt of numbers.

What was said of it stays out of every answer from `bury` on. Its duplicates get a new first among them: the oldest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import sqlalchemy as sa

from nexus_pipeline.catalog import chats, dialect, promises
from nexus_pipeline.catalog import edits as written
from nexus_pipeline.catalog.finding_tables import opened_hits, suggestions
from nexus_pipeline.catalog.identity import cluster_of, duplicates_of, first_becomes, unpost
from nexus_pipeline.catalog.posts import forget_answers
from nexus_pipeline.catalog.rows import ITEM_NAMES, chunks
from nexus_pipeline.catalog.store import Store, Writing
from nexus_pipeline.catalog.tables import (
    action_items,
    asks,
    changes,
    edits,
    item_steps,
    item_tags,
    items,
    leases,
    receipts,
    relations,
    speakers,
)
from nexus_pipeline.catalog.uploads import forget_uploads
from nexus_pipeline.domain.errors import NotFound
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.listing import Receipt

_BLANK = {"title": "", "title_key": "", "titled": False, "source": "", "platform": "", "origin": ""} | {
    "tags": [], "engines": {}, "state": "waiting", "unique": False, "duplicate_offset_s": 0.0, "priority": "normal",
}  # fmt: skip
_RECEIPT = tuple(receipts.c[one.name] for one in fields(Receipt))
_OWN = (item_steps, item_tags, action_items, speakers, leases, asks, edits, suggestions, opened_hits)
_KEPT = {"id", "owner", "gen", "deleted_at", "created_at", "updated_at", *_BLANK}


class Erasing(Store):
    """Tombstones."""

    def bury(self, item_id: str) -> Item:
        """Tombstone and gen + 1: from now on the item is in no answer, and what lands is dropped.

        The oldest of its duplicates becomes the first of the others; its skipped steps wait, so that a run makes, or
        finds in place, what the buried one had; what people did to its action items and wrote over its transcript it
        takes over. Answers in chats lose its words. Burying twice is burying once. Raises NotFound.
        """
        with self.writing() as w:
            cluster = cluster_of(w, [item_id], buried=True)
            if item_id not in cluster:
                raise NotFound(f"no item {item_id}: see `nexus ls` for those that are there")
            item = cluster[item_id]
            if item.deleted_at is not None:
                return item
            copies = [x for x in cluster.values() if x.duplicate_of == item_id]
            first_becomes(w, copies)
            if copies:
                heir = min(copies, key=lambda x: (x.created_at, x.id))
                promises.hand_over(w, item, heir)
                written.hand_over(w, item, heir)
            for table in (leases, asks, suggestions):
                w.db.execute(table.delete().where(table.c.item_id == item_id))
            forget_uploads(w, item_id)
            forget_answers(w, item.owner)
            gone = replace(item, gen=item.gen + 1, deleted_at=w.at, updated_at=w.at, duplicate_of=None)
            w.set(item, {"gen": gone.gen, "deleted_at": w.at, "updated_at": w.at, "duplicate_of": None})
            w.db.execute(receipts.delete().where(receipts.c.item_id == item_id))
            nothing = dict.fromkeys(("blobs", "rows", "passages", "versions"), 0)
            w.db.execute(receipts.insert(), {"item_id": item_id, "owner": item.owner, "buried_at": w.at, **nothing})
            chats.unquote(w, item_id)
            w.line(item_id, "erased")
            return gone

    def counted(self, item_id: str, *, blobs: int, passages: int) -> None:
        """What is about to go, for the receipt; the most that was ever counted stands, so a repeat takes nothing away.

        What came late makes the archive unclean again: it is to be purged once more.
        """
        with self.writing() as w:
            anew = {"marks": None, "purged_at": None, "at": None} if blobs or passages else {}
            _count(w, item_id, {"blobs": blobs, "passages": passages}, anew)

    def forget(self, item_id: str) -> int:
        """No row of the item is left but tombstone and receipt; how many went. One that is alive again is left alone.

        Its last line of `changes` (erased: the id and when, as in the tombstone) stays until it is pruned, so that
        whoever follows the changes hears of it. Raises NotFound.
        """
        with self.writing() as w:
            item = w.all_of([item_id], buried=True, lock=True)[item_id]
            if item.deleted_at is None:
                return 0
            gone = strip(w, item_id)
            _count(w, item_id, {"rows": gone})
            nothing = {name: None for name in ITEM_NAMES if name not in _KEPT}
            blank = nothing | _BLANK | {"created_at": item.deleted_at, "updated_at": item.deleted_at}
            w.db.execute(items.update().where(items.c.id == item_id).values(blank))
            return gone

    def buried(self, limit: int = 1000) -> list[Item]:
        """Tombstones that are not forgotten yet, oldest first: whoever was erasing them did not come to the end."""
        with self.reading() as r:
            told = sa.select(items.c.id).where(
                items.c.deleted_at.is_not(None), items.c.origin != sa.literal_column("''")
            )
            ids = r.db.execute(told.order_by(items.c.deleted_at).limit(limit)).scalars().all()
            return list(r.items(ids, buried=True).values())

    def tombstone(self, item_id: str) -> Item:
        """What is left of an erased item: id, owner, gen. Raises NotFound."""
        with self.reading() as r:
            return r.all_of([item_id], buried=True)[item_id]

    def is_erased(self, item_id: str) -> bool:
        """Whether it was there and is buried; one that never was, or is alive again, is not."""
        with self.reading() as r:
            found = r.items([item_id], buried=True).get(item_id)
            return found is not None and found.deleted_at is not None

    def receipt(self, item_id: str) -> Receipt:
        """What went with an erased item. Raises NotFound where none of this id was ever erased."""
        with self.reading() as r:
            row = r.db.execute(sa.select(*_RECEIPT).where(receipts.c.item_id == item_id)).one_or_none()
            if row is None:
                raise NotFound(f"no receipt of an item {item_id}: nothing of this id was erased")
            return Receipt(*row)

    def open_receipts(self, limit: int = 1000) -> list[Receipt]:
        """Those that nobody has completed yet, oldest first."""
        with self.reading() as r:
            told = sa.select(*_RECEIPT).where(receipts.c.at.is_(None)).order_by(receipts.c.buried_at).limit(limit)
            return [Receipt(*row) for row in r.db.execute(told)]

    def purged(self, item_ids: Sequence[str], marks: Mapping[str, int], versions: int) -> None:
        """The archive's newest versions are clean of these items from the marks on; so many older ones are not."""
        with self.writing() as w:
            for some in chunks(item_ids):
                open_ = receipts.update().where(receipts.c.item_id.in_(some), receipts.c.at.is_(None))
                most = sa.case((receipts.c.versions > versions, receipts.c.versions), else_=versions)
                w.db.execute(open_.values(marks=dict(marks), versions=most, purged_at=w.at))

    def settle(self, item_ids: Sequence[str]) -> None:
        """Nothing of these items is left in any store: their receipts are complete."""
        with self.writing() as w:
            for some in chunks(item_ids):
                w.db.execute(receipts.update().where(receipts.c.item_id.in_(some)).values(at=w.at))

    def scrub(self) -> bool:
        """What was deleted leaves the catalog's files; False where a reader keeps it there: ask again later.

        SQLite zeroes what it deletes; older pages in its log go here. Of a server's files its administrator decides.
        """
        if self._url.get_backend_name() != "sqlite":
            return True
        with dialect.translated(self._url):
            return dialect.truncate_log(self._reader)

    def copies_of(self, item_id: str) -> list[Item]:
        """Its duplicates, oldest first: when it is buried, the first of them takes its place."""
        with self.reading() as r:
            return list(r.items(duplicates_of(r, item_id)).values())


def _count(w: Writing, item_id: str, numbers: Mapping[str, int], also: Mapping[str, None] | None = None) -> None:
    most = {name: sa.case((receipts.c[name] > n, receipts.c[name]), else_=n) for name, n in numbers.items()}
    w.db.execute(receipts.update().where(receipts.c.item_id == item_id).values({**most, **(also or {})}))


def strip(w: Writing, item_id: str) -> int:
    """Delete all rows of an item but its own and the line that says it was erased; how many."""
    gone = unpost(w, item_id) + chats.unquote(w, item_id)
    told = [table.delete().where(table.c.item_id == item_id) for table in _OWN]
    told.append(relations.delete().where((relations.c.item_id == item_id) | (relations.c.other_id == item_id)))
    told.append(changes.delete().where(changes.c.item_id == item_id, changes.c.state != "erased"))
    return gone + sum(w.db.execute(delete).rowcount for delete in told)

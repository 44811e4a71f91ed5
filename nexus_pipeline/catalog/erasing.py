"""Erasing an item: first a tombstone, at last nothing but its id, owner, gen and when.

What was said of it stays out of every answer from `bury` on. Its duplicates get a new first among them: the oldest.
"""

from dataclasses import replace

import sqlalchemy as sa

from nexus_pipeline.catalog.identity import cluster_of, duplicates_of, first_becomes, unpost
from nexus_pipeline.catalog.rows import ITEM_NAMES
from nexus_pipeline.catalog.store import Store, Writing
from nexus_pipeline.catalog.tables import asks, changes, edits, item_steps, item_tags, items, leases, relations
from nexus_pipeline.domain.errors import NotFound
from nexus_pipeline.domain.items import Item

_BLANK = {"title": "", "title_key": "", "titled": False, "source": "", "platform": "", "origin": ""} | {
    "tags": [], "engines": {}, "state": "waiting", "unique": False, "duplicate_offset_s": 0.0, "priority": "normal",
}  # fmt: skip
_KEPT = {"id", "owner", "gen", "deleted_at", "created_at", "updated_at", *_BLANK}


class Erasing(Store):
    """Tombstones."""

    def bury(self, item_id: str) -> Item:
        """Tombstone and gen + 1: from now on the item is in no answer, and what lands is dropped.

        The oldest of its duplicates becomes the first of the others; its skipped steps wait, so that a run makes, or
        finds in place, what the buried one had. Burying twice is burying once. Raises NotFound.
        """
        with self.writing() as w:
            cluster = cluster_of(w, [item_id], buried=True)
            if item_id not in cluster:
                raise NotFound(f"no item {item_id}: see `nexus ls` for those that are there")
            item = cluster[item_id]
            if item.deleted_at is not None:
                return item
            first_becomes(w, [x for x in cluster.values() if x.duplicate_of == item_id])
            for table in (leases, asks):
                w.db.execute(table.delete().where(table.c.item_id == item_id))
            gone = replace(item, gen=item.gen + 1, deleted_at=w.at, updated_at=w.at, duplicate_of=None)
            w.set(item, {"gen": gone.gen, "deleted_at": w.at, "updated_at": w.at, "duplicate_of": None})
            w.line(item_id, "erased")
            return gone

    def forget(self, item_id: str) -> int:
        """No row of the item is left but the tombstone; how many went. An item that is alive (again) is left alone.

        Its last line of `changes` (erased: the id and when, as in the tombstone) stays until it is pruned, so that
        whoever follows the changes hears of it. Raises NotFound.
        """
        with self.writing() as w:
            item = w.all_of([item_id], buried=True, lock=True)[item_id]
            if item.deleted_at is None:
                return 0
            gone = strip(w, item_id)
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

    def copies_of(self, item_id: str) -> list[Item]:
        """Its duplicates, oldest first: when it is buried, the first of them takes its place."""
        with self.reading() as r:
            return list(r.items(duplicates_of(r, item_id)).values())


def strip(w: Writing, item_id: str) -> int:
    """Delete all rows of an item but its own and the line that says it was erased; how many."""
    gone = unpost(w, item_id)
    told = [table.delete().where(table.c.item_id == item_id) for table in (item_steps, item_tags, leases, asks, edits)]
    told.append(relations.delete().where((relations.c.item_id == item_id) | (relations.c.other_id == item_id)))
    told.append(changes.delete().where(changes.c.item_id == item_id, changes.c.state != "erased"))
    return gone + sum(w.db.execute(delete).rowcount for delete in told)

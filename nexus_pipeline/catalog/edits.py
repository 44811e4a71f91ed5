"""What people wrote over transcripts: of one span and kind the last word, in the order in which it was written.

`items.edited` is a hash over an item's rows, written with them: what is made of the transcript has it in its version
key without reading them, and has its old key again when an edit is taken back.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from nexus_pipeline.catalog.rows import chunks
from nexus_pipeline.catalog.store import Reading, Store, Writing
from nexus_pipeline.catalog.tables import edits
from nexus_pipeline.domain.edits import SAME_S, Edit
from nexus_pipeline.domain.items import Item

_c = edits.c
_READ = (
    sa.select(_c.start_s, _c.end_s, _c.what, _c.old, _c.new, _c.id, _c.at)
    .where(_c.item_id == sa.bindparam("item_id"))
    .order_by(_c.id)
)


class Edited(Store):
    """Reading."""

    def edits(self, item_id: str) -> tuple[Edit, ...]:
        """What people wrote over an item's transcript, in the order in which they did."""
        with self.reading() as r:
            return _rows(r, item_id)


def write(w: Writing, item: Item, fresh: Sequence[Edit], gone: Collection[int]) -> dict[str, Any]:
    """Keep these and drop those; what the item's row says then.

    One with an id is written anew in its place; any other one replaces what was of the same span and kind.
    """
    for some in chunks(sorted(gone)):
        w.db.execute(edits.delete().where(_c.item_id == item.id, _c.id.in_(some)))
    for one in fresh:
        told = _row(w, item, one)
        here = edits.update().where(_c.item_id == item.id, _c.id == one.id)
        if one.id > 0 and w.db.execute(here.values(told)).rowcount:
            continue
        near = (sa.func.abs(_c.start_s - one.start_s) <= SAME_S) & (sa.func.abs(_c.end_s - one.end_s) <= SAME_S)
        w.db.execute(edits.delete().where(_c.item_id == item.id, _c.what == one.what, near))
        w.db.execute(edits.insert(), told)
    return {"edited": _version(_rows(w, item.id))}


def hand_over(w: Writing, item: Item, heir: Item) -> None:
    """What people wrote over an item's transcript goes over to its copy, in the copy's seconds, where it has them."""
    until_s = heir.duration_s or float("inf")
    by_s = heir.duplicate_offset_s
    moving = [
        Edit(one.start_s - by_s, one.end_s - by_s, one.what, one.old, one.new)
        for one in _rows(w, item.id)
        if one.end_s > by_s and one.start_s - by_s < until_s
    ]
    if moving:
        w.set(heir, write(w, heir, moving, ()))


def _row(w: Writing, item: Item, one: Edit) -> dict[str, Any]:
    told = {name: getattr(one, name) for name in ("start_s", "end_s", "what", "old", "new")}
    return {**told, "item_id": item.id, "by": item.owner, "at": w.at}


def _rows(r: Reading, item_id: str) -> tuple[Edit, ...]:
    return tuple(Edit(*row) for row in r.db.execute(_READ, {"item_id": item_id}))


def _version(rows: Sequence[Edit]) -> str | None:
    told = json.dumps([(one.start_s, one.end_s, one.what, one.new) for one in rows])
    return hashlib.sha256(told.encode()).hexdigest()[:16] if rows else None

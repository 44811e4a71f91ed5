"""The lines of `changes`: what event streams read and where they go on.

Ids are read in the order in which they become visible: whoever has seen line n will never be shown an older one later.
A line's owner is its item's; tombstones keep theirs, so the line that says `erased` is still its owner's.
"""

from datetime import datetime

import sqlalchemy as sa

from nexus_pipeline.catalog import dialect
from nexus_pipeline.catalog.items import point
from nexus_pipeline.catalog.store import Store
from nexus_pipeline.catalog.tables import changes, items, pointers
from nexus_pipeline.domain.listing import Change

PRUNED = "changes.pruned"
"""The pointer that names the newest line that was pruned: a cursor before it has missed something."""

_AT_ONCE = 10_000
_COLUMNS = tuple(changes.c[name] for name in ("id", "item_id", "kind", "step", "state", "phase", "progress", "at"))
_LINES = sa.select(*_COLUMNS, items.c.owner).join(items, items.c.id == changes.c.item_id).order_by(changes.c.id)
_SPAN = sa.select(
    sa.select(pointers.c.value).where(pointers.c.name == PRUNED).scalar_subquery(),
    sa.select(sa.func.max(changes.c.id)).scalar_subquery(),
)


class Events(Store):
    """Reading and pruning."""

    def changes(
        self,
        after: int,
        limit: int = 500,
        item_id: str | None = None,
        *,
        owner: str | None = None,
        until: int | None = None,
    ) -> list[Change]:
        """Lines after a cursor (and up to `until`), of one item, one owner or all, in the order of becoming visible."""
        told = _LINES.where(changes.c.id > after)
        if until is not None:
            told = told.where(changes.c.id <= until)
        if item_id is not None:
            told = told.where(changes.c.item_id == item_id)
        if owner is not None:
            told = told.where(items.c.owner == owner)
        with self.reading() as r:
            return [Change(*row) for row in r.db.execute(told.limit(limit))]

    def changes_span(self) -> tuple[int, int]:
        """How far they were pruned, and the newest there is or was; 0 where there never was one.

        A cursor before the first has missed something; one behind the second is of another catalog.
        """
        with self.reading() as r:
            pruned, newest = r.db.execute(_SPAN).one()
            gone = int(pruned or 0)
            return gone, max(gone, newest or 0)

    def prune_changes(self, before: datetime) -> int:
        """Forget lines older than this; how many. The pointer `changes.pruned` names the newest that went.

        10,000 lines a transaction, so that nobody waits long.
        """
        gone = 0
        while True:
            with self.writing() as w:
                dialect.alone(w.db, dialect.ADDING)
                oldest = sa.select(changes.c.id, changes.c.at).order_by(changes.c.id).limit(_AT_ONCE)
                old = [line for line, at in w.db.execute(oldest) if at < before]
                if not old:
                    return gone
                gone += w.db.execute(changes.delete().where(changes.c.id <= old[-1], changes.c.at < before)).rowcount
                point(w, PRUNED, str(old[-1]))

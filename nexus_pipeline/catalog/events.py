"""The lines of `changes`: what event streams read and where they go on.

Ids are read in the order in which they become visible: whoever has seen line n will never be shown an older one later.
"""

from datetime import datetime

import sqlalchemy as sa

from nexus_pipeline.catalog import dialect
from nexus_pipeline.catalog.items import point
from nexus_pipeline.catalog.store import Store
from nexus_pipeline.catalog.tables import changes
from nexus_pipeline.domain.listing import Change

PRUNED = "changes.pruned"
"""The pointer that names the newest line that was pruned: a cursor before it has missed something."""

_AT_ONCE = 10_000
_COLUMNS = tuple(changes.c[name] for name in ("id", "item_id", "kind", "step", "state", "phase", "progress", "at"))


class Events(Store):
    """Reading and pruning."""

    def changes(self, after: int, limit: int = 500, item_id: str | None = None) -> list[Change]:
        """Lines after a cursor, of one item or of all, in the order in which they became visible."""
        told = sa.select(*_COLUMNS).where(changes.c.id > after)
        if item_id is not None:
            told = told.where(changes.c.item_id == item_id)
        with self.reading() as r:
            return [Change(*row) for row in r.db.execute(told.order_by(changes.c.id).limit(limit))]

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

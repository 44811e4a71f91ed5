"""Uploads that come in parts: how much of each is safe, and which item it became.

Whoever writes an upload's bytes holds its file's lock (blobs/growing.py), so its row has one writer at a time; that a
row is only moved on from where its writer has seen it guards the filesystems that know no locks.
"""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from nexus_pipeline.catalog import dialect
from nexus_pipeline.catalog.rows import chunks
from nexus_pipeline.catalog.store import Store, Writing
from nexus_pipeline.catalog.tables import uploads
from nexus_pipeline.domain.errors import Conflict, NotFound
from nexus_pipeline.domain.uploads import KEPT, OPEN_MOST, Upload

_ALL = sa.select(uploads)
_OPEN = sa.text("NOT settled")
"""In the words of its index: SQLite would not know it again in any others."""


class Uploads(Store):
    """Reading, growing, becoming an item."""

    def add_upload(self, upload: Upload) -> None:
        """A new one. Raises Conflict where the owner has too many open ones already."""
        with self.writing() as w:
            dialect.alone(w.db, dialect.ADDING)
            mine = sa.select(sa.func.count()).where(uploads.c.owner == upload.owner, _OPEN)
            if w.db.execute(mine).scalar_one() >= OPEN_MOST:
                raise Conflict(f"{OPEN_MOST} uploads are open already: finish some, or delete them")
            w.db.execute(uploads.insert(), _values(upload))

    def upload(self, upload_id: str, owner: str) -> Upload:
        """One of the owner's. Raises NotFound, for somebody else's and for one that has expired as for none."""
        with self.reading() as r:
            row = r.db.execute(_ALL.where(uploads.c.id == upload_id, uploads.c.owner == owner)).one_or_none()
            if row is None or (not row.settled and row.expires_at < dialect.clock(r.db)):
                raise _absent(upload_id)
            return Upload(**row._mapping)  # noqa: SLF001  SQLAlchemy's name for a row as a mapping

    def grown(self, upload_id: str, before: int, received: int, *, length: int | None = None) -> None:
        """From so many bytes to so many, which are on the disk; and how many there will be, once that is known.

        Raises NotFound where it was removed meanwhile, Conflict where another writer was there.
        """
        with self.writing() as w:
            values = {"received": received, "expires_at": dialect.clock(w.db) + KEPT}
            if length is not None:
                values["length"] = length
            here = uploads.update().where(uploads.c.id == upload_id, uploads.c.item_id.is_(None))
            if w.db.execute(here.where(uploads.c.received == before).values(values)).rowcount == 1:
                return
            there = w.db.execute(sa.select(uploads.c.id).where(uploads.c.id == upload_id)).one_or_none()
            if there is None:
                raise _absent(upload_id)
            raise Conflict(f"upload {upload_id} was written by somebody else meanwhile: ask where it stands")

    def become(self, upload_ids: Sequence[str], item_id: str) -> None:
        """These are about to become this item: nothing is added to them. Raises NotFound where one was removed."""
        told = uploads.update().where(uploads.c.id.in_(upload_ids), _OPEN).values(item_id=item_id)
        with self.writing() as w:
            if w.db.execute(told).rowcount < len(upload_ids):
                raise _absent(upload_ids[0])

    def settle_uploads(self, upload_ids: Sequence[str]) -> None:
        """These are in the inbox: what was said of them is the item's now, and goes here."""
        told = uploads.update().where(uploads.c.id.in_(upload_ids)).values(settled=True, metadata="")
        with self.writing() as w:
            w.db.execute(told)

    def drop_upload(self, upload_id: str, *, taken: bool = False) -> bool:
        """Forget it, unless it is becoming an item and `taken` is not said; whether it was there."""
        told = uploads.delete().where(uploads.c.id == upload_id)
        with self.writing() as w:
            return bool(w.db.execute(told if taken else told.where(uploads.c.item_id.is_(None))).rowcount)

    def open_uploads(self, limit: int = 1000) -> list[Upload]:
        """Those of all owners that are no items yet, those that expire first at the head."""
        with self.reading() as r:
            found = r.db.execute(_ALL.where(_OPEN).order_by(uploads.c.expires_at, uploads.c.id).limit(limit))
            return [Upload(**row._mapping) for row in found]  # noqa: SLF001  as above

    def open_among(self, upload_ids: Collection[str]) -> set[str]:
        """Of these, the ones that are there and no items yet."""
        found: set[str] = set()
        with self.reading() as r:
            for some in chunks(sorted(upload_ids)):
                told = sa.select(uploads.c.id).where(uploads.c.id.in_(some), _OPEN)
                found.update(r.db.execute(told).scalars())
        return found


def forget_uploads(w: Writing, item_id: str) -> None:
    """The item is erased: nothing says any more that uploads became it."""
    w.db.execute(uploads.delete().where(uploads.c.item_id == item_id))


def _values(upload: Upload) -> dict[str, Any]:
    return {column.name: getattr(upload, column.name) for column in uploads.columns}


def _absent(upload_id: str) -> NotFound:
    return NotFound(f"no upload {upload_id}: it never was, has expired or was removed; begin a new one")

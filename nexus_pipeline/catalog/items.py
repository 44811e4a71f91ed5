"""Items: adding, reading, a person's changes, and the archive's few named facts."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from nexus_pipeline.catalog import by_word, dialect
from nexus_pipeline.catalog import edits as written
from nexus_pipeline.catalog.asks import rerun
from nexus_pipeline.catalog.erasing import strip
from nexus_pipeline.catalog.finding_tables import suggestions
from nexus_pipeline.catalog.rows import edit_values, new_values, step_values
from nexus_pipeline.catalog.store import Store, Writing
from nexus_pipeline.catalog.tables import item_steps, item_tags, items, pointers
from nexus_pipeline.domain.edits import Edit
from nexus_pipeline.domain.items import Item, NewItem
from nexus_pipeline.domain.states import ItemState, State, StepStatus


class Items(Store):
    """Adding, reading, changing."""

    def add(self, items: Sequence[NewItem]) -> list[Item]:
        """Insert those that are not there yet (with their steps waiting); all of them as they are now, in order.

        `created_at` rises within a batch. One that is there stays as it is; only a place in the inbox is taken over
        where it has none and raw is not done. A tombstone comes back with gen + 1, nothing left of what it was.
        """
        given = {new.id: new for new in items}
        with self.writing() as w:
            dialect.alone(w.db, dialect.ADDING)
            there = w.items(list(given), buried=True, lock=True)
            fresh = [(new, 1) for item_id, new in given.items() if item_id not in there]
            back = [(new, there[i].gen + 1) for i, new in given.items() if i in there and there[i].deleted_at]
            self._insert(w, fresh, back, list(given))
            for item_id, item in there.items():
                if item.deleted_at is None:
                    _take_place(w, item, given[item_id])
            found = w.items(list(given))
        return [found[new.id] for new in items]

    def _insert(
        self,
        w: Writing,
        fresh: Sequence[tuple[NewItem, int]],
        back: Sequence[tuple[NewItem, int]],
        order: Sequence[str],
    ) -> None:
        if not fresh and not back:
            return
        place = {item_id: n for n, item_id in enumerate(order)}
        rows = {
            new.id: new_values(new, gen, w.at + timedelta(microseconds=place[new.id])) for new, gen in (*fresh, *back)
        }
        if fresh:
            w.db.execute(items.insert(), [rows[new.id] for new, _ in fresh])
        for new, _ in back:
            strip(w, new.id)
            w.db.execute(items.update().where(items.c.id == new.id).values(rows[new.id]))
        steps = [step_values(item_id, StepStatus(step)) for item_id in rows for step in self._order]
        w.db.execute(item_steps.insert(), steps)
        tags = [
            {"item_id": i, "tag": tag, "owner": row["owner"], "created_at": row["created_at"]}
            for i, row in rows.items()
            for tag in row["tags"]
        ]
        if tags:
            w.db.execute(item_tags.insert(), tags)
        offered = [
            one
            for i, row in rows.items()
            for kind, texts in (("title", [row["title"]]), ("tag", row["tags"]))
            for one in by_word.rows(row["owner"], i, kind, texts)
        ]
        if offered:
            w.db.execute(suggestions.insert(), offered)
        for item_id in sorted(rows, key=place.__getitem__):
            w.line(item_id, "new")

    def get(self, item_id: str) -> Item:
        """One item, with its steps. Raises NotFound, also for a tombstone."""
        with self.reading() as r:
            return r.all_of([item_id])[item_id]

    def find(self, item_ids: Sequence[str]) -> dict[str, Item]:
        """Those that are there, tombstones left out, in the order asked for."""
        with self.reading() as r:
            return r.items(item_ids)

    def ids(self, prefix: str, *, owner: str, limit: int = 2) -> list[str]:
        """Ids of the owner's items that begin so, in order: people write the first few characters."""
        begin = prefix.lower()
        told = sa.select(items.c.id).where(
            items.c.id >= begin,
            items.c.id < begin + "~",  # behind everything that base32 writes
            items.c.owner == owner,
            items.c.deleted_at.is_(None),
        )
        with self.reading() as r:
            return list(r.db.execute(told.order_by(items.c.id).limit(limit)).scalars())

    def edit(
        self,
        item_id: str,
        *,
        speakers: Mapping[str, str | None] | None = None,
        edits: Sequence[Edit] = (),
        taken_back: Collection[int] = (),
        again: str | None = None,
        **fields: Any,
    ) -> Item:
        """A person's change: title, tags, language, prompt, vocabulary, engines, priority, unique, sidecar_key, names.

        A name that is None or empty is taken away. `edits` are kept over the transcript, those of the ids `taken_back`
        are not. `again`: a step in whose result title, tags, names and edits stand; where it is done and one of them is
        another now, it is asked for again in the same transaction: whoever dies then leaves nothing undone.
        Raises NotFound, and StoreError for any other field.
        """
        values = edit_values(fields)
        with self.writing() as w:
            item = w.all_of([item_id], lock=True)[item_id]
            if edits or taken_back:
                values |= written.write(w, item, edits, taken_back)
            w.set(item, values | {"updated_at": w.at})
            w.name(item, speakers or {})
            w.line(item_id, "changed")
            now = w.items([item_id])[item_id]
            if again is None or now.step(again).state is not State.DONE or _told(now) == _told(item):
                return now
            return rerun(w, now, again)

    def counts(self) -> Mapping[str, int]:
        """Items by state, tombstones left out; states that no item is in are 0."""
        with self.reading() as r:
            told = sa.select(items.c.state, sa.func.count()).where(items.c.deleted_at.is_(None)).group_by(items.c.state)
            found = dict(r.db.execute(told).tuples().all())
        return {state.value: found.get(state.value, 0) for state in ItemState}

    def pointer(self, name: str) -> str | None:
        """A named fact of the whole archive, e.g. which embedder is served."""
        with self.reading() as r:
            value: str | None = r.db.execute(
                sa.select(pointers.c.value).where(pointers.c.name == name)
            ).scalar_one_or_none()
            return value

    def point(self, name: str, value: str) -> None:
        """Set it."""
        with self.writing() as w:
            dialect.alone(w.db, dialect.ADDING)
            point(w, name, value)


def point(w: Writing, name: str, value: str) -> None:
    """Set a named fact in this transaction, which nobody else's of this kind is beside."""
    w.db.execute(pointers.delete().where(pointers.c.name == name))
    w.db.execute(pointers.insert(), {"name": name, "value": value})


def _told(item: Item) -> tuple[object, ...]:
    return item.title, item.tags, item.speakers, item.edited


def _take_place(w: Writing, item: Item, new: NewItem) -> None:
    if item.step("raw").state is State.DONE:
        return
    told = {"inbox_key": new.inbox_key, "sidecar_key": new.sidecar_key}
    values = {name: key for name, key in told.items() if key is not None and getattr(item, name) is None}
    if values:
        w.set(item, values)

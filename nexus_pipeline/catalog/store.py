"""The connection, its transactions, and what every part of the catalog does in one: load items, move steps.

All transitions of steps go through `Writing.move`: it looks at the table of states, writes the steps' rows, the item's
state and the lines of `changes` in the transaction of the caller. Lines are inserted last: PostgreSQL lets one
transaction at a time do that (see `dialect`), so whoever is there must wait for nothing else any more.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

import sqlalchemy as sa

from nexus_pipeline.catalog import by_word, dialect, opening
from nexus_pipeline.catalog.finding_tables import suggestions
from nexus_pipeline.catalog.rows import ITEM_COLUMNS, STEP_COLUMNS, STEP_NAMES, chunks, step_values, to_item, to_status
from nexus_pipeline.catalog.tables import changes, item_steps, item_tags, items, speakers
from nexus_pipeline.domain.errors import NotFound, StoreError
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.states import State, StepStatus, may_become

_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_ITEMS = sa.select(*ITEM_COLUMNS).where(items.c.id.in_(_IDS)).order_by(items.c.id)
# not FOR UPDATE: rows that refer to the item may be inserted meanwhile
_LOCKED = _ITEMS.with_for_update(key_share=True)
_STEPS = sa.select(*STEP_COLUMNS).where(item_steps.c.item_id.in_(_IDS))
_NAMES = sa.select(speakers).where(speakers.c.item_id.in_(_IDS)).order_by(speakers.c.label)
_SET_STEP = (
    item_steps.update()
    .where(item_steps.c.item_id == sa.bindparam("_item_id"), item_steps.c.step == sa.bindparam("_step"))
    .values({name: sa.bindparam(name) for name in STEP_NAMES if name != "step"})
)
_SET_STATE = (
    items.update()
    .where(items.c.id == sa.bindparam("_id"))
    .values(state=sa.bindparam("state"), updated_at=sa.bindparam("updated_at"))
)
_ADD_LINES = changes.insert()


@dataclass(slots=True)
class Reading:
    """A transaction that reads: one view of all tables on SQLite, statement by statement the newest on PostgreSQL."""

    db: sa.Connection
    order: Mapping[str, int]
    """The chain's steps and their places."""

    def items(self, item_ids: Sequence[str], *, buried: bool = False, lock: bool = False) -> dict[str, Item]:
        """Those that are there, with their steps, in the order asked for; tombstones only if `buried`.

        `lock`: nobody else writes them until this transaction ends; taken in the order of ids, so that two never wait
        for each other.
        """
        found: dict[str, Item] = {}
        wanted = sorted(set(item_ids))
        for some in chunks(wanted):
            rows = self.db.execute(_LOCKED if lock else _ITEMS, {"ids": some}).all()
            steps = self._steps(some)
            names = self._names(some)
            told = (to_item(row, steps.get(row.id, ()), names.get(row.id, {})) for row in rows)
            found.update((item.id, item) for item in told if buried or item.deleted_at is None)
        return {item_id: found[item_id] for item_id in dict.fromkeys(item_ids) if item_id in found}

    def all_of(self, item_ids: Sequence[str], *, buried: bool = False, lock: bool = False) -> dict[str, Item]:
        """The same, where all of them must be there. Raises NotFound, naming those that are not."""
        found = self.items(item_ids, buried=buried, lock=lock)
        missing = [item_id for item_id in dict.fromkeys(item_ids) if item_id not in found]
        if missing:
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""  # noqa: PLR2004  a line's length
            raise NotFound(f"no item {', '.join(missing[:10])}{more}: see `nexus ls` for those that are there")
        return found

    def _names(self, item_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        names: dict[str, dict[str, str]] = {}
        for item_id, label, name in self.db.execute(_NAMES, {"ids": item_ids}):
            names.setdefault(item_id, {})[label] = name
        return names

    def _steps(self, item_ids: Sequence[str]) -> dict[str, tuple[StepStatus, ...]]:
        steps: dict[str, list[StepStatus]] = {}
        for row in self.db.execute(_STEPS, {"ids": item_ids}):
            steps.setdefault(row.item_id, []).append(to_status(row))
        last = len(self.order)
        return {
            item_id: tuple(sorted(told, key=lambda s: self.order.get(s.step, last))) for item_id, told in steps.items()
        }


@dataclass(slots=True)
class Writing(Reading):
    """A transaction that writes."""

    at: datetime
    lines: list[dict[str, Any]] = field(default_factory=list)

    def line(self, item_id: str, state: str, step: StepStatus | None = None, *, kind: str | None = None) -> None:
        """A line of `changes`, of a step or of the item itself; inserted when the transaction ends."""
        self.lines.append({
            "item_id": item_id,
            "kind": kind or ("item" if step is None else "step"),
            "step": None if step is None else step.step,
            "state": str(state),
            "phase": None if step is None else step.phase,
            "progress": 0.0 if step is None else step.progress,
            "at": self.at,
        })  # fmt: skip

    def move(self, moves: Iterable[tuple[Item, Sequence[StepStatus]]]) -> list[Item]:
        """Write these steps of these items, which must be locked and as they are now; the items as they are then.

        Raises StoreError for a step that may not become what it is to be.
        """
        moved, steps, states = [], [], []
        for item, statuses in moves:
            for status in statuses:
                steps.append(self._checked(item, status))
                self.line(item.id, status.state, status)
            after = self._with(item, statuses)
            moved.append(after)
            states.append({"_id": item.id, "state": after.state.value, "updated_at": self.at})
        if steps:
            self.db.execute(_SET_STEP, steps)
        if states:
            self.db.execute(_SET_STATE, states)
        return moved

    def _checked(self, item: Item, status: StepStatus) -> dict[str, Any]:
        before = next((s for s in item.steps if s.step == status.step), None)
        if before is None:  # the item is older than the step, or the chain has none of this name
            if status.step not in self.order:
                raise StoreError(f"the chain has no step {status.step}: it has {', '.join(self.order)}")
            before = StepStatus(status.step)
            self.db.execute(item_steps.insert(), step_values(item.id, before))
        if not may_become(before.state, status.state):
            raise StoreError(
                f"item {item.id}: step {status.step} is {before.state} and cannot become {status.state}: "
                "domain.states has the table"
            )
        values = step_values(item.id, status)
        return values | {"_item_id": values.pop("item_id"), "_step": values.pop("step")}

    def _with(self, item: Item, statuses: Sequence[StepStatus]) -> Item:
        new = {s.step: s for s in (*item.steps, *statuses)}
        last = len(self.order)
        steps = tuple(sorted(new.values(), key=lambda s: self.order.get(s.step, last)))
        return replace(item, steps=steps, updated_at=self.at)

    def tag(self, item: Item, tags: Sequence[str]) -> None:
        """The item's rows in `item_tags` are these."""
        self.db.execute(item_tags.delete().where(item_tags.c.item_id == item.id))
        if tags:
            rows = [{"item_id": item.id, "tag": t, "owner": item.owner, "created_at": item.created_at} for t in tags]
            self.db.execute(item_tags.insert(), rows)
        self.suggest(item, "tag", tags)

    def suggest(self, item: Item, kind: str, texts: Iterable[str]) -> None:
        """Who types is offered these of the item, and no others of the kind: title, tag, speaker, inferred."""
        c = suggestions.c
        self.db.execute(suggestions.delete().where(c.item_id == item.id, c.kind == kind))
        if rows := by_word.rows(item.owner, item.id, kind, texts):
            self.db.execute(suggestions.insert(), rows)

    def name(self, item: Item, names: Mapping[str, str | None]) -> None:
        """Names of speakers by their labels; None and nothing take a name away, labels left out stay as they are."""
        here = speakers.c.item_id == item.id
        self.db.execute(speakers.delete().where(here, speakers.c.label.in_(list(names))))
        rows = [{"item_id": item.id, "label": label, "name": name} for label, name in names.items() if name]
        if rows:
            self.db.execute(speakers.insert(), rows)

    def set(self, item: Item, values: Mapping[str, Any]) -> None:
        """Columns of the item's own row; what is kept of its tags and title in other tables follows."""
        if values:
            self.db.execute(items.update().where(items.c.id == item.id).values(**values))
        if "tags" in values:
            self.tag(item, values["tags"])
        if "title" in values:
            self.suggest(item, "title", [values["title"]])


def waiting(status: StepStatus, *, fresh: bool = False) -> StepStatus:
    """The step as it waits again: without error, its last result still named. `fresh`: attempts count from 0."""
    return replace(
        status,
        state=State.WAITING,
        reason=None,
        phase=None,
        attempt=0 if fresh else status.attempt,
        error_code=None,
        error_message=None,
        retryable=False,
        next_attempt_at=None,
        progress=0.0,
        started_at=None,
        ended_at=None,
    )


class Store:
    """An opened catalog: a pool of connections, used by many threads."""

    def __init__(self, url: str, steps: Sequence[str]) -> None:
        self._url = dialect.parsed(url)
        self._order = {step: place for place, step in enumerate(steps)}
        self._reader, self._writer = dialect.connected(self._url)
        self._turn = dialect.turn(self._url)

    @classmethod
    def open(cls, url: str, steps: Sequence[str]) -> Self:
        """The catalog at an SQLAlchemy URL, its tables brought up to date; `steps`: the chain's names in order.

        Any number of processes may do so at once. Raises StoreError where it cannot be reached or is damaged.
        """
        opening.migrate(dialect.parsed(url))
        return cls(url, steps)

    def close(self) -> None:
        """Give back the connections that nobody uses; the catalog can be used on."""
        self._reader.dispose()

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """A transaction that only reads. Raises StoreError."""
        with dialect.translated(self._url), self._reader.begin() as db:
            yield Reading(db, self._order)

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """A transaction that writes all or, when anything is raised in it, nothing. Raises StoreError, StoreFull."""
        with dialect.translated(self._url), self._turn, self._writer.begin() as db:
            writing = Writing(db, self._order, datetime.now(UTC))
            yield writing
            if writing.lines:
                dialect.alone(db, dialect.IN_ORDER)
                db.execute(_ADD_LINES, writing.lines)

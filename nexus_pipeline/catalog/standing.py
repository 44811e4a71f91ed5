"""How items stand: counts for an overview and for monitoring, each from an index or one pass over an owner's items."""

from collections import Counter
from datetime import datetime

import sqlalchemy as sa

from nexus_pipeline.catalog.store import Reading, Store
from nexus_pipeline.catalog.tables import item_steps, items, leases
from nexus_pipeline.domain.items import Lane
from nexus_pipeline.domain.listing import Backlog, LaneCount, Standing, StepCount, Throughput, Used
from nexus_pipeline.domain.states import ItemState, State

_OPEN = sa.text("item_steps.state NOT IN ('done', 'skipped')")
_LAST = sa.text("item_steps.step = 'embedding'")
"""Literal, as in the partial indexes: else SQLite does not see that they serve."""


class Standings(Store):
    """Counting."""

    def standing(self, owner: str) -> Standing:
        """Items by state, open steps by step, state and error, lanes, and how much there is."""
        alive = (items.c.owner == owner, items.c.deleted_at.is_(None))
        with self.reading() as r:
            by_state = sa.select(
                items.c.state, sa.func.count(), sa.func.sum(items.c.bytes), sa.func.sum(items.c.duration_s)
            )
            rows = r.db.execute(by_state.where(*alive).group_by(items.c.state)).tuples().all()
            counts = {state: count for state, count, _, _ in rows}
            return Standing(
                items={state.value: counts.get(state.value, 0) for state in ItemState},
                open=self._open(r, owner),
                lanes=self._lanes(r, owner),
                bytes=int(sum(size or 0 for _, _, size, _ in rows)),
                duration_s=float(sum(seconds or 0 for _, _, _, seconds in rows)),
            )

    def throughput(self, owner: str, since: datetime) -> Throughput:
        """Items whose last step was done since then, and their seconds."""
        told = sa.select(sa.func.count(), sa.func.sum(items.c.duration_s)).select_from(item_steps)
        told = told.join(items, items.c.id == item_steps.c.item_id)
        told = told.where(_LAST, item_steps.c.ended_at >= since, item_steps.c.state == State.DONE.value)
        with self.reading() as r:
            count, seconds = r.db.execute(told.where(items.c.owner == owner, items.c.deleted_at.is_(None))).one()
        return Throughput(int(count), float(seconds or 0))

    def used(self, owner: str) -> Used:
        """The owner's items, their bytes as fetched and their seconds."""
        told = sa.select(sa.func.count(), sa.func.sum(items.c.bytes), sa.func.sum(items.c.duration_s))
        with self.reading() as r:
            count, size, seconds = r.db.execute(told.where(items.c.owner == owner, items.c.deleted_at.is_(None))).one()
        return Used(int(count), int(size or 0), float(seconds or 0))

    def backlog(self) -> list[Backlog]:
        """Steps that wait or run, by lane, step and state, of all owners; what there is none of is left out."""
        lane = sa.func.coalesce(items.c.lane, Lane.NOW.value)
        told = sa.select(lane, item_steps.c.step, item_steps.c.state, sa.func.count())
        told = told.join(items, items.c.id == item_steps.c.item_id)
        told = told.where(_OPEN, item_steps.c.state.in_([State.WAITING.value, State.RUNNING.value]))
        told = told.where(items.c.deleted_at.is_(None)).group_by(items.c.lane, item_steps.c.step, item_steps.c.state)
        with self.reading() as r:
            found = Counter[tuple[str, str, str]]()
            for *key, count in r.db.execute(told).tuples():
                found[(key[0], key[1], key[2])] += count
        return [Backlog(*key, count) for key, count in sorted(found.items())]

    def _open(self, r: Reading, owner: str) -> tuple[StepCount, ...]:
        told = sa.select(item_steps.c.step, item_steps.c.state, item_steps.c.error_code, sa.func.count())
        told = told.join(items, items.c.id == item_steps.c.item_id)
        told = told.where(_OPEN, items.c.owner == owner, items.c.deleted_at.is_(None))
        told = told.group_by(item_steps.c.step, item_steps.c.state, item_steps.c.error_code)
        found = [StepCount(*row) for row in r.db.execute(told).tuples()]
        last = len(self._order)
        return tuple(sorted(found, key=lambda c: (self._order.get(c.step, last), c.state, c.error_code or "")))

    def _lanes(self, r: Reading, owner: str) -> tuple[LaneCount, ...]:
        held = sa.exists().where(leases.c.item_id == items.c.id)
        told = sa.select(sa.func.coalesce(items.c.lane, Lane.NOW.value), sa.func.count()).group_by(items.c.lane)
        told = told.where(items.c.owner == owner, items.c.deleted_at.is_(None))
        unfinished = items.c.state.in_([ItemState.WAITING.value, ItemState.RUNNING.value])
        running = Counter[str]()
        waiting = Counter[str]()
        for counts, wanted in ((running, held), (waiting, ~held)):
            for lane, count in r.db.execute(told.where(unfinished, wanted)).tuples():
                counts[lane] += count
        return tuple(LaneCount(lane.value, running[lane.value], waiting[lane.value]) for lane in Lane)

"""How an owner's items stand: counts for an overview, each from an index or from one pass over the owner's items."""

from collections import Counter
from datetime import datetime

import sqlalchemy as sa

from nexus_pipeline.catalog.store import Reading, Store
from nexus_pipeline.catalog.tables import item_steps, items, leases
from nexus_pipeline.domain.items import Lane
from nexus_pipeline.domain.listing import LaneCount, Standing, StepCount, Throughput
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

"""Leases: one item, one worker. Who holds none writes nothing of a step.

An item that is given back with somebody's wish to stop it still open is cancelled on the spot, whether its run honoured
the wish or died.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from nexus_pipeline.catalog import dialect
from nexus_pipeline.catalog.rows import chunks
from nexus_pipeline.catalog.store import Store, Writing, waiting
from nexus_pipeline.catalog.tables import EPOCH, asks, items, leases
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.listing import Lease
from nexus_pipeline.domain.states import State, StepStatus

DEAD_AFTER_S = 60.0
"""A lease silent for so long is dead: design of leases; runs beat every few seconds."""

STOPPABLE = frozenset({State.WAITING, State.BLOCKED, State.FAILED, State.RUNNING})
"""What a cancelled item's steps are moved from; what is done stays done."""

_LEASES = sa.select(leases.c.item_id, leases.c.run_id, leases.c.gen, leases.c.beat_at)
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_LOCKED = _LEASES.where(leases.c.item_id.in_(_IDS)).order_by(leases.c.item_id).with_for_update(key_share=True)
_DELETE = leases.delete().where(leases.c.item_id.in_(_IDS))
_CANCELS = sa.select(asks.c.item_id).where(asks.c.item_id.in_(_IDS), asks.c.ask == "cancel")


class Leases(Store):
    """Taking items, and giving them back."""

    def lease(
        self, item_ids: Sequence[str], run_id: str, *, lane: str | None = None, dead_after_s: float = DEAD_AFTER_S
    ) -> dict[str, Item]:
        """Take those whose lease is free, ours or silent for `dead_after_s`; what was taken, as it is now.

        Steps that ran under somebody else wait again. Tombstones and unknown ids are left out.
        """
        with self.writing() as w:
            found = w.items(item_ids, lock=True)
            now = dialect.clock(w.db)
            held = held_by(w, list(found))
            limit = now - timedelta(seconds=dead_after_s)
            free = {
                i: x for i, x in found.items() if i not in held or held[i].run_id == run_id or held[i].beat_at < limit
            }
            given_up = {i: x for i, x in free.items() if i not in held or held[i].run_id != run_id}
            cancelled = _settle(w, given_up)
            taken = {i: x for i, x in w.items(list(free)).items() if i not in cancelled}
            _replace(w, [Lease(i, run_id, x.gen, now) for i, x in taken.items()])
            for some in chunks(list(taken)):
                told = {"requested_at": EPOCH} | ({"lane": lane} if lane else {})
                w.db.execute(items.update().where(items.c.id.in_(some)).values(told))
            return taken

    def beat(self, run_id: str) -> None:
        """All leases of this run live on."""
        with self.writing() as w:
            ids = w.db.execute(_of_run(run_id)).scalars().all()
            if ids:
                w.db.execute(leases.update().where(leases.c.run_id == run_id).values(beat_at=dialect.clock(w.db)))

    def release(self, run_id: str, item_ids: Sequence[str] | None = None) -> None:
        """Give them back, or all that the run holds; steps that still run there wait again."""
        with self.writing() as w:
            mine = item_ids
            if mine is None:
                mine = w.db.execute(sa.select(leases.c.item_id).where(leases.c.run_id == run_id)).scalars().all()
            found = w.items(mine, buried=True, lock=True)
            ours = [i for i, lease in held_by(w, list(found)).items() if lease.run_id == run_id]
            _settle(w, {i: found[i] for i in ours})
            for some in chunks(ours):
                w.db.execute(_DELETE, {"ids": some})

    def leased(self, item_ids: Sequence[str]) -> set[str]:
        """Of these, the items that a run holds, be it alive or dead."""
        held: set[str] = set()
        with self.reading() as r:
            for some in chunks(item_ids):
                held.update(r.db.execute(sa.select(leases.c.item_id).where(leases.c.item_id.in_(some))).scalars())
        return held

    def dead_leases(self, silent_s: float = DEAD_AFTER_S) -> list[Lease]:
        """Leases whose run has not been heard of for so long, the longest silent first."""
        with self.reading() as r:
            limit = dialect.clock(r.db) - timedelta(seconds=silent_s)
            rows = r.db.execute(_LEASES.where(leases.c.beat_at < limit).order_by(leases.c.beat_at)).all()
            return [Lease(*row) for row in rows]


def held_by(w: Writing, item_ids: Sequence[str]) -> dict[str, Lease]:
    """The leases of these items, locked in the order of ids as everywhere."""
    held: dict[str, Lease] = {}
    for some in chunks(sorted(item_ids)):
        held.update((row.item_id, Lease(*row)) for row in w.db.execute(_LOCKED, {"ids": some}))
    return held


def living(w: Writing, item_ids: Sequence[str]) -> set[str]:
    """Of these, the items on which a run works that has been heard of lately."""
    limit: datetime = dialect.clock(w.db) - timedelta(seconds=DEAD_AFTER_S)
    return {i for i, lease in held_by(w, item_ids).items() if lease.beat_at >= limit}


def cancelled_steps(item: Item, at: datetime, *, running: bool) -> list[StepStatus]:
    """What a person's wish to stop makes of an item's steps; those that run only if nobody works on them."""
    stopped = STOPPABLE if running else STOPPABLE - {State.RUNNING}
    return [replace(waiting(s), state=State.CANCELLED, ended_at=at) for s in item.steps if s.state in stopped]


def _of_run(run_id: str) -> sa.Select[Any]:
    told = sa.select(leases.c.item_id).where(leases.c.run_id == run_id).order_by(leases.c.item_id)
    return told.with_for_update(key_share=True)


def _settle(w: Writing, given_up: Mapping[str, Item]) -> set[str]:
    """Nobody works on these any more: what ran waits again; where a person wanted it stopped it is cancelled."""
    stopped: set[str] = set()
    for some in chunks(list(given_up)):
        stopped.update(w.db.execute(_CANCELS, {"ids": some}).scalars())
    for some in chunks(list(stopped)):
        w.db.execute(asks.delete().where(asks.c.item_id.in_(some), asks.c.ask == "cancel"))
    moves = []
    for item_id, item in given_up.items():
        if item_id in stopped:
            steps = cancelled_steps(item, w.at, running=True)
        else:
            steps = [waiting(s) for s in item.steps if s.state is State.RUNNING]
        if steps:
            moves.append((item, steps))
    w.move(moves)
    return stopped


def _replace(w: Writing, taken: Sequence[Lease]) -> None:
    for some in chunks([lease.item_id for lease in taken]):
        w.db.execute(_DELETE, {"ids": some})
    rows = [{"item_id": x.item_id, "run_id": x.run_id, "gen": x.gen, "beat_at": x.beat_at} for x in taken]
    if rows:
        w.db.execute(leases.insert(), rows)

"""What people want done to items, and which items are due for a run.

An ask is written in one transaction with the items' new states. `items.requested_at` says when a run was last asked
for: it tells an item that waits for its run from one whose run was lost on the way.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from nexus_pipeline.catalog import dialect
from nexus_pipeline.catalog.leases import DEAD_AFTER_S, cancelled_steps, living
from nexus_pipeline.catalog.related import inherit
from nexus_pipeline.catalog.rows import LOST_AFTER_S, chunks
from nexus_pipeline.catalog.store import Store, Writing, waiting
from nexus_pipeline.catalog.tables import asks, item_steps, items, leases
from nexus_pipeline.domain.errors import StoreError
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.listing import Ask
from nexus_pipeline.domain.states import State, StepStatus

RETRY, RERUN, CANCEL, UNLINK, ADOPT = "retry", "rerun", "cancel", "unlink", "adopt"
_RUNS = (RETRY, RERUN, UNLINK, ADOPT)
_CLOSES = dict.fromkeys(_RUNS, (CANCEL,)) | {CANCEL: _RUNS}
"""What a person said before and takes back by asking this."""

LOOKED_AT_EVERY_S = 60.0
"""Blocked steps are looked at again so often."""
_STUCK = frozenset({State.FAILED, State.BLOCKED, State.CANCELLED})


class Asks(Store):
    """Asks, and what is due."""

    def ask(self, ask: str, item_ids: Sequence[str], *, from_step: str | None = None) -> list[Item]:
        """Write the asks and, in the same transaction, the items' new states; those items as they are now.

        `retry`: failed, blocked and cancelled steps wait again, their attempts counted anew. `rerun`: `from_step` (or
        the first) and all after it do. `unlink`: the item is no duplicate and never will be; what follows the
        fingerprint waits. `adopt`: the same, but it may be found to be one again. `cancel`: whatever is not done is
        cancelled at once; where a run works on the item, what it is at goes on until it looks at `cancel_asked`, and
        only then a row is left. A later ask takes back its opposite.

        Raises NotFound, naming the items that are not there, and nothing is written; StoreError for an unknown ask.
        """
        if ask not in _CLOSES:
            raise StoreError(f"nobody can ask for {ask}: asks are {', '.join(_CLOSES)}")
        if from_step is not None and from_step not in self._order:
            raise StoreError(f"the chain has no step {from_step}: it has {', '.join(self._order)}")
        with self.writing() as w:
            if ask in {UNLINK, ADOPT}:
                dialect.alone(w.db, dialect.LINKING)
            found = w.all_of(item_ids, lock=True)
            alive = living(w, list(found))
            for some in chunks(list(found)):
                w.db.execute(asks.delete().where(asks.c.item_id.in_(some), asks.c.ask.in_(_CLOSES[ask])))
            moves = [(x, self._asked(w, ask, x, from_step, alive=x.id in alive)) for x in found.values()]
            w.move(moves)
            _note(w, ask, [i for i in found if ask != CANCEL or i in alive], from_step)
            if ask in {UNLINK, ADOPT}:
                for item in found.values():
                    inherit(w, item)
                _unlink(w, list(found), for_good=ask == UNLINK)
            if ask != CANCEL:
                _mark(w, list(found))
            return list(w.items(list(found)).values())

    def asks(self, limit: int = 1000) -> list[Ask]:
        """Open asks, oldest first. A `cancel` closes by itself when its item is given back."""
        with self.reading() as r:
            told = sa.select(asks.c.id, asks.c.ask, asks.c.item_id, asks.c.from_step, asks.c.at)
            return [Ask(*row) for row in r.db.execute(told.order_by(asks.c.id).limit(limit))]

    def answered(self, ask_ids: Sequence[int]) -> None:
        """These are carried out."""
        with self.writing() as w:
            for some in chunks(ask_ids):
                w.db.execute(asks.delete().where(asks.c.id.in_(some)))

    def cancel_asked(self, item_ids: Sequence[str]) -> set[str]:
        """Of these, the ones that a person wants stopped."""
        wanted: set[str] = set()
        with self.reading() as r:
            for some in chunks(item_ids):
                told = sa.select(asks.c.item_id).where(asks.c.item_id.in_(some), asks.c.ask == CANCEL)
                wanted.update(r.db.execute(told).scalars())
        return wanted

    def due(self, limit: int = 1000) -> list[Item]:
        """Items without a living lease that want a run: none of them is marked, see `requested`.

        First those with a failed step whose next attempt has come, then those with a step blocked for a minute, then
        those that wait and for which no run was asked in the last 10 minutes (a new one: within 30 s of its coming).
        """
        with self.reading() as r:
            now = dialect.clock(r.db)
            due: list[str] = []
            for told in (_retries(now), _blocked(now), _lost(now)):
                if len(due) < limit:
                    due.extend(r.db.execute(told.limit(limit)).scalars())
            return list(r.items(list(dict.fromkeys(due))[:limit]).values())

    def requested(self, item_ids: Sequence[str], lane: str | None = None) -> None:
        """A run has been asked for these: retries that are due and blocked steps wait again, and are due no more."""
        with self.writing() as w:
            found = w.items(item_ids, lock=True)
            moves = [(x, steps) for x in found.values() if (steps := [waiting(s) for s in x.steps if _is_due(s, w.at)])]
            w.move(moves)
            _mark(w, list(found), lane)

    def _asked(self, w: Writing, ask: str, item: Item, from_step: str | None, *, alive: bool) -> list[StepStatus]:
        if ask == CANCEL:
            return cancelled_steps(item, w.at, running=not alive)
        if ask == RETRY:
            return [_again(s) for s in item.steps if s.state in _STUCK]
        first = self._order[from_step] if from_step else 0
        if ask in {UNLINK, ADOPT}:
            first = self._order["fingerprint"] + 1
        return _from(w, item, first, alive=alive)


def rerun(w: Writing, item: Item, from_step: str) -> Item:
    """The ask of this name in somebody else's transaction: the step and what follows it is done again; the item then.

    An ask to cancel is not taken back: this one follows from what a person wrote.
    """
    (moved,) = w.move([(item, _from(w, item, w.order[from_step], alive=bool(living(w, [item.id]))))])
    _note(w, RERUN, [item.id], from_step)
    _mark(w, [item.id])
    return moved


def _from(w: Writing, item: Item, first: int, *, alive: bool) -> list[StepStatus]:
    """All from a place in the chain on wait; what a living run is at lands as it does, and a run after it answers."""
    wanted = (s for s in item.steps if w.order.get(s.step, -1) >= first)
    return [_again(s) for s in wanted if s.state is not State.RUNNING or not alive]


def _again(status: StepStatus) -> StepStatus:
    return waiting(status, fresh=True)


def _note(w: Writing, ask: str, item_ids: Sequence[str], from_step: str | None) -> None:
    for some in chunks(item_ids):
        same = asks.c.item_id.in_(some) & (asks.c.ask == ask) & asks.c.from_step.is_not_distinct_from(from_step)
        there = set(w.db.execute(sa.select(asks.c.item_id).where(same)).scalars())
        rows = [
            {"item_id": item_id, "ask": ask, "from_step": from_step, "at": w.at}
            for item_id in some
            if item_id not in there
        ]
        if rows:
            w.db.execute(asks.insert(), rows)


def _is_due(status: StepStatus, now: datetime) -> bool:
    if status.state is State.FAILED:
        return status.next_attempt_at is not None and status.next_attempt_at <= now
    return status.state is State.BLOCKED


def _unlink(w: Writing, item_ids: Sequence[str], *, for_good: bool) -> None:
    values = {"duplicate_of": None, "duplicate_offset_s": 0.0} | ({"unique": True} if for_good else {})
    for some in chunks(item_ids):
        w.db.execute(items.update().where(items.c.id.in_(some)).values(values))
    # their states may have been `duplicate`
    w.move([(item, ()) for item in w.items(item_ids).values()])


def _mark(w: Writing, item_ids: Sequence[str], lane: str | None = None) -> None:
    told = {"requested_at": w.at} | ({"lane": lane} if lane else {})
    for some in chunks(item_ids):
        w.db.execute(items.update().where(items.c.id.in_(some)).values(told))


def _free(now: datetime, item_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    alive = now - timedelta(seconds=DEAD_AFTER_S)
    return ~sa.exists().where(leases.c.item_id == item_id, leases.c.beat_at >= alive)


def _steps(state: State, when: sa.Column[Any], before: datetime) -> sa.Select[tuple[str]]:
    here: sa.ColumnClause[str] = sa.literal_column(
        f"'{state.value}'"
    )  # literal: else SQLite does not see that the partial index serves
    told = sa.select(item_steps.c.item_id).join(items, items.c.id == item_steps.c.item_id)
    told = told.where(item_steps.c.state == here, when <= before, items.c.deleted_at.is_(None))
    return told.where(_free(before, item_steps.c.item_id)).order_by(when, item_steps.c.item_id)


def _retries(now: datetime) -> sa.Select[tuple[str]]:
    return _steps(State.FAILED, item_steps.c.next_attempt_at, now)


def _blocked(now: datetime) -> sa.Select[tuple[str]]:
    told = _steps(State.BLOCKED, item_steps.c.ended_at, now)
    return told.where(item_steps.c.ended_at <= now - timedelta(seconds=LOOKED_AT_EVERY_S))


def _lost(now: datetime) -> sa.Select[tuple[str]]:
    told = sa.select(items.c.id).where(items.c.state == State.WAITING.value, items.c.deleted_at.is_(None))
    told = told.where(_free(now, items.c.id))
    told = told.where(
        items.c.requested_at < now - timedelta(seconds=LOST_AFTER_S),
        ~sa.exists().where(item_steps.c.item_id == items.c.id, item_steps.c.state == State.FAILED.value),
    )
    return told.order_by(items.c.requested_at, items.c.id)

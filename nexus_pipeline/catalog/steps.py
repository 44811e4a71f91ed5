"""How a step goes on: it begins, advances and lands, each in one transaction and under the lease."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from nexus_pipeline.catalog import promises
from nexus_pipeline.catalog.rows import fact_values
from nexus_pipeline.catalog.store import Store, Writing
from nexus_pipeline.catalog.tables import item_steps, items, leases
from nexus_pipeline.domain.errors import LeaseLost, NotFound, StoreError
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.states import State, StepStatus
from nexus_pipeline.domain.timeline import ActionItem

TOLD_EVERY = 20
"""Lines of `changes` that a step's progress makes at most, one every 5 %; each new phase makes one more."""

_ENDED = frozenset({State.DONE, State.SKIPPED})
_KEEP_RESULT = frozenset({State.FAILED, State.BLOCKED, State.CANCELLED, State.WAITING})

_LOCK = (
    sa.select(items.c.gen, items.c.deleted_at, items.c.titled)
    .where(items.c.id == sa.bindparam("id"))
    .with_for_update(key_share=True)
)
# a statement of its own: on PostgreSQL one that had to wait for the lock sees the lease as it was before
_HOLDER = sa.select(leases.c.run_id).where(leases.c.item_id == sa.bindparam("id"))
_PROGRESS = sa.select(item_steps.c.state, item_steps.c.phase, item_steps.c.progress).where(
    item_steps.c.item_id == sa.bindparam("id"), item_steps.c.step == sa.bindparam("name")
)
_ADVANCE = (
    item_steps.update()
    .where(item_steps.c.item_id == sa.bindparam("id"), item_steps.c.step == sa.bindparam("name"))
    .values(progress=sa.bindparam("progress"), phase=sa.bindparam("phase"))
)


class Steps(Store):
    """What a run writes. Everything raises LeaseLost where the run does not hold the item at this gen."""

    def begin(self, item: Item, step: str, run_id: str, root_run_id: str, engine: str | None = None) -> None:
        """The step runs: attempt + 1, progress 0, no error; its last result stays named until it lands."""
        with self.writing() as w:
            now, _ = _held(w, item, run_id)
            before = now.step(step)
            runs = StepStatus(
                step,
                State.RUNNING,
                version_key=before.version_key,
                blob=before.blob,
                engine=engine,
                attempt=before.attempt + 1,
                run_id=run_id,
                root_run_id=root_run_id,
                started_at=w.at,
            )
            w.move([(now, [runs])])

    def advance(
        self,
        item: Item,
        step: str,
        run_id: str,
        progress: float,
        phase: str | None = None,
        *,
        heard: int | None = None,
    ) -> None:
        """How far it is, 0 to 1; None leaves the phase as it is. A change is logged every 5 % and every new phase.

        `heard`: the number of a window whose segments can be read now; a line of kind `segments` says so.
        Raises StoreError where the step does not run.
        """
        done = min(max(progress, 0.0), 1.0) if math.isfinite(progress) else 0.0
        with self.writing() as w:
            _check(w, item, run_id)
            before = w.db.execute(_PROGRESS, {"id": item.id, "name": step}).one_or_none()
            if before is None or before.state != State.RUNNING:
                raise StoreError(f"item {item.id}: step {step} does not run, so it cannot advance: begin it first")
            phase = phase or before.phase
            w.db.execute(_ADVANCE, {"id": item.id, "name": step, "progress": done, "phase": phase})
            if phase != before.phase or int(done * TOLD_EVERY) != int(before.progress * TOLD_EVERY):
                w.line(item.id, State.RUNNING, StepStatus(step, State.RUNNING, phase=phase, progress=done))
            if heard is not None:
                window = StepStatus(step, State.RUNNING, phase=str(heard), progress=done)
                w.line(item.id, State.RUNNING, window, kind="segments")

    def land(self, item: Item, status: StepStatus, facts: Mapping[str, Any] | None = None) -> Item:
        """The commit point: the step's new state and facts that belong on the item; the item as it is now.

        `status.run_id` names the run that holds the lease. The attempt is the row's. What `status` leaves open of
        engine, root run and start stays as it was, and so does the last result where the new one is none (failed,
        blocked, cancelled, waiting). A title is taken only if no person gave one; tags are added to those there are;
        `action_items` (of domain.timeline, as dictionaries) are what was promised in it: what people did to those of
        earlier runs stays.
        `suggested` (speaker, inferred: texts) is what people are offered while they type.
        Raises StoreError for a transition that is not in the table, and for facts that items have no place for.
        """
        with self.writing() as w:
            now, titled = _held(w, item, status.run_id)
            told = dict(facts or {})
            promised = told.pop("action_items", None)
            suggested = told.pop("suggested", {})
            values = fact_values(told, now, titled=titled)
            w.set(now, values)
            if promised is not None:
                promises.keep(w, now, [ActionItem(**one) for one in promised])
            for kind, texts in suggested.items():
                w.suggest(now, kind, texts)
            moved = w.move([(now, [_landed(now.step(status.step), status, w)])])
            return w.items([item.id])[item.id] if values else moved[0]


def _landed(before: StepStatus, status: StepStatus, w: Writing) -> StepStatus:
    ends = status.state not in {State.WAITING, State.RUNNING}
    keeps = status.state in _KEEP_RESULT
    return replace(
        status,
        attempt=before.attempt,
        engine=status.engine or before.engine,
        root_run_id=status.root_run_id or before.root_run_id,
        version_key=status.version_key or (before.version_key if keeps else None),
        blob=status.blob or (before.blob if keeps else None),
        progress=1.0 if status.state in _ENDED else status.progress,
        started_at=status.started_at or before.started_at,
        ended_at=(status.ended_at or w.at) if ends else None,
    )


def _held(w: Writing, item: Item, run_id: str | None) -> tuple[Item, bool]:
    """The item as it is now, locked, and whether a person gave its title."""
    titled = _check(w, item, run_id)
    return w.items([item.id])[item.id], titled


def _check(w: Writing, item: Item, run_id: str | None) -> bool:
    row = w.db.execute(_LOCK, {"id": item.id}).one_or_none()
    if row is None:
        raise NotFound(f"no item {item.id}: see `nexus ls` for those that are there")
    if row.deleted_at is not None or row.gen != item.gen:
        raise LeaseLost(f"item {item.id} was deleted or made anew meanwhile: what run {run_id} did is dropped")
    holder = w.db.execute(_HOLDER, {"id": item.id}).scalar_one_or_none()
    if holder is None or holder != run_id:
        raise LeaseLost(
            f"item {item.id} is held by {holder or 'nobody'}, not by run {run_id}: it leaves the item alone"
        )
    return bool(row.titled)

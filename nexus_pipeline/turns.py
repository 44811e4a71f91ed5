"""One item's turn at one step: whether it is due at all, doing it, keeping the result, committing it.

The order of writes is blob, archive, catalog; whatever is killed in between is taken up again from what was kept.
"""

import errno
import hashlib
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path

from nexus_pipeline.domain import errors
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.states import State, StepStatus
from nexus_pipeline.machine import scratch
from nexus_pipeline.steps.step import Landed, Step, adopted, kept
from nexus_pipeline.wiring import Parts

log = logging.getLogger(__name__)

TRY_AGAIN_AFTER_S = (60, 300, 1800, 7200)
"""After the first try, the second and so on: 5 tries over two and a half hours (design.md, "Retries")."""
DEATHS = 8
"""Tries of a step that may end without any word: an item that kills its worker must not do so for ever."""
UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM})
"""What the system says where nothing (more) can be written."""
TOLD_EVERY_S = 1.0
"""Progress reaches the catalog at most this often."""
SHUTDOWN = "the worker is shutting down"
"""Stopping for this reason leaves the items waiting; for any other they are cancelled."""


@dataclass(frozen=True)
class Run:
    """What one run is about: `steps` are the chosen ones, `force` does them again although nothing has changed."""

    id: str
    root_id: str
    steps: frozenset[str]
    force: bool = False
    lane: str | None = None


class Turn:
    """A step's `Work`."""

    def __init__(self, turns: "Turns | None", step: str, item: Item, version_key: str, *, redo: bool) -> None:
        """Nothing has begun yet."""
        self.turns, self.step, self.item = turns, step, item
        self.version_key, self.redo = version_key, redo
        self.began = self._told = time.monotonic()
        self._phase: str | None = None

    @classmethod
    def of_nobody(cls, item_id: str, item: Item | None) -> "Turn":
        """For an item that this run may not touch."""
        now = datetime.now(UTC)
        return cls(None, "", item or Item(item_id, "", 0, "", "", "none", "", now, now), "", redo=False)

    @cached_property
    def _folder(self) -> "tempfile.TemporaryDirectory[str]":
        parts = self._turns.parts
        return tempfile.TemporaryDirectory(dir=scratch(parts.settings), prefix=f"{self.item.id}-")

    @property
    def _turns(self) -> "Turns":
        if self.turns is None:
            raise errors.LeaseLost(f"item {self.item.id} is not this run's")
        return self.turns

    @property
    def folder(self) -> Path:
        """Scratch space, made when it is first asked for and emptied when the turn is over."""
        return Path(self._folder.name)

    def close(self) -> None:
        """Empty the scratch space, if there is any."""
        if "_folder" in self.__dict__:
            self._folder.cleanup()

    def progress(self, fraction: float, phase: str | None = None, *, heard: int | None = None) -> None:
        """Tell the catalog how far it is, at most once a second, a new phase and a window that was heard at once."""
        now = time.monotonic()
        if phase == self._phase and heard is None and now - self._told < TOLD_EVERY_S:
            return
        self._told, self._phase = now, phase
        turns, done = self._turns, min(max(fraction, 0.0), 1.0)
        try:
            turns.parts.catalog.advance(self.item, self.step, turns.run.id, done, phase, heard=heard)
        except errors.StoreFull as error:
            # the disk on which the step makes its files may be the catalog's: the step itself says so, if it fails
            log.warning("progress not told item_id=%s step=%s code=%s", self.item.id, self.step, error.code)

    def cancelled(self) -> bool:
        """Whether to stop."""
        return self._turns.why(self.item.id) is not None


class Turns:
    """Makes turns, takes them in workers' threads, commits what they give and hands it on."""

    def __init__(self, parts: Parts, run: Run, hand_on: Callable[[Landed], None]) -> None:
        """`hand_on` is called from workers' threads."""
        self.parts, self.run, self.hand_on = parts, run, hand_on
        self.cancelled: set[str] = set()
        self.over = threading.Event()
        self._why: str | None = None
        self._settled: dict[str, set[str]] = {}

    def stop(self, why: str) -> None:
        """Everything stops soon; the first reason counts."""
        self._why = self._why or why

    def why(self, item_id: str) -> str | None:
        """Why an item must stop, if it must."""
        if self._why:
            return self._why
        return "a person cancelled it" if item_id in self.cancelled else None

    def settled(self, item_id: str) -> set[str]:
        """Steps of the item that this run is done with, one way or another."""
        return self._settled.setdefault(item_id, set())

    def forget(self, item_id: str) -> None:
        """The item has ended in this run."""
        self._settled.pop(item_id, None)

    def make(self, step: Step, item: Item) -> Turn:
        """The item's turn at the step, with the version key by today's settings."""
        status = item.step(step.name)
        key = step.key(item, self.parts)
        fresh = status.state in (State.DONE, State.SKIPPED) and status.version_key == key
        redo = self.run.force and not (fresh and status.root_run_id == self.run.root_id)
        self.settled(item.id).add(step.name)
        return Turn(self, step.name, item, key, redo=redo)

    def at_once(self, step: Step, turn: Turn) -> Landed | None:
        """What lands without work: cancelled, done before and unchanged, or skipped; else None."""
        item, status = turn.item, turn.item.step(step.name)
        why = self.why(item.id)
        if status.state is State.CANCELLED and not self.run.force:
            why = "a person cancelled it"
        if why is not None:
            return self._stopped(turn, why)
        same = status.version_key == turn.version_key and not turn.redo
        if same and status.state in (State.DONE, State.SKIPPED) and self._still_there(status):
            return Landed(turn, state=status.state, reason=status.reason, numbers={"repeated": 1})
        if status.state is State.WAITING and status.attempt >= DEATHS and not turn.redo:
            told = (
                f"item {item.id}: {status.attempt} runs have ended in {step.name} without a word; see the worker's log"
            )
            return self._failed(turn, errors.EngineFailed(told))
        try:
            reason = step.skip(item, self.parts)
            if reason is not None:
                return self._commit(step, Landed(turn, state=State.SKIPPED, reason=reason))
        except errors.NexusError as error:
            return self._committed(turn, partial(self._failed, turn, error))
        return None

    def _still_there(self, status: StepStatus) -> bool:
        return status.blob is None or self.parts.blobs.exists(status.blob)

    def take(self, step: Step, turns: Sequence[Turn]) -> None:
        """In a worker's thread: do the step for these items and hand on what lands; nothing is left unsaid."""
        begun = [turn for turn in turns if self._begin(step, turn)]
        left = {turn.item.id: turn for turn in begun}
        try:
            for landed in self._done(step, begun):
                turn = left.pop(landed.work.item.id)
                self._finish(turn, partial(self._commit, step, landed))
        except Exception as error:  # noqa: BLE001  # whatever a step raises ends its items, not the run
            if len(begun) > 1:
                # One of the gathered ones is at fault; alone, each has its own result or error.
                for turn in left.values():
                    self.take(step, [turn])
                return
            for turn in left.values():
                self._finish(turn, partial(self._failed, turn, error))

    def _begin(self, step: Step, turn: Turn) -> bool:
        """Whether the step may begin; if not, what stopped it is handed on."""
        try:
            why = self.why(turn.item.id)
            if why is not None:
                self.hand_on(self._stopped(turn, why))
                return False
            turn.began = time.monotonic()
            self.parts.catalog.begin(turn.item, step.name, self.run.id, self.run.root_id)
        except errors.NexusError as error:
            self.hand_on(Landed(turn, error=error, state=State.FAILED))
            return False
        return True

    def _done(self, step: Step, turns: Sequence[Turn]) -> Iterator[Landed]:
        """Kept results where they may be taken, else the step's own work."""
        fresh = []
        for turn in turns:
            key = _blob(turn)
            if step.adopts and not turn.redo and self.parts.blobs.exists(key):
                yield adopted(turn, self.parts.blobs.read(key))
            else:
                fresh.append(turn)
        if fresh:
            yield from step.run(fresh, self.parts)

    def _finish(self, turn: Turn, commit: Callable[[], Landed]) -> None:
        landed = self._committed(turn, commit)
        with suppress(OSError):
            turn.close()
        self.hand_on(landed)

    def _committed(self, turn: Turn, commit: Callable[[], Landed]) -> Landed:
        try:
            return commit()
        except errors.NexusError as error:
            # The catalog or the blobs failed while saying how it went: the lease tells others, later.
            log.warning("not committed item_id=%s step=%s code=%s", turn.item.id, turn.step, error.code)
            return Landed(turn, error=error, state=State.FAILED)

    # -------------------------------------------------------------- commits

    def _commit(self, step: Step, landed: Landed) -> Landed:
        turn = landed.work
        assert isinstance(turn, Turn)  # noqa: S101  # for the type checker: flow hands out nothing else
        if landed.error is not None:
            return self._failed(turn, landed.error, made=landed)
        key = _blob(turn)
        if not landed.kept:
            self.parts.blobs.put(key, kept(landed))
        seconds = time.monotonic() - turn.began
        status = StepStatus(
            step.name,
            landed.state,
            reason=landed.reason,
            version_key=turn.version_key,
            blob=key,
            engine=landed.engine,
            progress=1.0,
            seconds=seconds,
            run_id=self.run.id,
            root_run_id=self.run.root_id,
        )
        try:
            turn.item = self.parts.catalog.land(turn.item, status, landed.facts)
        except errors.LeaseLost:
            if self.parts.catalog.is_erased(turn.item.id):  # its blobs were taken out before this one came
                self.parts.blobs.delete(turn.item.key(""))
            raise
        numbers = {**landed.numbers, "seconds": round(seconds, 3)}
        log.info("landed item_id=%s step=%s state=%s seconds=%.2f", turn.item.id, step.name, landed.state, seconds)
        return replace(landed, numbers=numbers)

    def _failed(self, turn: Turn, error: Exception, made: Landed | None = None) -> Landed:
        """`made`: what stands although the step has failed."""
        if isinstance(error, errors.LeaseLost):
            return Landed(turn, error=error, state=State.FAILED)
        if isinstance(error, errors.Cancelled):
            return self._stopped(turn, self.why(turn.item.id) or "a person cancelled it")
        with suppress(OSError):
            turn.close()  # on a full disk this makes the room in which the catalog can say so
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            error = errors.StoreFull(
                f"nothing can be written below NEXUS_HOME ({errno.errorcode[error.errno]}): free space or quota, or "
                "let Nexus write there"
            )
        if not isinstance(error, errors.NexusError):
            # Never its text: a vendor's message may carry words of the item.
            log.error(
                "unexpected item_id=%s step=%s error=%s", turn.item.id, turn.step, type(error).__name__, exc_info=error
            )
            error = errors.Unexpected(
                f"item {turn.item.id}: {type(error).__name__} in {turn.step}; the run's log says where"
            )
        attempt = turn.item.step(turn.step).attempt + 1
        due = error.retryable and error.blocked is None and attempt <= len(TRY_AGAIN_AFTER_S)
        wait_s = max(TRY_AGAIN_AFTER_S[attempt - 1], error.retry_after_s or 0.0) if due else 0.0
        after = timedelta(seconds=wait_s) if due else None
        status = StepStatus(
            turn.step,
            State.BLOCKED if error.blocked else State.FAILED,
            reason=error.blocked,
            error_code=error.code,
            error_message=str(error),
            retryable=error.retryable,
            next_attempt_at=datetime.now(UTC) + after if after else None,
            seconds=time.monotonic() - turn.began,
            run_id=self.run.id,
            root_run_id=self.run.root_id,
        )
        if made is not None:
            status = self._kept_in_part(turn, made, status)
        turn.item = self.parts.catalog.land(turn.item, status)
        log.warning("failed item_id=%s step=%s code=%s: %s", turn.item.id, turn.step, error.code, error)
        return Landed(turn, error=error, state=status.state)

    def _kept_in_part(self, turn: Turn, made: Landed, status: StepStatus) -> StepStatus:
        """Under a key of its own: it is never taken for the whole, and what is made from it is made again later."""
        data = kept(made)
        key = hashlib.sha256(data).hexdigest()[:16]
        blob = turn.item.key(turn.step, f"{key}.json")
        self.parts.blobs.put(blob, data)
        return replace(status, version_key=key, blob=blob, engine=made.engine)

    def _stopped(self, turn: Turn, why: str) -> Landed:
        error = errors.Cancelled(f"item {turn.item.id}: {why}")
        if why != SHUTDOWN:
            status = StepStatus(
                turn.step, State.CANCELLED, error_code=error.code, error_message=why, run_id=self.run.id
            )
            try:
                turn.item = self.parts.catalog.land(turn.item, status)
            except errors.NexusError as lost:
                return Landed(turn, error=lost, state=State.CANCELLED)
        return Landed(turn, error=error, state=State.CANCELLED)


def _blob(turn: Turn) -> str:
    return turn.item.key(turn.step, f"{turn.version_key}.json")

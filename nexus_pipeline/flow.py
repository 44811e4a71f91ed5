"""Moves items through steps without barriers: pools, gathering, what lands. It knows nothing of Dagster.

No item waits for another: it goes on as soon as its step has landed, and what lands comes back to the one caller's
thread. Workers do, commit and put on a queue; the caller's thread decides what comes next.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from nexus_pipeline.domain import errors
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.states import State
from nexus_pipeline.steps.step import Landed, Step
from nexus_pipeline.turns import SHUTDOWN, Run, Turn, Turns
from nexus_pipeline.wiring import Parts

log = logging.getLogger(__name__)

GATHER = 64
"""Items that a gathering step takes at once, at most."""
GATHER_S = 5.0
"""How long the first gathered item waits for others, while others may still come."""
BEAT_S = 5.0
"""Leases are renewed this often; one silent for 60 s is dead."""
LOOK_S = 1.0
"""Cancellations are looked for this often."""

OVER = frozenset({State.DONE, State.SKIPPED})
BUSY = frozenset({State.WAITING, State.RUNNING})


@dataclass
class Flow:
    """One run's items on their way. Iterate it once, from one thread."""

    chain: Sequence[Step]
    parts: Parts
    run: Run
    widths: Mapping[str, int]
    window: int | None = None
    """Items at once before a gathering step: bounds how far fetching runs ahead of hearing, how long an item takes."""
    stopped: Callable[[], str | None] = lambda: None
    """Why everything must stop now, if so; called from the caller's thread about once a second."""
    leaves: Callable[[Item], bool] = lambda _item: False
    """Whether the rest of an item is another run's work: asked before each step after the first that takes work."""
    landed: "queue.SimpleQueue[Landed]" = field(default_factory=queue.SimpleQueue)
    active: dict[str, Item] = field(default_factory=dict)
    ahead: set[str] = field(default_factory=set)
    """Those that no gathering step has got yet."""
    gathered: list[tuple[Step, Turn]] = field(default_factory=list)
    gathered_at: float = 0.0

    def land(self, item_ids: Sequence[str]) -> Iterator[Landed]:
        """Everything that lands, as it lands. An item that another run holds lands once, with `LeaseLost`."""
        mine = self.parts.catalog.lease(item_ids, self.run.id, lane=self.run.lane)
        waiting = deque(mine[i] for i in item_ids if i in mine)
        self.turns = Turns(self.parts, self.run, self.landed.put)
        pools = {s.name: ThreadPoolExecutor(self.widths[s.name], thread_name_prefix=s.name) for s in self.chain}
        self.pools = pools
        keeper = threading.Thread(target=self._keep_leases, name="leases", daemon=True)
        keeper.start()
        try:
            for held in (i for i in item_ids if i not in mine):
                yield self._held(held)
            yield from self._until_all_landed(waiting)
        finally:
            # Reached early when the run is interrupted: works see it, nothing more begins, items go back to waiting.
            self.turns.stop(SHUTDOWN)
            for pool in pools.values():
                pool.shutdown(wait=True, cancel_futures=True)
            self.turns.over.set()
            keeper.join()
            left = [*self.active, *(item.id for item in waiting)]
            self.parts.catalog.release(self.run.id)
            if left and self.stopped() is None:
                # The run broke down: asked for again at once it might do so for ever.
                self.parts.catalog.requested(left)

    def _until_all_landed(self, waiting: deque[Item]) -> Iterator[Landed]:
        window = self.window or sum(self.widths[s.name] for s in self.chain)
        # The next step begins before the caller hears of the last one: telling Dagster takes longer than many a step.
        untold: deque[Landed] = deque()
        while waiting or self.active or untold:
            while waiting and len(self.ahead) < window and len(untold) < window:
                item = waiting.popleft()
                self.active[item.id] = item
                self.ahead.add(item.id)
                untold.extend(self._go_on(item))
            self._hand_over_gathered()
            for landed in self._landed(wait=bool(self.active) and not untold):
                untold.append(landed)
                if self._lost(landed):
                    self._end(landed.work.item)
                else:
                    untold.extend(self._go_on(landed.work.item))
            if untold:
                yield untold.popleft()
            self._look()

    def _landed(self, *, wait: bool) -> Iterator[Landed]:
        """What workers have handed on; waits a while for the first one, if told to."""
        with suppress(queue.Empty):
            yield self.landed.get(timeout=LOOK_S) if wait else self.landed.get_nowait()
            while True:
                yield self.landed.get_nowait()

    # -------------------------------------------------------------- what comes next

    def _go_on(self, item: Item) -> Iterator[Landed]:
        """Land what needs no work, hand out the first step that does; without any the item has ended here."""
        for step in self.chain:
            if step.name not in self.run.steps or step.name in self.turns.settled(item.id):
                continue
            if not self._ready(step, item):
                continue
            turn = self.turns.make(step, item)
            landed = self.turns.at_once(step, turn)
            if landed is None:
                if len(self.turns.settled(item.id)) > 1 and self.leaves(item):
                    self._leave(item, step)
                else:
                    self._hand_out(step, turn)
                return
            item = landed.work.item
            yield landed
            if self._lost(landed):
                self._end(item)
                return
        self._done_with(item)

    @staticmethod
    def _lost(landed: Landed) -> bool:
        """The item is another's, or the stores cannot say: it ends here, and whoever leases it next goes on."""
        return isinstance(landed.error, errors.LeaseLost) or (
            isinstance(landed.error, errors.StoreError) and landed.work.item.step(landed.work.step).state in BUSY
        )

    def _end(self, item: Item) -> None:
        self.active.pop(item.id, None)
        self.ahead.discard(item.id)
        self.turns.forget(item.id)
        try:
            self.parts.catalog.release(self.run.id, [item.id])
        except errors.StoreError as error:
            # Given back at the run's end, or dead after a minute: one item's full disk is not the end of the others.
            log.warning("lease not given back item_id=%s code=%s", item.id, error.code)

    def _done_with(self, item: Item) -> None:
        """Give it back; what a person has changed while a step was at it is taken up by another run."""
        late = [step.name for step in self.chain if self._is_late(step, item)]
        self._end(item)
        if not late:
            return
        try:
            self.parts.catalog.ask("rerun", [item.id], from_step=late[0])
        except errors.StoreError as error:  # erased meanwhile, or a full disk, which is not the end of the others
            log.warning("not asked for again item_id=%s step=%s code=%s", item.id, late[0], error.code)

    def _is_late(self, step: Step, item: Item) -> bool:
        if not step.follows or step.name not in self.turns.settled(item.id):
            return False
        status = item.step(step.name)
        return status.state is State.DONE and status.version_key != step.key(item, self.parts)

    def _leave(self, item: Item, step: Step) -> None:
        """Ask for another run from this step on. Given back first: that run begins at once."""
        self._end(item)
        with suppress(errors.NotFound):  # erased meanwhile
            if self.run.force:
                self.parts.catalog.ask("rerun", [item.id], from_step=step.name)
            else:
                self.parts.catalog.ask("retry", [item.id])

    def _ready(self, step: Step, item: Item) -> bool:
        """What it needs is there; what it wants or waits for has landed or failed before: the chain is in order."""
        return all(item.step(name).state in OVER for name in step.needs)

    def _hand_out(self, step: Step, turn: Turn) -> None:
        if not step.gathers:
            self.pools[step.name].submit(self.turns.take, step, [turn])
            return
        self.ahead.discard(turn.item.id)
        if not self.gathered:
            self.gathered_at = time.monotonic()
        self.gathered.append((step, turn))

    def _hand_over_gathered(self) -> None:
        """At most 64 items or 5 s, and at once when nothing more can come."""
        if not self.gathered:
            return
        full = len(self.gathered) >= GATHER or time.monotonic() - self.gathered_at >= GATHER_S
        if not (full or len(self.gathered) == len(self.active)):
            return
        for step in {s.name: s for s, _ in self.gathered}.values():
            turns = [t for s, t in self.gathered if s is step]
            self.pools[step.name].submit(self.turns.take, step, turns)
        self.gathered.clear()

    # -------------------------------------------------------------- leases, cancellation

    def _look(self) -> None:
        why = self.stopped()
        if why is not None:
            self.turns.stop(why)

    def _keep_leases(self) -> None:
        """Beat for all items, and look for those that a person wants stopped, until all is over."""
        beaten = 0.0
        while not self.turns.over.wait(LOOK_S):
            try:
                if time.monotonic() - beaten >= BEAT_S:
                    self.parts.catalog.beat(self.run.id)
                    beaten = time.monotonic()
                self.turns.cancelled |= self.parts.catalog.cancel_asked(list(self.active))
            except errors.StoreError as error:
                # The lease outlives a catalog that is away for less than a minute; then others may take the items.
                log.warning("leases not renewed run_id=%s code=%s", self.run.id, error.code)

    def _held(self, item_id: str) -> Landed:
        found = self.parts.catalog.find([item_id]).get(item_id)
        what = "another run holds it" if found else "it is not in the catalog (any more)"
        return Landed(Turn.of_nobody(item_id, found), error=errors.LeaseLost(f"item {item_id}: {what}"))

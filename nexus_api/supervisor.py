"""Keeps several programs running side by side: starts them in order, restarts what dies, ends all of them in time.

One thread, one loop, no Dagster: it only knows programs. Children die with it, however it ends (child.py).
"""

import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from nexus_api.child import Child, Program
from nexus_api.child_log import ChildLog
from nexus_pipeline.domain.errors import NexusError

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class GaveUp(NexusError):
    """A program does not stay up, or never becomes ready."""

    code = "gave_up"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for what; seconds.

    `grace_s` lies below the 10 s in which all must have ended. A program that dies before it has been up for
    `settled_s` counts as a quick death; `quick_deaths` of them in a row are the end.
    """

    tick_s: float = 0.1
    look_s: float = 0.5
    grace_s: float = 6.0
    ready_s: float = 180.0
    settled_s: float = 30.0
    quick_deaths: int = 5
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0


@dataclass
class _Place:
    """A program and what has become of it. Times are of the monotonic clock."""

    program: Program
    log: ChildLog
    child: Child | None = None
    ready: bool = False
    started_at: float = 0.0
    start_at: float = 0.0
    quick: int = 0
    waiting_since: float = field(default_factory=time.monotonic)


class Supervisor:
    """Runs programs until it is told to end."""

    def __init__(
        self,
        programs: Sequence[Program],
        logs: Path,
        environment: Mapping[str, str],
        *,
        say: Callable[[str], None],
        patience: Patience | None = None,
    ) -> None:
        """Starts nothing yet.

        Args:
            programs: An order in which each stands after those it waits for.
            logs: Folder of their log files.
            environment: All of the children's environment.
            say: Told what a person should know: deaths, errors in logs.
            patience: How long to wait for what.
        """
        self._patience = patience or Patience()
        self._environment = environment
        self._say = say
        self._places = [_Place(program, ChildLog(logs, program.name)) for program in programs]
        self._told = 0
        self._looked_at = 0.0
        self._ready_told = False

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Until SIGINT, SIGTERM or SIGHUP; `on_ready` is called once, when all are ready.

        Raises GaveUp with the end of the log of a program that does not stay up. Whatever happens, no child is left.
        """
        for place in self._places:
            place.log.rotate()
        with self._told_to_end():
            try:
                while not self._told:
                    self._turn(on_ready)
                    time.sleep(self._patience.tick_s)
            finally:
                self._end()

    @contextmanager
    def _told_to_end(self) -> Iterator[None]:
        """Signals are counted: the second one ends without grace."""

        def told(_number: int, _frame: FrameType | None) -> None:
            self._told += 1

        before = {number: signal.signal(number, told) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _turn(self, on_ready: Callable[[], None]) -> None:
        now = time.monotonic()
        look = now - self._looked_at >= self._patience.look_s
        for place in self._places:
            if place.child is None:
                self._start(place, now)
            elif (status := place.child.ended()) is not None:
                self._buried(place, status, now)
            elif look and not place.ready:
                self._ask_ready(place, now)
            if look:
                self._read(place)
        if look:
            self._looked_at = now
        if not self._ready_told and all(place.ready for place in self._places):
            self._ready_told = True
            on_ready()

    def _start(self, place: _Place, now: float) -> None:
        others = {other.program.name: other for other in self._places}
        if now < place.start_at or not all(others[name].ready for name in place.program.after):
            return
        try:
            place.child = Child(place.program, place.log, self._environment)
        except OSError as error:
            raise GaveUp(f"{place.program.name} cannot be started: {error}; is Nexus installed whole?") from error
        place.started_at = place.waiting_since = now
        log.info("started program=%s pid=%d", place.program.name, place.child.pid)

    def _ask_ready(self, place: _Place, now: float) -> None:
        place.ready = place.program.ready()
        if not place.ready and now - place.waiting_since > self._patience.ready_s:
            raise GaveUp(_last_words(place, f"is not ready after {self._patience.ready_s:.0f} s"))

    def _buried(self, place: _Place, status: int, now: float) -> None:
        """Decide whether and when it starts again."""
        settled = place.ready and now - place.started_at >= self._patience.settled_s
        place.quick = 1 if settled else place.quick + 1
        place.child, place.ready = None, False
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        if place.quick >= self._patience.quick_deaths:
            raise GaveUp(_last_words(place, f"{how}, {place.quick} times in a row"))
        pause_s = min(self._patience.first_pause_s * 2 ** (place.quick - 1), self._patience.longest_pause_s)
        place.start_at = now + pause_s
        self._say(f"{place.program.name} {how}; starting it again in {pause_s:g} s (log: {place.log.path})")

    def _read(self, place: _Place) -> None:
        for line in place.log.wrong()[-5:]:
            self._say(f"{place.program.name}: {line}")
        place.log.bound()

    def _end(self) -> None:
        """All of them at once: SIGTERM, each one's grace, SIGKILL. A signal meanwhile ends the grace of all."""
        most_s = self._patience.grace_s
        left = [(p.child, min(p.program.grace_s or most_s, most_s)) for p in self._places if p.child is not None]
        for child, _ in left:
            child.terminate()
        began, told = time.monotonic(), max(self._told, 1)
        while left:
            left = [(child, grace_s) for child, grace_s in left if child.ended() is None]
            waited_s = most_s if self._told > told else time.monotonic() - began
            for child, grace_s in left:
                if waited_s >= grace_s:
                    child.kill()
            time.sleep(min(self._patience.tick_s, 0.1))


def _last_words(place: _Place, what: str) -> str:
    tail = place.log.tail()
    return f"{place.program.name} {what}. The end of {place.log.path}:\n{tail or '(it wrote nothing)'}"

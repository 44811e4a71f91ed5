"""How a vendor stands with this machine: outages in a row, its breaker, and the wait that it asks for.

All processes of the machine read and write one small SQLite file beside the limits, so that what one of them has
learnt keeps the others from asking in vain. Another key or address begins anew.
"""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from nexus_pipeline.domain.errors import EngineDown

log = logging.getLogger(__name__)

BUSY_S = 10.0
"""Until whoever else writes the file is done: a write takes a millisecond."""
SET_BACK_S = 2.0
"""What was written later than now was written by a clock that was set back since, and is not believed."""

_TABLE = """create table if not exists standing (
    who text primary key, outages int, open_until real, trial_until real, not_before real, said text, at real
)"""


@dataclass(frozen=True, slots=True)
class _Now:
    """The row of one vendor; times are seconds since the epoch, the only clock that all processes share."""

    outages: int = 0
    open_until: float = 0.0
    trial_until: float = 0.0
    not_before: float = 0.0
    said: str = ""


class Standing:
    """One vendor's, as one key at one address sees it."""

    def __init__(self, name: str, path: Path, who: str, *, outages: int, open_s: float) -> None:
        """Reads nothing yet.

        Args:
            name: The vendor's, for messages.
            path: The file.
            who: Whose row it is; it must tell nobody a key.
            outages: So many in a row open the breaker.
            open_s: After so many seconds one call tries whether it is back.
        """
        self._name, self._path, self._who = name, path, who
        self._most, self._open_s = outages, open_s

    @property
    def open(self) -> bool:
        """Whether the breaker is open, or one call tries whether it may be closed."""
        return self._now().outages >= self._most

    @property
    def wait_s(self) -> float:
        """Seconds for which the vendor wants to be left alone; 0 or less when it may be asked."""
        return self._now().not_before - time.time()

    def let(self) -> bool:
        """Whether this call tries if the vendor is back: one alone does. Raises EngineDown while the breaker is open.

        Whoever tries ends it by `answered`, `outage` or `gave_up`; one that dies meanwhile holds nobody up for long.
        """
        if not self.open:
            return False
        with self._changing() as (db, now):
            if now.outages < self._most:
                return False
            wait_s = max(now.open_until, now.trial_until) - time.time()
            if wait_s <= 0:
                self._keep(db, replace(now, trial_until=time.time() + self._open_s))
                return True
        raise EngineDown(
            f"{self._name} has not answered {self._most} times in a row and is asked again in "
            f"{max(1, round(wait_s))} s: {now.said}"
        )

    def answered(self) -> None:
        """It is there."""
        if self._now().outages:
            self._change(outages=0, open_until=0.0, trial_until=0.0, said="")

    def outage(self, said: str) -> None:
        """It did not answer; `said` is our word for it, never the vendor's."""
        with self._changing() as (db, now):
            count = now.outages + 1
            until = time.time() + self._open_s if count >= self._most else 0.0
            self._keep(db, replace(now, outages=count, open_until=until, trial_until=0.0, said=said))
        if count == self._most:
            log.warning("breaker line=%s open=True", self._name)

    def gave_up(self) -> None:
        """A trial ended without telling anything."""
        if self._now().trial_until:
            self._change(trial_until=0.0)

    def asks_to_wait(self, seconds: float) -> None:
        """It wants to be left alone for so long."""
        with self._changing() as (db, now):
            self._keep(db, replace(now, not_before=max(now.not_before, time.time() + seconds)))

    # ------------------------------------------------------------ the file

    def _change(self, **told: float | str) -> None:
        with self._changing() as (db, now):
            after = replace(now, **told)  # type: ignore[arg-type]  # each by its name
            self._keep(db, after)
        if now.outages >= self._most > after.outages:
            log.warning("breaker line=%s open=False", self._name)

    def _now(self) -> _Now:
        with self._opened() as db:
            return self._read(db)

    @contextmanager
    def _changing(self) -> Iterator[tuple[sqlite3.Connection, _Now]]:
        """Nobody else changes it meanwhile."""
        with self._opened() as db:
            db.execute("begin immediate")
            yield db, self._read(db)
            db.execute("commit")

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)) as db:
            db.execute("pragma synchronous = off")  # what a power cut takes is learnt again
            db.execute(_TABLE)
            yield db

    def _read(self, db: sqlite3.Connection) -> _Now:
        row = db.execute(
            "select outages, open_until, trial_until, not_before, said from standing where who = ? and at < ?",
            (self._who, time.time() + SET_BACK_S),
        ).fetchone()
        return _Now(*row) if row else _Now()

    def _keep(self, db: sqlite3.Connection, now: _Now) -> None:
        values = (self._who, *astuple(now), time.time())
        db.execute("insert or replace into standing values (?, ?, ?, ?, ?, ?, ?)", values)

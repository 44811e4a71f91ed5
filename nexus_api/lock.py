"""The lock that keeps two Nexus from running over one home at the same time.

An advisory flock on `{home}/nexus.lock`: the kernel gives it back when its holder ends, however it ends, so nothing
stale is ever left. The file holds the process id of who has it, for people to read.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus_pipeline.domain.errors import NexusError, StoreFull

FILE = "nexus.lock"


class AlreadyRunning(NexusError):
    """Somebody has the lock of this home."""

    code = "already_running"
    http_status = 409


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Hold the home's lock; the home is made if need be. Raises AlreadyRunning, naming the process that has it."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = os.open(home / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreFull(
            f"{home} cannot be written to ({error.strerror}); set NEXUS_HOME to a folder of yours"
        ) from error
    try:
        _take(file, home)
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(file, 0)
    finally:
        os.close(file)


def _take(file: int, home: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(file, 20, 0).decode().strip()
        if not pid:  # who shares the lock does not write into it
            raise AlreadyRunning(f"Dagster was started on its own over {home}; end it, and try again") from None
        raise AlreadyRunning(
            f"Nexus is already running over {home} (process {pid}): use that one, or end it with `kill {pid}`"
        ) from None


def holder(home: Path) -> int | None:
    """The process that runs Nexus over this home, if one does; 0 when it has not said its id."""
    try:
        file = os.open(home / FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(file, 20, 0).decode().strip() or 0)
    finally:
        os.close(file)
    return None

"""Turns between processes on one machine: a locked file beside the table.

The system gives a lock back when its process dies, however it dies.
"""

import fcntl
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus_pipeline.domain.errors import StoreFull

_POLL_S = 0.01


@contextmanager
def turn(path: Path, wait_s: float) -> Iterator[int | None]:
    """The locked file's descriptor, or None when it was another's for so long; 0 s asks once.

    Threads take turns, too: each opens the file for itself. Raises StoreFull where the file cannot be made.
    """
    number = _opened(path)
    try:
        yield number if _locked(number, time.monotonic() + wait_s) else None
    finally:
        os.close(number)


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StoreFull(
            "Nothing can be written in the archive's folder: free space, or let Nexus write there"
        ) from error


def _locked(number: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL_S * (0.5 + random.random()))  # noqa: S311 - only so that not all look at once
        else:
            return True

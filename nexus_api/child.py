"""One child process: how it starts, how its death is seen, and how it and all it started end.

A child leads a session and a process group of its own: Ctrl-C in the terminal reaches only the parent, and what the
child leaves behind is ended by its group. It dies with its parent, even when that is killed (Linux, PR_SET_PDEATHSIG;
elsewhere only an orderly end reaches it).
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from nexus_api.child_log import ChildLog

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
# loaded before any fork: between fork and exec nothing may be imported
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Program:
    """What a child runs, when it may start, and how one sees that it is ready.

    `ready` is asked several times a second until it says yes, and must answer within a second or so.
    """

    name: str
    argv: Sequence[str]
    ready: Callable[[], bool] = lambda: True
    after: tuple[str, ...] = ()
    """Programs that must be ready before this one starts."""
    grace_s: float | None = None
    """Killed so long after it was told to end, if sooner than all are: for one that waits although it holds nothing."""


class Child:
    """A running program. Start it from the main thread: the kernel ends it when the starting *thread* ends."""

    def __init__(self, program: Program, log: ChildLog, environment: Mapping[str, str]) -> None:
        """Starts it. Raises FileNotFoundError where there is no such program."""
        with log.open() as out:
            self._process = subprocess.Popen(
                list(program.argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=partial(_die_with_parent, os.getpid()) if _libc else None,  # noqa: PLW1509 - one thread here
            )

    @property
    def pid(self) -> int:
        """Its process id, which is its group's too."""
        return self._process.pid

    def ended(self) -> int | None:
        """Its exit status once it has ended (negative: the signal); what it left running in its group is ended then."""
        if self._process.returncode is None and self._dead():
            # before it is reaped: until then the id of its group is nobody else's
            self._signal(signal.SIGKILL)
            self._process.wait()
        return self._process.returncode

    def terminate(self) -> None:
        """Ask it and all in its group to end."""
        if self._process.returncode is None:
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all in its group now, and wait until it is gone."""
        if self._process.returncode is None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _dead(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it has ended meanwhile, and nothing of its group is left
            os.killpg(self.pid, number)


def _die_with_parent(parent: int) -> None:
    """Runs in the child between fork and exec."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # type: ignore[union-attr]  # only asked for where it is loaded
    if os.getppid() != parent:
        os._exit(1)  # the parent was killed before the line above

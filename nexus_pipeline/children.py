"""Guarded child processes: bounded in memory, CPU, files and time, stoppable within a fraction of a second.

A child dies with this process (PR_SET_PDEATHSIG). The kernel ties that signal to the *thread* that forked, so all
children are spawned by one thread that lives as long as the process. `setpriv` and `prlimit` (util-linux) set signal
and limits: 2 ms together, and no `preexec_fn`, which would fork this whole process instead of using vfork.
"""

import os
import re
import resource
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from nexus_pipeline.domain.errors import Cancelled, EngineFailed, EngineKilled, StoreFull, TooLarge

LOOK_S = 0.2
"""How often cancellation and the clock are looked at while a child is silent."""
CHUNK_BYTES = 65_536
TAIL_BYTES = 4_096
"""Of stderr, only so much of its end is kept."""
_spawners: dict[int, ThreadPoolExecutor] = {}
_PATH = re.compile(r"(?:file:)?(?<![\w/])/(?:[^\s:'\",]+)")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a child may use. `cpu_s`, `memory_bytes` (address space) and `file_bytes` hold for each of its processes."""

    wall_s: float
    cpu_s: float
    file_bytes: int
    memory_bytes: int | None = None


class ChildFailed(Exception):
    """It ended with an exit status that is not 0; `said` is the end of its stderr, without paths."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"exit status {status}: {said}")
        self.status = status
        self.said = said


def never() -> bool:
    """For what cannot be cancelled."""
    return False


def output(
    command: Sequence[str],
    bounds: Bounds,
    cancelled: Callable[[], bool] = never,
    *,
    stdin: Path | bytes | None = None,
    env: Mapping[str, str] | None = None,
    tail: Callable[[str], None] | None = None,
) -> Iterator[bytes]:
    """The child's stdout in chunks of at most 64 KiB as they come; closing the iterator kills the child.

    `stdin` is a file's path or bytes. `env` is the child's whole environment, by default almost
    empty: children need no secrets. `tail` gets the end of stderr when the child has ended well.

    Raises Cancelled, EngineKilled (killed from outside, or past `wall_s`), EngineFailed (past `cpu_s`, or the program
    is missing), TooLarge (past `file_bytes`), StoreFull (past this process's own quota for files), ChildFailed
    otherwise.
    """
    name = Path(command[0]).name
    with _input(stdin) as given, _running(command, bounds, given, env) as child:
        said: deque[bytes] = deque(maxlen=64)
        try:
            yield from _chunks(child, said, time.monotonic() + bounds.wall_s, cancelled)
            status = child.wait(timeout=10)  # both pipes are closed: it has ended or is about to
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            raise EngineKilled(f"{name} took longer than its time limit and was ended; try again later") from error
        text = clean(b"".join(said))
        _judge(status, text, bounds)
        if tail is not None:
            tail(text)


def run(
    command: Sequence[str],
    bounds: Bounds,
    cancelled: Callable[[], bool] = never,
    *,
    stdin: Path | bytes | None = None,
    at_most: int = 16 << 20,
) -> bytes:
    """All of the child's stdout. Raises TooLarge past `at_most` bytes, and what `output` raises."""
    collected = bytearray()
    for chunk in output(command, bounds, cancelled, stdin=stdin):
        collected += chunk
        if len(collected) > at_most:
            raise TooLarge(f"{Path(command[0]).name} answered with more than {at_most} bytes; the file is not normal")
    return bytes(collected)


def lines(chunks: Iterator[bytes], longest: int = 1 << 20) -> Iterator[bytes]:
    """Whole lines without their ends; what is longer than `longest` bytes is cut there."""
    left = b""
    for chunk in chunks:
        *whole, left = (left + chunk).split(b"\n")
        yield from whole
        if len(left) > longest:
            yield left
            left = b""
    if left:
        yield left


def clean(stderr: bytes) -> str:
    """The end of what was written to stderr, as one line without paths."""
    text = stderr[-TAIL_BYTES:].decode(errors="replace")
    return _PATH.sub("(file)", " ".join(text.split()))[-400:]


@contextmanager
def _running(
    command: Sequence[str], bounds: Bounds, given: IO[bytes] | int, env: Mapping[str, str] | None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A child in a session of its own; on the way out its whole session is killed and it is reaped."""
    child = _spawner().submit(_spawn, [*_guards(bounds), *command], given, env).result()
    try:
        yield child
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()
        child.wait()


def _spawn(command: Sequence[str], given: IO[bytes] | int, env: Mapping[str, str] | None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command,
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", **(env or {})},
    )


def _spawner() -> ThreadPoolExecutor:
    """The one thread that forks. By process: a thread does not live on in a fork of this process."""
    # two that race: the one that loses has not started a thread yet
    return _spawners.setdefault(os.getpid(), ThreadPoolExecutor(1, thread_name_prefix="spawner"))


@lru_cache(maxsize=64)
def program(name: str, package: str) -> str:
    """Its absolute path. Raises EngineFailed when it is not installed, naming the package that brings it."""
    found = shutil.which(name)
    if found is None:
        raise EngineFailed(f"{name} is not on this machine; install the system package {package}")
    return found


def _guards(bounds: Bounds) -> list[str]:
    cpu_s = int(bounds.cpu_s) + 1
    # soft before hard: the first says SIGXCPU, which tells it from a kill
    # a limit may be lowered only: `prlimit` fails where this process has a smaller one
    limits = [f"--cpu={cpu_s}:{cpu_s + 2}", f"--fsize={min(bounds.file_bytes, _quota())}", "--core=0"]
    if bounds.memory_bytes is not None:
        limits.append(f"--as={bounds.memory_bytes}")
    setpriv, prlimit = program("setpriv", "util-linux"), program("prlimit", "util-linux")
    return [setpriv, "--no-new-privs", "--pdeathsig", "KILL", "--", prlimit, *limits, "--"]


def _quota() -> float:
    """Bytes that a file of this process may have: `ulimit -f`, or a service's LimitFSIZE."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return float("inf") if limit == resource.RLIM_INFINITY else limit


@contextmanager
def _input(stdin: Path | bytes | None) -> Iterator[IO[bytes] | int]:
    if isinstance(stdin, Path):
        with stdin.open("rb") as file:
            yield file
    elif stdin is None:
        yield subprocess.DEVNULL
    else:
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            yield file


def _chunks(
    child: "subprocess.Popen[bytes]", said: deque[bytes], deadline: float, cancelled: Callable[[], bool]
) -> Iterator[bytes]:
    """Stdout as it comes, stderr into `said`, until both are closed."""
    looked = 0.0
    with selectors.DefaultSelector() as pipes:
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipes.register(pipe, selectors.EVENT_READ)
        while pipes.get_map():
            ready = pipes.select(LOOK_S)
            now = time.monotonic()
            if now - looked > LOOK_S or not ready:
                looked = now
                if cancelled():
                    raise Cancelled("stopped, as was asked")
                if now > deadline:
                    raise TimeoutError
            for key, _ in ready:
                chunk = os.read(key.fd, CHUNK_BYTES)
                if not chunk:
                    pipes.unregister(key.fileobj)
                elif key.fileobj is child.stdout:
                    yield chunk
                else:
                    said.append(chunk[-TAIL_BYTES:])


def _judge(status: int, said: str, bounds: Bounds) -> None:
    if status == 0:
        return
    if status == -signal.SIGXCPU:
        raise EngineFailed(f"the file needed more than {bounds.cpu_s:.0f} s of computing; make it shorter or smaller")
    if status == -signal.SIGXFSZ and _quota() < bounds.file_bytes:
        raise StoreFull(f"a file may have {_quota():.0f} bytes here (ulimit -f) and this one needs more; raise it")
    if status == -signal.SIGXFSZ:
        raise TooLarge(f"the result grew beyond {bounds.file_bytes} bytes (NEXUS_MAX_BYTES)")
    if status in (-signal.SIGKILL, -signal.SIGTERM):
        raise EngineKilled("the process was ended from outside, perhaps for want of memory; it is tried again")
    raise ChildFailed(status, said)

"""Starts Nexus's own command line, as a person would, and reads what it says."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

NEXUS = Path(sys.executable).with_name("nexus")
END_S = 10.0
"""Within this `nexus up` must have ended after SIGTERM: its contract."""


class Failed(Exception):
    """A command did not do what the samples need; the message says which and what it said."""


def nexus(*arguments: str | Path, environment: Mapping[str, str], folder: Path | None = None) -> Any:
    """Run one command with `--json`; what it printed. Raises Failed."""
    command = [str(NEXUS), *map(str, arguments), "--json"]
    done = subprocess.run(command, env=dict(environment), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"`nexus {arguments[0]}` ended with exit code {done.returncode}: {done.stderr[-2000:].strip()}")
    return json.loads(done.stdout)


@contextmanager
def up(
    *arguments: str, environment: Mapping[str, str], folder: Path | None = None, output: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`nexus up` for as long as the context lasts; SIGTERM afterwards. Raises Failed when it does not end in time."""
    with ExitStack() as stack:
        log = stack.enter_context(output.open("wb")) if output else None
        # a session of its own: Ctrl-C reaches us alone, and is passed on once; twice would mean "at once"
        child = subprocess.Popen(
            [str(NEXUS), "up", *arguments],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        stack.callback(_end, child)
        yield child


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(END_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        raise Failed(f"`nexus up` did not end within {END_S:.0f} s of SIGTERM") from None


def bare_environment() -> dict[str, str]:
    """This process's environment without what chooses an archive."""
    return {k: v for k, v in os.environ.items() if not k.startswith("NEXUS_") and k != "DAGSTER_HOME"}

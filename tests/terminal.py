"""A terminal of a chosen size around a command: what a person would see, escape sequences and all."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07")
COLOURS = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")


def on_terminal(*arguments, columns=80, environment=None, code=0, within_s=100.0, when=None):
    """The command's whole output on a terminal of that width, stdout and stderr as they come.

    `when`: words, and what is done once they are seen.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    told = {**os.environ, "TERM": "xterm-256color", **(environment or {})}
    told.pop("COLUMNS", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "nexus_api.cli", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=told,
        cwd=ROOT,
        close_fds=True,
    )
    os.close(theirs)
    seen = _read(ours, process, within_s, when)
    assert process.wait(10) == code, seen
    return seen.replace("\r\n", "\n")


def _read(ours, process, within_s, when):
    seen, until = b"", time.monotonic() + within_s
    try:
        while time.monotonic() < until:
            if not select.select([ours], [], [], 0.2)[0]:
                continue
            try:
                some = os.read(ours, 65536)
            except OSError:  # Linux says EIO when the other side is closed
                break
            if not some:
                break
            seen += some
            if when is not None and when[0] in bare(seen.decode("utf-8", "replace")):
                when[1]()
                when = None
        else:
            process.kill()
            raise AssertionError(f"it has not ended: {seen[-2000:]!r}")
    finally:
        os.close(ours)
    return seen.decode("utf-8", "replace")


def bare(seen):
    """Without escape sequences."""
    return ESCAPES.sub("", seen)

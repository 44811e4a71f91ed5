"""The log file of one child process: bounded on the disk, with what went wrong picked out of it.

The child writes to it by itself (append mode), so that nothing is lost when its parent is killed.
"""

import os
import re
from io import BufferedWriter
from pathlib import Path

KEPT = 3
"""Logs of earlier starts that stay: `name.log.1` is the newest of them."""
LIMIT_BYTES = 50_000_000
"""A log that grows beyond it is moved to `name.log.1` while the child goes on."""
_READ_BYTES = 256 * 1024
_WRONG = re.compile(r"\b(ERROR|CRITICAL)\b|^[\w.]*(Error|Exception|Failure): ")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class ChildLog:
    """`{folder}/{name}.log`."""

    def __init__(self, folder: Path, name: str, *, limit_bytes: int = LIMIT_BYTES) -> None:
        """Makes the folder; touches no file yet."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.log"
        self._limit = limit_bytes
        self._seen = 0

    def rotate(self) -> None:
        """Number the earlier logs; the oldest goes."""
        for n in range(KEPT, 0, -1):
            before = self._numbered(n - 1)
            if before.exists():
                before.replace(self._numbered(n))
        self._seen = 0

    def open(self) -> BufferedWriter:
        """For the child to write to."""
        return self.path.open("ab")

    def wrong(self) -> list[str]:
        """Lines that say that something went wrong and were written since the last call; at most 256 KiB are read."""
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(self._seen, size - _READ_BYTES))
                data = file.read(_READ_BYTES)
        except FileNotFoundError:
            return []
        whole = data.rfind(b"\n") + 1
        self._seen = max(self._seen, size - _READ_BYTES) + whole
        lines = _COLOURS.sub("", data[:whole].decode(errors="replace")).splitlines()
        return [line for line in lines if _WRONG.search(line)]

    def tail(self, lines: int = 20) -> str:
        """Its last lines."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _READ_BYTES))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def bound(self) -> None:
        """Copy and cut a log that has grown too large: its writer appends, so it goes on at the beginning."""
        if not self.path.exists() or self.path.stat().st_size <= self._limit:
            return
        for n in range(KEPT, 1, -1):
            if self._numbered(n - 1).exists():
                self._numbered(n - 1).replace(self._numbered(n))
        self._numbered(1).write_bytes(b"")
        with self.path.open("rb") as grown, self._numbered(1).open("wb") as copy:
            while chunk := grown.read(_READ_BYTES):
                copy.write(chunk)
        os.truncate(self.path, 0)
        self._seen = 0

    def _numbered(self, n: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{n}") if n else self.path

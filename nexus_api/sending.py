"""A large file on its way to a server: in parts, taken up again where the line broke, by this call or a later one.

No note is kept here of what was sent: the upload is asked for with an `Idempotency-Key` made of the file's name, size
and time. So the same file asked for again within a day is the same upload, and the server says how far it has come.
"""

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from nexus_api.refusals import AnswerGone, StillUnderWay
from nexus_pipeline.domain.errors import BadInput, NexusError, NotFound, StoreError, StoreFull

LARGE_BYTES = 16 << 20
"""Smaller files go in one request."""
PART_BYTES = 16 << 20
"""Of one request: what a broken line costs at most."""
READ_BYTES = 256 << 10
TRIES = 10
"""Failures after one another, without a byte more on the server's disk, before it is given up."""
FIRST_S, LAST_S = 0.2, 20.0
"""Waits between tries double from the one to the other: some 80 s in all, in which a server can be started anew."""
_TUS = {"tus-resumable": "1.0.0"}

Progress = Callable[[int, int], None]
"""Told bytes that were sent, and bytes in all."""


class Ask(Protocol):
    """A request that raises what the server refuses, or StoreError where it cannot be reached."""

    def __call__(self, method: str, path: str, **how: object) -> httpx.Response:
        """Its answer."""


@dataclass(frozen=True)
class _File:
    path: Path
    size: int
    mtime_ns: int

    @classmethod
    def at(cls, path: Path) -> "_File":
        found = path.stat()
        return cls(path, found.st_size, found.st_mtime_ns)

    @property
    def name(self) -> str:
        return os.fsencode(self.path.name).decode(errors="replace")

    def unchanged(self) -> None:
        """Raises BadInput for one that somebody has written to."""
        if self != _File.at(self.path):
            raise BadInput(f"{self.name} changed while it was sent: add it again")

    def key(self, again: int) -> str:
        """The same for the same file: its upload is found by it."""
        told = [self.name, self.size, self.mtime_ns, again]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def piece(self, at: int, size: int) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(at)
            while size > 0:
                data = file.read(min(READ_BYTES, size))
                if not data:
                    return
                size -= len(data)
                yield data


def send(ask: Ask, path: Path, progress: Progress) -> str:
    """The id of an upload with all of the file's bytes. Raises OSError where it cannot be read, what `ask` raises."""
    file = _File.at(path)
    where, at = _begun(ask, file)
    tries = 0
    while at < file.size:
        progress(at, file.size)
        before = at
        try:
            at = _send_part(ask, where, file, at, progress)
        except NexusError as error:
            at = _wait_and_see(ask, where, error, tries, at)
        tries = 0 if at > before else tries + 1
    progress(file.size, file.size)
    return where.rpartition("/")[2]


def persist(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """The same request until it is answered, while what it is refused with may pass."""
    tries = 0
    while True:
        try:
            return ask()
        except NexusError as error:
            _wait(error, tries)
            tries += 1


def _begun(ask: Ask, file: _File) -> tuple[str, int]:
    """Where the upload is, begun now or before, and how far it has come."""
    name = base64.b64encode(file.name.encode()).decode()
    said = {**_TUS, "upload-length": str(file.size), "upload-metadata": f"filename {name}"}
    for again in range(TRIES):  # an upload that has expired, or whose item was erased, leaves its key behind
        headers = {**said, "idempotency-key": file.key(again)}
        with suppress(NotFound, AnswerGone, StillUnderWay):
            where = ask("POST", "/api/uploads", headers=headers).headers["location"]
            return where, _stands(ask, where)
    raise StoreError("the server begins uploads and does not know them afterwards: has it several stores?")


def _send_part(ask: Ask, where: str, file: _File, at: int, progress: Progress) -> int:
    size = min(PART_BYTES, file.size - at)
    check = hashlib.sha256()
    for data in file.piece(at, size):
        check.update(data)
    file.unchanged()

    def body() -> Iterator[bytes]:
        sent = at
        for data in file.piece(at, size):
            yield data
            sent += len(data)
            progress(sent, file.size)

    headers: Mapping[str, str] = {
        **_TUS,
        "content-type": "application/offset+octet-stream",
        "content-length": str(size),
        "upload-offset": str(at),
        "upload-checksum": f"sha256 {base64.b64encode(check.digest()).decode()}",
    }
    answer = ask("PATCH", where, headers=headers, content=body())
    return int(answer.headers["upload-offset"])


def _wait_and_see(ask: Ask, where: str, error: NexusError, tries: int, at: int) -> int:
    """How far it has come, after a while; that of before where nobody says. Raises what will not pass."""
    _wait(error, tries)
    try:
        return _stands(ask, where)
    except NexusError as again:
        if not again.retryable:
            raise
        return at


def _wait(error: NexusError, tries: int) -> None:
    if not error.retryable or isinstance(error, StoreFull) or tries >= TRIES:
        raise error
    time.sleep(min(LAST_S, FIRST_S * 2**tries))


def _stands(ask: Ask, where: str) -> int:
    return int(ask("HEAD", where, headers=_TUS).headers["upload-offset"])

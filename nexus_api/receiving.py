"""The bytes of an upload that comes in parts: from a request to the disk, and sure there.

They are written at the place where the last sure byte lies, a block at a time. After every 16 MiB, and at the end, the
file is synced and then the catalog told: what it says is on the disk is there. Bytes with a checksum are sure all
together, when it holds. SHA-256 over the whole is taken in passing.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from threading import Lock

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from nexus_api.refusals import ChecksumMismatch, UploadCutOff
from nexus_api.tus import Checksum
from nexus_pipeline.blobs.growing import GrowingFile
from nexus_pipeline.domain.errors import StoreError, StoreFull, TooLarge
from nexus_pipeline.domain.uploads import Upload
from nexus_pipeline.wiring import Parts

BLOCK_BYTES = 1 << 20
"""Written at once: what a request holds in memory."""
SURE_BYTES = 16 << 20
"""After so many bytes they are made sure: a killed process loses less of a request."""
IDLE_S = 10.0
"""A sender that is silent for so long is cut off: another connection of its own can go on at once."""
HASHES = 256
"""Uploads whose SHA-256 is being taken in this process; others are read again when they are whole."""


class Passing:
    """The SHA-256 of what has come of each upload so far, as long as all of it came through this process."""

    def __init__(self) -> None:
        """Nothing has come."""
        self._lock = Lock()
        self._sums: OrderedDict[str, tuple[int, hashlib._Hash]] = OrderedDict()

    def take(self, upload_id: str, at: int) -> "hashlib._Hash | None":
        """That of the first `at` bytes, if it is known."""
        with self._lock:
            there, found = self._sums.pop(upload_id, (0, None))
        if at == 0:
            return hashlib.sha256()
        return found if there == at else None

    def put(self, upload_id: str, at: int, found: "hashlib._Hash | None") -> None:
        """Remember it."""
        if found is None:
            return
        with self._lock:
            self._sums[upload_id] = (at, found)
            while len(self._sums) > HASHES:
                self._sums.popitem(last=False)


class Part:
    """The bytes of one request, on their way to the disk. Used in threads, one after the other."""

    def __init__(
        self, parts: Parts, passing: Passing, upload: Upload, file: GrowingFile, checksum: Checksum | None
    ) -> None:
        self._parts, self._passing, self._file, self._checksum = parts, passing, file, checksum
        self.upload = upload
        self.at = self._sure = upload.received
        self._sum = passing.take(upload.id, self.at)
        self._sure_sum = self._sum and self._sum.copy()

    def write(self, data: bytes | bytearray) -> None:
        """Raises TooLarge, StoreFull, NotFound where the upload was removed meanwhile."""
        upload, most = self.upload, self._parts.settings.max_bytes
        if self.at + len(data) > (most if upload.length is None else upload.length):
            raise TooLarge(
                f"upload {upload.id} gets more bytes than its Upload-Length says"
                if upload.length is not None
                else f"the upload has more than the {most} bytes of NEXUS_MAX_BYTES"
            )
        self._file.write(data)
        self.at += len(data)
        for one in (self._sum, self._checksum):
            if one is not None:
                one.update(data)
        if self._checksum is None and self.at - self._sure >= SURE_BYTES:
            self._make_sure()

    def end(self, *, whole: bool) -> None:
        """What came is sure; with a checksum all of it is, or nothing. Raises ChecksumMismatch, StoreFull."""
        if self._checksum is None or (whole and self._checksum.holds):
            self._make_sure()
        elif whole:
            raise ChecksumMismatch(
                f"upload {self.upload.id}: the bytes are not those of Upload-Checksum; send them again"
            )

    def _make_sure(self) -> None:
        self._file.sync()
        self._parts.catalog.grown(self.upload.id, self._sure, self.at)
        self._sure, self._sure_sum = self.at, self._sum and self._sum.copy()

    def close(self) -> None:
        """Another request may go on. What is not sure by now is cut off by it."""
        self._passing.put(self.upload.id, self._sure, self._sure_sum)
        self._file.close()


async def pour(body: AsyncIterator[bytes], part: Part) -> None:
    """Into the part, a block at a time; when the body breaks off, what has come is kept."""
    waiting = bytearray()
    try:
        async for chunk in _patient(body):
            waiting += chunk
            if len(waiting) >= BLOCK_BYTES:
                block, waiting = waiting, bytearray()
                await run_in_threadpool(part.write, block)
        await run_in_threadpool(part.write, waiting)
    except UploadCutOff:
        await run_in_threadpool(part.write, waiting)
        await run_in_threadpool(part.end, whole=False)
        raise
    except StoreFull:
        with suppress(StoreError):  # what was written before may still be kept, or is sent again
            await run_in_threadpool(part.end, whole=False)
        raise
    await run_in_threadpool(part.end, whole=True)


async def _patient(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(IDLE_S):
                chunk = await anext(body)
        except StopAsyncIteration:
            return
        except (TimeoutError, ClientDisconnect) as error:
            raise UploadCutOff(
                "the bytes stopped coming; what had come is kept: ask where the upload stands"
            ) from error
        yield chunk

"""Blobs as objects, through obstore: in memory or on S3 by the same code.

A put is one PUT or a completed multipart upload: a killed process leaves nothing under the key. What it leaves of an
unfinished upload only the bucket's own lifecycle rule may sweep (AbortIncompleteMultipartUpload), since browsers'
uploads take days and look the same.
"""

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError
from obstore.store import MemoryStore, S3Store

from nexus_pipeline.blobs.keys import check_key, check_prefix, shown
from nexus_pipeline.blobs.signing import Signer, disposition
from nexus_pipeline.domain.errors import BadInput, NotFound, StoreError, StoreFull
from nexus_pipeline.ports import BlobInfo

if TYPE_CHECKING:  # these are not there at run time
    from obstore import GetOptions, ObjectMeta
    from obstore.store import ClientConfig, S3Config

CHUNK_BYTES = 1 << 20
PART_BYTES = 8 << 20
"""Of a multipart upload, which has 10,000 parts at most: objects of up to 80 GB."""
PARTS_AT_ONCE = 2
COPY_LIMIT_BYTES = 5 << 30
"""Larger ones S3 does not copy in one request (S3 user guide, "Copying objects")."""
_DELETE_AT_ONCE = 1000
_FULL = re.compile(r"StorageFull|QuotaExceeded|InsufficientStorage|\b507\b")


def memory_store() -> MemoryStore:
    """Gone with the process."""
    return MemoryStore()


def s3_store(
    bucket: str, prefix: str = "", *, endpoint: str | None = None, options: Mapping[str, str] | None = None
) -> S3Store:
    """A bucket, or what is below a prefix of it; obstore itself reads AWS's variables."""
    config: S3Config = {**(options or {})}  # type: ignore[typeddict-item]  # obstore checks the names
    client: ClientConfig = {
        # obstore ends whole requests after 30 s, also those that are well under way with a large object
        "timeout": timedelta(days=1),
        "read_timeout": timedelta(seconds=60),
        "connect_timeout": timedelta(seconds=10),
    }
    if endpoint:
        config["endpoint"] = endpoint
        client["allow_http"] = endpoint.startswith("http://")
    return S3Store(bucket, prefix=prefix or None, config=config, client_options=client)


class ObjectBlobs:
    """Objects of one store."""

    def __init__(
        self,
        store: MemoryStore | S3Store,
        *,
        scratch: Path | None = None,
        copy_limit_bytes: int = COPY_LIMIT_BYTES,
        signer: Signer | None = None,
    ) -> None:
        self._store = store
        self._signer = signer
        self._scratch = scratch
        self._copy_limit_bytes = copy_limit_bytes

    def put(self, key: str, data: bytes | Iterable[bytes]) -> int:
        """Write, replacing what was there; the number of bytes. What the iterable raises is passed on."""
        check_key(key)
        if isinstance(data, bytes) and len(data) <= PART_BYTES:
            with _translated(key, writing=True):
                obstore.put(self._store, key, data, use_multipart=False)
            return len(data)
        # not obstore.put: it would pull the chunks inside its own runtime, where they could not read from a store
        with _translated(key, writing=True):
            writer = obstore.open_writer(self._store, key, buffer_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
            writer.__enter__()
        written = 0
        try:
            for chunk in (data,) if isinstance(data, bytes) else data:
                for piece in _pieces(chunk, PART_BYTES):
                    with _translated(key, writing=True):
                        written += writer.write(piece)
        except BaseException:
            writer.__exit__(*sys.exc_info())  # leaves nothing under the key
            raise
        with _translated(key, writing=True):
            writer.__exit__(None, None, None)
        return written

    def put_file(self, key: str, path: Path, *, move: bool = False) -> int:
        """Write a local file's bytes; `move` removes it afterwards."""
        try:
            source = path.open("rb")
        except OSError as error:
            raise NotFound(f"The file that was to become the blob {shown(key)} cannot be opened") from error
        with source:
            size = self.put(key, iter(lambda: source.read(CHUNK_BYTES), b""))
        if move:
            path.unlink()
        return size

    def read(self, key: str) -> bytes:
        """All of a small object."""
        with _translated(check_key(key)):
            return bytes(obstore.get(self._store, key).bytes())

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Bytes start <= i < end in chunks of at most 1 MiB; errors come with the first chunk."""
        size = self.info(key).bytes
        end = size if end is None else min(end, size)
        if start >= end:  # S3 refuses to read behind the end
            return
        with _translated(key):
            whole = start == 0 and end == size
            options: GetOptions | None = None if whole else {"range": (start, end)}
            got = iter(obstore.get(self._store, key, options=options).stream(min_chunk_size=CHUNK_BYTES))
        while True:
            with _translated(key):
                piece = next(got, None)
            if piece is None:
                return
            yield from _pieces(memoryview(piece), CHUNK_BYTES)

    def info(self, key: str) -> BlobInfo:
        """Its size and version: the ETag."""
        with _translated(check_key(key)):
            return _info(obstore.head(self._store, key))

    def exists(self, key: str) -> bool:
        """Whether it is there."""
        try:
            self.info(key)
        except NotFound:
            return False
        return True

    def under(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Everything below a prefix, lazily, in no order.

        Raises StoreError where a foreign client put an object whose key has an empty part (`a//b`).
        """
        check_prefix(prefix)
        pages = iter(obstore.list(self._store, prefix=prefix or None))
        while True:
            with _translated(prefix):
                page = next(pages, None)
            if page is None:
                return
            for meta in page:
                # the empty object `folder/` by which consoles show a folder is listed here as `folder`
                if meta["size"] or self.exists(meta["path"]):
                    yield _info(meta)

    def move(self, key: str, to: str) -> None:
        """Copy, then delete. Nothing to do if only `to` is there."""
        check_key(to)
        try:
            size = self.info(key).bytes
        except NotFound:
            if self.exists(to):
                return
            raise
        if key == to:
            return
        if size > self._copy_limit_bytes:
            self.put(to, self.stream(key))
        else:
            with _translated(key, writing=True):
                obstore.copy(self._store, key, to)
        self.delete(key)

    def delete(self, prefix_or_key: str) -> int:
        """Remove one object, or everything below a prefix; how many went. Absent: 0."""
        if not prefix_or_key.endswith("/"):
            if not self.exists(prefix_or_key):
                return 0
            with _translated(prefix_or_key, writing=True):
                obstore.delete(self._store, prefix_or_key)
            return 1
        gone = 0
        for keys in _batches((info.key for info in self.under(prefix_or_key)), _DELETE_AT_ONCE):
            with _translated(prefix_or_key, writing=True):
                obstore.delete(self._store, keys)
            gone += len(keys)
        return gone

    def url(self, key: str, *, expires_s: int, filename: str, media_type: str, inline: bool) -> str | None:
        """A signed address; None where nobody could ask the store: in memory."""
        if self._signer is None:
            return None
        return self._signer.url(check_key(key), expires_s, disposition(filename, inline=inline), media_type)

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        """A copy in a file of the scratch folder, gone afterwards; it keeps the key's ending."""
        ending = Path(key).suffix
        with tempfile.NamedTemporaryFile(dir=self._scratch, prefix="nexus-", suffix=ending[:16]) as file:
            for chunk in self.stream(key):
                try:
                    file.write(chunk)
                except OSError as error:
                    raise StoreFull("The scratch folder cannot take a copy of a blob: free space there") from error
            file.flush()
            yield Path(file.name)


def _pieces(chunk: bytes | memoryview, size: int) -> Iterator[bytes]:
    view = memoryview(chunk)
    return (bytes(view[i : i + size]) for i in range(0, len(view), size))


def _batches(keys: Iterator[str], size: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for key in keys:
        batch.append(key)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _info(meta: "ObjectMeta") -> BlobInfo:
    return BlobInfo(meta["path"], meta["size"], meta["last_modified"], (meta["e_tag"] or "").strip('"'))


@contextmanager
def _translated(key: str, *, writing: bool = False) -> Iterator[None]:
    did = "written" if writing else "read"
    try:
        yield
    except (FileNotFoundError, NotFoundError) as error:
        raise NotFound(f"No blob has the key {shown(key)}: it was moved, deleted or never written") from error
    except (PermissionError, PermissionDeniedError) as error:
        if writing:
            raise StoreFull(
                f"The store refuses to let Nexus write {shown(key)}: check the rights of its key"
            ) from error
        raise StoreError(f"The store refuses to let Nexus read {shown(key)}: check the rights of its key") from error
    except (BaseError, ValueError, OSError) as error:
        if isinstance(error, ValueError) and "parse path" in str(error):
            raise BadInput(f"The key {shown(key)} has a character that objects' keys may not have") from error
        if writing and _FULL.search(str(error)):
            raise StoreFull(f"The store has no space left for {shown(key)}: free some, or raise its quota") from error
        raise StoreError(
            f"{shown(key)} could not be {did} ({type(error).__name__}): is the store running, and its address right?"
        ) from error

"""Blobs in a folder, through the filesystem itself.

obstore's LocalStore is not used here: its puts are atomic but never synced to the disk, its listing stops altogether
at one file whose name has a control character or is not UTF-8, and it hides or refuses other names (it stages
`name#1` beside the object, so names of 255 bytes cannot be written). People drop files into a folder by hand, and any
name that the filesystem holds must be listed, read and moved.

Puts grow as `.nexus-parts/.nexus-*.part` under the root and are renamed when they are whole and synced. Whoever writes
one holds a lock on it; what a killed process left there is nobody's, and is swept when the folder is opened. Symbolic
links are neither listed nor followed: whoever may drop a file must not be able to have any file of this machine read.
"""

import errno
import fcntl
import logging
import os
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from nexus_pipeline.blobs.disk import absent, make_folder, reading, reason, remove_tree, sync_file, sync_folder, writing
from nexus_pipeline.blobs.growing import GrowingFiles
from nexus_pipeline.blobs.keys import PARTS, check_key, check_prefix, key_of, name_of, shown
from nexus_pipeline.domain.errors import NotFound, StoreError
from nexus_pipeline.ports import BlobInfo

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
STALE_S = 3600.0
"""Where the filesystem knows no locks, a part that nobody has written to for so long belongs to nobody."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRIES = 100
"""How often a put makes its folder again when a delete has just taken it away."""


class FolderBlobs:
    """A folder; keys are paths below it."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._unreadable: set[Path] = set()
        self.sweep()

    def put(self, key: str, data: bytes | Iterable[bytes]) -> int:
        """Write, replacing what was there; the number of bytes. What the iterable raises is passed on."""
        written = 0
        with self._part(key) as file:
            for chunk in (data,) if isinstance(data, bytes) else data:
                with writing(key):
                    written += _write_all(file, chunk)
        return written

    def put_file(self, key: str, path: Path, *, move: bool = False) -> int:
        """Write a local file's bytes; `move` renames it where both lie on one filesystem."""
        if not path.is_file():
            raise NotFound(f"The file that was to become the blob {shown(key)} is not there")
        if move and not path.is_symlink():
            with suppress(_OtherDevice), writing(key):
                size = sync_file(path)
                self._place(path, self._path(key))
                return size
        with reading(key):
            source = path.open("rb")
        with source:
            size = self.put(key, iter(lambda: source.read(CHUNK_BYTES), b""))
        if move:
            path.unlink()
        return size

    def read(self, key: str) -> bytes:
        """All of a small object."""
        with self._open(key) as file, reading(key):
            return file.read()

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Bytes start <= i < end in chunks of at most 1 MiB; errors come with the first chunk."""
        with self._open(key) as file:
            left = (os.fstat(file.fileno()).st_size if end is None else end) - start
            file.seek(start)
            while left > 0:
                with reading(key):
                    chunk = file.read(min(CHUNK_BYTES, left))
                if not chunk:
                    return
                left -= len(chunk)
                yield chunk

    def info(self, key: str) -> BlobInfo:
        """Its size and version: size, mtime in ns and inode."""
        path = self._path(key)
        with reading(key):
            found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise absent(key)
        return _info(key, found)

    def exists(self, key: str) -> bool:
        """Whether it is there."""
        try:
            self.info(key)
        except NotFound:
            return False
        return True

    def under(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Everything below a prefix, lazily, in no order; what vanishes meanwhile is left out.

        A subfolder that may not be read is left out with a warning, once: it must not hide all the others.
        """
        folders = [self._folder(prefix)]
        while folders:
            folder = folders.pop()
            for entry in self._entries(folder):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    except PermissionError:
                        self._leave_out(folder)
                        break
                    yield _info(key_of(os.path.relpath(entry.path, self._root)), found)

    def move(self, key: str, to: str) -> None:
        """Rename; atomic and synced. Nothing to do if only `to` is there."""
        source, target = self._path(key), self._path(to)
        try:
            self.info(key)
        except NotFound:
            if self.exists(to):
                return
            raise
        if source == target:
            return
        try:
            with writing(key):
                sync_file(source)
                self._place(source, target)
                sync_folder(source.parent)
        except _OtherDevice:  # a disk of its own is mounted below the root
            self.put(to, self.stream(key))
            self.delete(key)

    def delete(self, prefix_or_key: str) -> int:
        """Remove one object, or everything below a prefix with its folders; how many went. Absent: 0."""
        if prefix_or_key.endswith("/"):
            with writing(prefix_or_key):
                return remove_tree(self._folder(prefix_or_key))
        with writing(prefix_or_key):
            try:
                self._path(prefix_or_key).unlink()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return 0
        return 1

    def url(self, key: str, *, expires_s: int, filename: str, media_type: str, inline: bool) -> str | None:
        """None: a folder has no addresses."""

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        """The file itself: nothing is copied."""
        self.info(key)
        yield self._path(key)

    def sweep(self) -> int:
        """Remove parts of puts whose writer is no more; how many went."""
        swept = 0
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(self._parts) as entries:
            for entry in entries:
                with suppress(FileNotFoundError, PermissionError, IsADirectoryError):
                    swept += _swept(Path(entry.path))
        return swept

    @property
    def growing(self) -> GrowingFiles:
        """Files that grow over many requests, to be put here by `put_file(move=True)` when they are whole."""
        return GrowingFiles(self._root)

    @property
    def _parts(self) -> Path:
        return self._root / PARTS

    def _path(self, key: str) -> Path:
        return self._root / name_of(check_key(key))

    def _folder(self, prefix: str) -> Path:
        check_prefix(prefix)
        return self._root / name_of(prefix[:-1]) if prefix else self._root

    def _open(self, key: str) -> BinaryIO:
        # NONBLOCK: opening a named pipe that somebody dropped must not wait for its writer
        path = self._path(key)
        with reading(key):
            number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise absent(key)
        return os.fdopen(number, "rb")

    def _entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                yield from (e for e in entries if e.name != PARTS)
        except (FileNotFoundError, NotADirectoryError):
            return
        except PermissionError:
            self._leave_out(folder)
        except OSError as error:
            raise StoreError(f"A folder could not be listed ({reason(error)}); is its disk still there?") from error

    def _leave_out(self, folder: Path) -> None:
        if folder not in self._unreadable:
            self._unreadable.add(folder)
            # its name may be an item's words; `find -inum` leads there
            log.warning("folder left out, Nexus may not read it inode=%d", folder.lstat().st_ino)

    @contextmanager
    def _part(self, key: str) -> Iterator[FileIO]:
        """A file of our own that takes the key's place when the block ends well."""
        target = self._path(key)
        with writing(key):
            for folder in make_folder(self._parts):
                sync_folder(folder)
            part, file = self._new_part()
        try:
            with file:
                yield file
                with writing(key):
                    os.fsync(file.fileno())
                    self._place(part, target)
        except BaseException:
            with suppress(FileNotFoundError):
                part.unlink()
            raise

    def _new_part(self) -> tuple[Path, FileIO]:
        """A part of our own, locked before anybody could sweep it."""
        while True:
            part = self._parts / f".nexus-{uuid.uuid4().hex}.part"
            file = FileIO(part, "x")  # without a buffer, whose closing would fail once more on a full disk
            with suppress(OSError):  # a filesystem without locks: STALE_S protects it
                fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return part, file
            file.close()  # swept between the two

    def _place(self, source: Path, target: Path) -> None:
        touched = {target.parent}
        for left in reversed(range(_TRIES)):
            try:
                source.rename(target)
            except FileNotFoundError:
                if not left or not os.path.lexists(source):
                    raise
                touched.update(make_folder(target.parent))  # synced later, or a delete has time to come between
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                raise _OtherDevice(
                    "Another disk is mounted below the folder of the blobs; give it a store of its own"
                ) from error
            else:
                for folder in touched:
                    sync_folder(folder)
                return


class _OtherDevice(StoreError):
    """A rename cannot lead there: the file has to be copied."""


def _swept(part: Path) -> bool:
    """Whether it was nobody's and is gone now."""
    with FileIO(part) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            if os.fstat(file.fileno()).st_mtime > time.time() - STALE_S:
                return False
        part.unlink()
        return True


def _write_all(file: FileIO, chunk: bytes) -> int:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]
    return len(chunk)


def _info(key: str, found: os.stat_result) -> BlobInfo:
    try:
        modified_at = _EPOCH + timedelta(microseconds=found.st_mtime_ns // 1000)
    except OverflowError:  # a file may carry any time, and the listing must not stop at it
        modified_at = _EPOCH
    return BlobInfo(key, found.st_size, modified_at, f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}")

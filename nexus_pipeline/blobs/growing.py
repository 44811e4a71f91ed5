"""Files that grow over many requests, in the folder of a store that they are then moved into by one rename.

They lie in `.nexus-parts/uploads/` under its root, which nobody lists. One writer at a time: it holds a lock on the
file (flock), which ends with its process however that ends. Where a filesystem knows no locks, the catalog's row guards
them. What was written is sure once it is synced; how much that is stands in the catalog, and whoever opens a file again
cuts off what lies behind.
"""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Self

from nexus_pipeline.blobs.disk import make_folder, reading, sync_folder, writing
from nexus_pipeline.blobs.keys import PARTS

FOLDER = "uploads"
WAIT_S = 0.05
"""Between two tries to take a lock."""
_NAME = re.compile(r"[a-z0-9]{1,64}")


class GrowingFile:
    """One of them, locked until it is closed. Raises StoreFull, StoreError."""

    def __init__(self, path: Path, file: FileIO) -> None:
        """The file is open and locked."""
        self.path, self._file = path, file

    @property
    def size(self) -> int:
        """In bytes."""
        return os.fstat(self._file.fileno()).st_size

    def cut(self, size: int) -> None:
        """Drop what lies behind so many bytes; what is written next goes there."""
        with writing(self._key):
            self._file.truncate(size)
            self._file.seek(size)

    def write(self, data: bytes | bytearray) -> None:
        """Append all of it."""
        view = memoryview(data)
        with writing(self._key):
            while view:
                view = view[self._file.write(view) :]

    def sync(self) -> None:
        """From now on it survives the machine's end."""
        with writing(self._key):
            os.fsync(self._file.fileno())

    def blocks(self) -> Iterator[bytes]:
        """All of it from the start, in blocks of 1 MiB."""
        self._file.seek(0)
        while True:
            with reading(self._key):
                block = self._file.read(1 << 20)
            if not block:
                return
            yield block

    def close(self) -> None:
        """Another may write now."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def _key(self) -> str:
        return f"{FOLDER}/{self.path.name}"


class GrowingFiles:
    """All of a store's. Names are lower-case letters and digits, at most 64."""

    def __init__(self, root: Path) -> None:
        """Makes nothing yet; `root` is the store's."""
        self._folder = root / PARTS / FOLDER

    def open(self, name: str, *, make: bool, patience_s: float = 0.0) -> GrowingFile | None:
        """The file, for one writer; None where another has it for so long. Raises NotFound unless it is to be made."""
        path = self.path(name)
        until = time.monotonic() + patience_s
        while True:
            file = self._opened(path, make=make)
            if _locked(file):
                if os.fstat(file.fileno()).st_nlink:
                    return GrowingFile(path, file)
                file.close()  # removed between the two
                continue
            file.close()
            if time.monotonic() >= until:
                return None
            time.sleep(WAIT_S)

    def _opened(self, path: Path, *, make: bool) -> FileIO:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        with writing(f"{FOLDER}/{path.name}"):
            if make and not path.exists():
                for folder in make_folder(path.parent):
                    sync_folder(folder)
                number = os.open(path, flags | os.O_CREAT, 0o666)  # less the umask, as other blobs
                sync_folder(path.parent)
            else:
                number = os.open(path, flags)
        return FileIO(number, "r+")

    def path(self, name: str) -> Path:
        """Where it lies, be it there or not."""
        if not _NAME.fullmatch(name):
            raise ValueError(name)
        return self._folder / name

    def remove(self, name: str) -> None:
        """It is gone, for whoever writes to it just now as well: their bytes lead nowhere."""
        with writing(f"{FOLDER}/{name}"), suppress(FileNotFoundError):
            self.path(name).unlink()

    def old(self, age_s: float) -> list[str]:
        """Names of those that nobody has written to for so long."""
        before, found = time.time() - age_s, []
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < before:
                        found.append(entry.name)
        return [name for name in found if _NAME.fullmatch(name)]

    def room(self) -> int:
        """Bytes that are free where they grow."""
        there = next(folder for folder in (self._folder, *self._folder.parents) if folder.exists())
        free = os.statvfs(there)
        return free.f_bavail * free.f_frsize


def _locked(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a filesystem without locks: the catalog's row guards it
        return True
    return True

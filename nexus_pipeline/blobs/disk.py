"""What a folder of blobs asks of the disk: synced folders, removed trees, and errors in our own words."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nexus_pipeline.blobs.keys import shown
from nexus_pipeline.domain.errors import BadInput, NotFound, StoreError, StoreFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
_NEVER_A_BLOB = {errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}
"""A symbolic link, a name that cannot be, a socket."""


def make_folder(folder: Path) -> list[Path]:
    """Make it and what is above it; the folders in which something was made, for the caller to sync.

    Another's delete may take it away again at once: look whether it is there.
    """
    if folder.exists():
        return []
    touched = [] if folder.parent.exists() else make_folder(folder.parent)
    with suppress(FileExistsError, FileNotFoundError):
        folder.mkdir()
        touched.append(folder.parent)
    return touched


def remove_tree(folder: Path) -> int:
    """Remove all files below a folder, and then the folders; how many files went."""
    gone = 0
    for path, folders, files in os.walk(folder, topdown=False, onerror=_unless_gone):
        for name in files:
            with suppress(FileNotFoundError):
                Path(path, name).unlink()
                gone += 1
        for name in folders:
            inner = Path(path, name)
            if inner.is_symlink():
                inner.unlink()
            else:
                _remove_folder(inner)
    _remove_folder(folder)
    return gone


def sync_file(path: Path) -> int:
    """Bytes that came from elsewhere may still be in memory only; the file's size."""
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(number)
        return os.fstat(number).st_size
    finally:
        os.close(number)


def sync_folder(folder: Path) -> None:
    """A rename is on the disk only when its folder is; one that was deleted again needs nothing."""
    try:
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(number)
    finally:
        os.close(number)


def absent(key: str) -> NotFound:
    """The error to raise for a key that is not there."""
    return NotFound(f"No blob has the key {shown(key)}: it was moved, deleted or never written")


def reason(error: OSError) -> str:
    """The error's name; its message has the path in it."""
    return errno.errorcode.get(error.errno or 0, "unknown error")


@contextmanager
def reading(key: str) -> Iterator[None]:
    """Errors of the disk while a blob is read, in our words: NotFound, StoreError."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise absent(key) from error
    except OSError as error:
        if error.errno in _NEVER_A_BLOB:
            raise absent(key) from error
        raise StoreError(f"The blob {shown(key)} could not be read ({reason(error)}); may Nexus read it?") from error


@contextmanager
def writing(key: str) -> Iterator[None]:
    """Errors of the disk while a blob is written, in our words: NotFound, StoreFull, BadInput, StoreError."""
    try:
        yield
    except FileNotFoundError as error:
        raise absent(key) from error
    except OSError as error:
        why = reason(error)
        if error.errno in _FULL:
            raise StoreFull(
                f"Nothing can be written for the blob {shown(key)} ({why}): free space or quota on the disk of the "
                "blobs, or let Nexus write there"
            ) from error
        if error.errno == errno.ENAMETOOLONG:
            raise BadInput(f"A part of the key {shown(key)} is longer than a folder's names, 255 bytes") from error
        raise StoreError(f"The blob {shown(key)} could not be written ({why}): is its name taken?") from error


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _remove_folder(folder: Path) -> None:
    # NotADirectory: the prefix names an object; not empty: somebody is putting something into it just now
    with suppress(FileNotFoundError, NotADirectoryError):
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise

"""Files and URLs on their way into the inbox: the catalog's row first, the object last.

A file's origin is its digest (with that of a transcript beside it), so the same bytes are the same item however often
and under whatever name they are added. The person's own file is copied, never moved.
"""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nexus_pipeline import upkeep
from nexus_pipeline.domain.errors import NotFound
from nexus_pipeline.domain.items import Item, Kind, NewItem
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.wiring import Parts, intake

Sent = Callable[[int, int], None]
"""Told bytes that were read or sent, and bytes in all."""
Said = intake.Said
"""What a person says of what they add."""

TRANSCRIPTS = (".srt", ".vtt", ".json")
"""Suffixes of a transcript beside a file, the one that is taken first."""
_UNFINISHED = (".part", ".tmp", ".crdownload")


@dataclass(frozen=True, slots=True)
class Offered:
    """A file that is to be added, and the transcript beside it."""

    path: Path
    sidecar: Path | None = None
    digests: tuple[str, str | None] | None = None
    """SHA-256 of the two, where they are known already."""
    move: bool = False
    """The file is ours to take away."""
    names: tuple[str, str | None] | None = None
    """What the two are called, where their paths do not say it."""


@dataclass(frozen=True, slots=True)
class Added:
    """The item, and whether it is new; not new is what was there already."""

    item: Item
    new: bool


def is_url(told: str) -> bool:
    """Whether it is an address rather than a path; `a:b` is a path."""
    return re.match(r"[a-z][a-z0-9+.-]+://", told, re.IGNORECASE) is not None


def files_at(told: Path) -> Iterator[Path]:
    """The file itself, or all files below a folder in order; hidden and unfinished ones there are left out.

    Raises NotFound for a path that is not there, or that is neither file nor folder.
    """
    try:
        kind = told.stat().st_mode
    except OSError as error:
        raise NotFound(f"{_name(told)} is not there or cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(kind):
        yield from _below(told)
    elif stat.S_ISREG(kind):
        yield told
    else:
        raise NotFound(f"{_name(told)} is neither a file nor a folder")


def _below(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(where, name)
            if not name.startswith(".") and not name.lower().endswith(_UNFINISHED) and path.is_file():
                yield path


def offered(paths: Iterable[Path]) -> list[Offered]:
    """Each file once, with the transcript beside it; a transcript goes with the file of its stem, not on its own."""
    unique = list(dict.fromkeys(paths))
    media = {(path.parent, path.stem) for path in unique if not _is_transcript(path)}
    return [
        Offered(path, _beside(path))
        for path in unique
        if not (_is_transcript(path) and (path.parent, path.stem) in media)
    ]


def _beside(path: Path) -> Path | None:
    if _is_transcript(path):
        return None
    beside = (path.with_name(path.stem + suffix) for suffix in TRANSCRIPTS)
    return next((one for one in beside if _is_file(one)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # with this suffix the name is longer than any file's
        return False


def _is_transcript(path: Path) -> bool:
    return path.suffix.lower() in TRANSCRIPTS


def item_of(file: Offered, wishes: Said) -> NewItem:
    """The item that a file is, before it is added. Raises OSError where it cannot be read."""
    return intake.uploaded(file.path, wishes, sidecar=file.sidecar, digests=file.digests, names=file.names)


def add_file(parts: Parts, file: Offered, wishes: Said, progress: Sent = lambda _done, _of: None) -> Added:
    """Put a file into the inbox as an upload, unless its bytes are there already.

    It is read twice, for its digest and to be copied: `progress` is told of both. Raises StoreError (StoreFull where
    no space is left), NotFound when the file goes away or may not be read.
    """
    try:
        came = _counting(2 * file.path.stat().st_size, progress)
        new = item_of(replace(file, digests=file.digests or _digests(file, came)), wishes)
    except OSError as error:
        raise NotFound(f"{_name(file.path)} cannot be read: {error.strerror}") from error
    if _is_transcript(Path(new.filename or "")):
        new = replace(new, kind=Kind.TEXT)
    there = parts.catalog.find([new.id]).get(new.id)
    if there is not None and not _lost(parts, there):
        return Added(there, new=False)
    upkeep.make_way(parts, [new.id])
    item = parts.catalog.add([new])[0]
    # where the item says that they are: under another name it may have been added before
    put = replace(new, inbox_key=item.inbox_key, sidecar_key=item.sidecar_key)
    try:
        intake.put_upload(parts.inbox, put, wishes, file.path, sidecar=file.sidecar, move=file.move, came=came)
    except OSError as error:
        raise NotFound(f"{_name(file.path)} cannot be read any more: {error.strerror}") from error
    if item.state is ItemState.FAILED:  # because its file was lost on the way: here it is
        item = parts.catalog.ask("retry", [item.id])[0]
    return Added(item, new=there is None)


def _counting(total: int, progress: Sent) -> Callable[[int], None]:
    """Is told bytes, and tells how many of all."""
    done = 0

    def came(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    return came


def _digests(file: Offered, came: Callable[[int], None]) -> tuple[str, str | None]:
    """SHA-256 of the file and of the transcript beside it."""
    return _digest(file.path, came), _digest(file.sidecar, lambda _bytes: None) if file.sidecar else None


def _digest(path: Path, came: Callable[[int], None]) -> str:
    summed = hashlib.sha256()
    with path.open("rb") as source:
        for piece in intake.pieces(source, came):
            summed.update(piece)
    return summed.hexdigest()


def add_url(parts: Parts, told: str, wishes: Said) -> Added:
    """Ask for what is at an address, of a short link at the one to which it leads. Raises BadAddress."""
    told = parts.followed(told)
    new = intake.requested(told, wishes)
    there = parts.catalog.find([new.id]).get(new.id)
    if there is not None and (there.step("raw").state is not State.WAITING or parts.inbox.exists(str(new.inbox_key))):
        return Added(there, new=False)
    upkeep.make_way(parts, [new.id])
    item = parts.catalog.add([new])[0]
    intake.request_url(parts.inbox, told, wishes)
    return Added(item, new=there is None)


def _lost(parts: Parts, item: Item) -> bool:
    """Whether its bytes are nowhere: it was added, and its object never came."""
    if item.step("raw").state is State.DONE or (item.inbox_key and parts.inbox.exists(item.inbox_key)):
        return False
    return next(iter(parts.blobs.under(item.key("raw", ""))), None) is None


def _name(path: Path) -> str:
    """A file's name as text: what is no UTF-8 in it is shown as such."""
    return os.fsencode(path).decode(errors="replace")

"""Adding addresses and files through Nexus itself: as objects in the inbox, which the sensor finds.

`.asks/{item_id}.json` is an address; `.uploads/{item_id}/{name}` an upload, with what was said of it in a note beside
it. The note is put first and the file last, so that whoever finds the file finds the note.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from nexus_pipeline.domain.errors import BadInput
from nexus_pipeline.domain.items import LOCAL, Lane, NewItem, Priority
from nexus_pipeline.ports import Blobs

ASKS = ".asks/"
UPLOADS = ".uploads/"
NOTE = ".nexus.json"
VERSION = 1
NOTE_BYTES = 262_144
"""No note is larger."""
PIECE_BYTES = 1 << 20
"""Of a file that somebody watches on its way."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a person says of what they add; the same for addresses and files."""

    owner: str = LOCAL
    title: str | None = None
    tags: tuple[str, ...] = ()
    language: str | None = None
    engines: Mapping[str, str] = field(default_factory=dict)
    priority: Priority = Priority.NORMAL
    prompt: str | None = None
    vocabulary: tuple[str, ...] = ()
    source: str = "upload"
    """Of a file: `upload`, or `mic` for a recording."""


def request_key(item_id: str) -> str:
    """Where the request for an address waits."""
    return f"{ASKS}{item_id}.json"


def upload_folder(item_id: str) -> str:
    """Below which an upload waits, with its note."""
    return f"{UPLOADS}{item_id}/"


def requested(url: str, said: Said) -> NewItem:
    """The item of an address, before anything is asked for. Raises BadAddress."""
    from nexus_pipeline.sources import source_for

    source = source_for(url)
    origin = source.canonical(url)
    item = _item(said, origin, "url", said.title or origin)
    return replace(item, platform=source.name, inbox_key=request_key(item.id))


def request_url(blobs: Blobs, url: str, said: Said) -> NewItem:
    """Ask for an address: the sensor makes a run of it. Raises BadAddress."""
    item = requested(url, said)
    blobs.put(request_key(item.id), _note(item, said))
    return item


def uploaded(
    path: Path,
    said: Said,
    *,
    sidecar: Path | None = None,
    digests: tuple[str, str | None] | None = None,
    names: tuple[str, str | None] | None = None,
) -> NewItem:
    """The item of a local file and the transcript beside it: known by their bytes.

    `digests`: theirs, if known; `names`: what they are called, where their paths do not say it.
    """
    own, beside_it = digests or (_digest(path), _digest(sidecar) if sidecar else None)
    origin = f"sha256:{own}" + (f"+{beside_it}" if beside_it else "")
    name, beside_name = names or (_name(path), _name(sidecar) if sidecar else None)
    item = _item(said, origin, said.source, said.title or PurePosixPath(name).stem)
    folder = upload_folder(item.id)
    suffix = PurePosixPath(beside_name or "").suffix.lower()
    beside = f"{folder}{PurePosixPath(name).stem}{suffix}" if sidecar else None
    return replace(item, filename=name, bytes=path.stat().st_size, inbox_key=f"{folder}{name}", sidecar_key=beside)


def upload(blobs: Blobs, path: Path, said: Said, *, sidecar: Path | None = None) -> NewItem:
    """Copy a local file into the inbox, with the transcript beside it; the file last. Raises StoreFull, StoreError."""
    item = uploaded(path, said, sidecar=sidecar)
    put_upload(blobs, item, said, path, sidecar=sidecar)
    return item


def put_upload(
    blobs: Blobs,
    item: NewItem,
    said: Said,
    path: Path,
    *,
    sidecar: Path | None = None,
    move: bool = False,
    came: Callable[[int], None] | None = None,
) -> None:
    """The same for an item that is known already, by `uploaded`.

    `move`: the files go; `came` is told the bytes of each piece that has been copied. Raises StoreFull, StoreError,
    and OSError where the file cannot be opened.
    """
    blobs.put(upload_folder(item.id) + NOTE, _note(item, said))
    if sidecar is not None and item.sidecar_key is not None:
        blobs.put_file(item.sidecar_key, sidecar, move=move)
    if item.inbox_key is None:
        return
    if came is None or move:
        blobs.put_file(item.inbox_key, path, move=move)
        return
    with path.open("rb") as source:
        blobs.put(item.inbox_key, pieces(source, came))


def pieces(source: BinaryIO, came: Callable[[int], None]) -> Iterator[bytes]:
    """All of a file; `came` is told the bytes of each piece."""
    while piece := source.read(PIECE_BYTES):
        yield piece
        came(len(piece))


def leave(blobs: Blobs, inbox_key: str) -> None:
    """Remove an object that has been taken; with the last one of an upload goes the note that came with it."""
    blobs.delete(inbox_key)
    if inbox_key.startswith(UPLOADS):
        folder = inbox_key[: inbox_key.index("/", len(UPLOADS)) + 1]
        if all(info.key == folder + NOTE for info in blobs.under(folder)):
            blobs.delete(folder)


def parsed(data: bytes) -> dict[str, Any]:
    """A note as it was written. Raises BadInput for anything else."""
    try:
        said = json.loads(data) if len(data) <= NOTE_BYTES else None
    except ValueError as error:
        raise BadInput("a note in the inbox is no JSON; ask again through Nexus") from error
    if not isinstance(said, dict) or said.get("v") != VERSION:
        raise BadInput(f"a note in the inbox is not of version {VERSION}; ask again through Nexus")
    wanted: Mapping[str, tuple[type, ...]] = {
        "owner": (str,),
        "origin": (str,),
        "title": (str, type(None)),
        "language": (str, type(None)),
        "prompt": (str, type(None)),
        "tags": (list,),
        "engines": (dict,),
        "lane": (str,),
    }
    wrong = sorted(name for name, kinds in wanted.items() if not isinstance(said.get(name), kinds))
    said["vocabulary"] = said.get("vocabulary", [])  # notes from before there was one have none
    wrong += ["vocabulary"] if not isinstance(said["vocabulary"], list) else []
    wrong += ["source"] if not isinstance(said.get("source", ""), str) else []  # nor this
    lists = () if wrong else (said["tags"], said["vocabulary"], said["engines"], said["engines"].values())
    texts: list[object] = [text for one in lists for text in one]
    if wrong or not all(isinstance(text, str) for text in texts):
        raise BadInput(f"a note in the inbox lacks what it must say ({', '.join(wrong) or 'texts'}); ask again")
    return said


def _item(said: Said, origin: str, source: str, title: str) -> NewItem:
    return NewItem(
        owner=said.owner,
        origin=origin,
        source=source,
        title=title,
        tags=said.tags,
        language=said.language,
        prompt=said.prompt,
        vocabulary=said.vocabulary,
        engines=dict(said.engines),
        priority=said.priority,
    )


def _note(item: NewItem, said: Said) -> bytes:
    note = {
        "v": VERSION,
        "owner": item.owner,
        "origin": item.origin,
        "title": said.title,
        "tags": list(item.tags),
        "language": item.language,
        "prompt": item.prompt,
        "vocabulary": list(item.vocabulary),
        "engines": item.engines,
        "source": item.source,
        "lane": (Lane.BULK if item.priority is Priority.LOW else Lane.NOW).value,
    }
    return json.dumps(note, ensure_ascii=False).encode()


def _name(path: Path) -> str:
    """The file's name as text: bytes that are no UTF-8 become a mark."""
    return path.name.encode(errors="surrogateescape").decode(errors="replace")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

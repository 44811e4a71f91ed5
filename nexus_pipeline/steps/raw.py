"""raw: takes the item's bytes out of the inbox or from the web, keeps them, and makes what other steps and people play.

Doing it again reads the kept bytes; only a URL is fetched again when a person asks.
"""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from nexus_pipeline.domain import errors
from nexus_pipeline.domain.items import Item, Kind, MediaFacts, item_id
from nexus_pipeline.ports import Fetched
from nexus_pipeline.steps.step import Landed, Step, Work, one_by_one
from nexus_pipeline.wiring import Parts, intake

SPEECH = "speech.flac"
THUMBNAIL = "thumbnail.webp"
KEPT_S = 14 * 86_400.0
"""So long a broken download waits to be taken up again."""
FETCHING, STORING, CONVERTING = "fetching", "storing", "converting"


def _suffix(name: str) -> str:
    """A short, harmless suffix of a file name: a blob's key must not carry words of a title."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else ""


def original_key(item: Item) -> str:
    """Where the bytes as fetched are kept."""
    return item.key("raw", "original" + _suffix(item.filename or ""))


def raw(work: Work, parts: Parts) -> Landed:
    """Fetch or take, keep, probe, convert."""
    facts: dict[str, Any] = {}
    item = work.item
    transcript = _sidecar(item, parts)
    if item.origin.startswith(("http://", "https://")):
        facts |= _fetch(work, parts)
    else:
        _take(item, parts)
    if item.inbox_key:
        intake.leave(parts.inbox, item.inbox_key)
    key = facts.pop("key", None) or original_key(item)
    transcript = facts.pop("transcript", None) or transcript
    facts["sidecar_digest"] = _digest(transcript, parts) if transcript else None
    work.progress(0.3, STORING)
    with parts.blobs.local(key) as path:
        _verify(item, path)
        media = MediaFacts(Kind.TEXT) if item.kind is Kind.TEXT else parts.media.probe(path)
        facts |= {"bytes": path.stat().st_size, **_columns(media)}
        chapters = [] if media.kind is Kind.TEXT else [asdict(c) for c in parts.media.chapters(path)]
        files = _convert(work, parts, path, media)
    numbers = {"bytes": facts["bytes"], "duration_s": media.duration_s or 0.0}
    result = {
        "original": key,
        "transcript": transcript,
        "files": files,
        "media": asdict(media),
        "chapters": facts.pop("chapters", None) or chapters,
    }
    return Landed(work, result=result, facts={**facts, "inbox_key": None}, numbers=numbers)


def _columns(media: MediaFacts) -> Mapping[str, Any]:
    told = asdict(media)
    return {name: told[name] for name in ("kind", "duration_s", "width", "height", "fps", "channels")}


def _take(item: Item, parts: Parts) -> None:
    """Move the object out of the inbox; if it has left already, its bytes must be kept."""
    key = original_key(item)
    if item.inbox_key and parts.inbox.exists(item.inbox_key):
        version = item.origin.rpartition("@")[2]
        if item.origin.startswith("inbox:") and parts.inbox.info(item.inbox_key).version != version:
            raise errors.SourceGone(
                f"item {item.id}: its file was replaced before it was taken; the new one is an item"
            )
        parts.take(item.inbox_key, key)
    elif not parts.blobs.exists(key):
        raise errors.SourceGone(f"item {item.id}: its file has left the inbox before it was taken; add it again")


def _sidecar(item: Item, parts: Parts) -> str | None:
    """Move the transcript beside the file, too; where it is kept, if there is one."""
    if item.sidecar_key is None:
        return None
    key = item.key("raw", "transcript" + _suffix(item.sidecar_key))
    if parts.inbox.exists(item.sidecar_key):
        parts.take(item.sidecar_key, key)
    return key if parts.blobs.exists(key) else None


def _digest(key: str, parts: Parts) -> str:
    """Makes the transcript stale when the file beside the item is another."""
    digest = hashlib.sha256()
    for chunk in parts.blobs.stream(key):
        digest.update(chunk)
    return digest.hexdigest()


def _fetch(work: Work, parts: Parts) -> dict[str, Any]:
    """Fetch a URL, unless its bytes are kept and nobody asked for it to be fetched again."""
    item = work.item
    note = item.key("raw", "fetched.json")
    if not work.redo and parts.blobs.exists(note):
        return _fetched_facts(json.loads(parts.blobs.read(note)))
    work.progress(0.0, FETCHING)
    address = parts.leads_to(item.origin, work.cancelled)
    told = _taken_over(item, address, parts) or _fetched(work, address, parts)
    if address != item.origin:
        told["platform"] = parts.source(address).name
    parts.blobs.put(note, json.dumps(told).encode())
    shutil.rmtree(_download(item, parts), ignore_errors=True)
    return _fetched_facts(told)


def _download(item: Item, parts: Parts) -> Path:
    """Not the scratch folder: a broken download goes on where it stopped, in a later run too."""
    return parts.settings.cache / "fetching" / item.id


def _fetched(work: Work, address: str, parts: Parts) -> dict[str, Any]:
    item, folder = work.item, _download(work.item, parts)
    _forget_old(folder.parent)
    folder.mkdir(parents=True, exist_ok=True)
    fetched = parts.source(address).fetch(
        address, folder, parts.limits, lambda done: work.progress(0.3 * done, FETCHING), work.cancelled
    )
    work.progress(0.3, STORING)
    key = item.key("raw", "original" + _suffix(fetched.filename))
    parts.blobs.put_file(key, fetched.path, move=True)
    told = _note(item, fetched, key)
    if fetched.sidecar is not None:
        told["transcript"] = item.key("raw", "transcript" + _suffix(fetched.sidecar.name))
        parts.blobs.put_file(told["transcript"], fetched.sidecar, move=True)
    return told


def _forget_old(downloads: Path) -> None:
    """Broken downloads that nobody took up again for two weeks make room."""
    for folder in downloads.glob("*/"):
        with suppress(FileNotFoundError):  # another run has just finished it
            if time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir())) > KEPT_S:
                shutil.rmtree(folder)


def _taken_over(item: Item, address: str, parts: Parts) -> dict[str, Any] | None:
    """What was fetched for the item that has the address to which this one's short link leads.

    The same bytes: so the fingerprint links the two, whatever the site would serve the second time.
    """
    other = parts.catalog.find([item_id(item.owner, address)]).get(item_id(item.owner, address))
    if address == item.origin or other is None:
        return None
    try:
        told: dict[str, Any] = json.loads(parts.blobs.read(other.key("raw", "fetched.json")))
        for name in ("key", "transcript"):
            if name in told:
                source = told[name]
                told[name] = item.key("raw", source.rpartition("/")[2])
                parts.blobs.put(told[name], parts.blobs.stream(source))
    except errors.NotFound:  # not fetched yet, or erased just now
        return None
    return told | {"tags": sorted({*item.tags, *told["tags"]})}


def _note(item: Item, fetched: Fetched, key: str) -> dict[str, Any]:
    return {
        "key": key,
        "title": fetched.title if item.title == item.origin else item.title,
        "filename": fetched.filename,
        "author": fetched.author,
        "description": fetched.description,
        "published_at": fetched.published_at.isoformat() if fetched.published_at else None,
        "tags": sorted({*item.tags, *fetched.tags}),
        "chapters": [asdict(c) for c in fetched.chapters],
    }


def _fetched_facts(told: dict[str, Any]) -> dict[str, Any]:
    from datetime import datetime

    published = told["published_at"]
    return {
        **{name: value for name, value in told.items() if value not in (None, [], "")},
        **({"published_at": datetime.fromisoformat(published)} if published else {}),
    }


def _verify(item: Item, path: Path) -> None:
    """An upload whose digest was declared must have it."""
    declared = item.origin.removeprefix("sha256:")
    if declared == item.origin:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != declared.partition("+")[0]:
        raise errors.DigestMismatch(f"item {item.id}: the bytes are not those that were declared; upload it again")


def _convert(work: Work, parts: Parts, path: Path, media: MediaFacts) -> dict[str, str]:
    """Speech, rendition and thumbnail, as far as there is sound or a picture; name -> blob key."""
    item = work.item
    files: dict[str, Path] = {}
    if media.kind is Kind.TEXT:
        return {}
    if media.channels:
        to = work.folder / SPEECH
        parts.media.speech(path, to, media, lambda d: work.progress(0.3 + 0.4 * d, CONVERTING), work.cancelled)
        files["speech"] = to
    rendition = parts.media.rendition(
        path, work.folder, media, lambda d: work.progress(0.7 + 0.2 * d, CONVERTING), work.cancelled
    )
    if rendition is not None:
        files["play"] = rendition
    thumbnail = work.folder / THUMBNAIL
    if parts.media.thumbnail(path, thumbnail, media):
        files["thumbnail"] = thumbnail
    work.progress(0.9, STORING)
    keys = {}
    for name, file in files.items():
        keys[name] = item.key("raw", file.name)
        parts.blobs.put_file(keys[name], file, move=True)
    return keys


RAW = Step(
    name="raw",
    code_version="2",
    run=one_by_one(raw),
    # a transcript that comes later must be taken, too
    parameters=lambda item, _parts: {"beside": _suffix(item.sidecar_key)} if item.sidecar_key else {},
    description="The bytes as fetched, and from them: 16 kHz speech, what a browser can play, a thumbnail.",
    kinds=("ffmpeg", "file"),
)

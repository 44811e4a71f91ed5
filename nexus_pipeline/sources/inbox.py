"""What has arrived in the inbox: objects that people dropped, uploads, addresses.

A look at a folder says nothing of who is still writing. An object is complete

- when its version (size, mtime, inode) was the same in two looks `look_s` apart and `settle_s` have passed since it was
  last written, or since it was first seen where its mtime lies in the future;
- at once when it is older than twice `settle_s` as it is first seen. A rename keeps the old mtime, so it is such a
  file. A growing copy is not: writing makes the mtime new, and `cp -p`, `rsync -t` and `tar` set the old one after
  their last byte. Only a writer that pauses for longer than that is taken too early; so it would be by the first rule;
- always, where objects appear whole (`whole`: S3), and for what `requests.py` puts, which it does atomically.

Names with a hidden part, unfinished downloads (`.part`, `.tmp`, `.crdownload`, `~`) and the empty file that a browser
lays beside one never arrive. Each arrival is told once, and again only as another version or with a transcript that
came later; a new process tells all that is still there.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from nexus_pipeline.domain.errors import BadInput, NotFound
from nexus_pipeline.domain.items import LOCAL, Kind, Lane, NewItem, Priority, item_id
from nexus_pipeline.ports import BlobInfo, Blobs
from nexus_pipeline.sources.requests import ASKS, NOTE, UPLOADS, parsed

log = logging.getLogger(__name__)

TRANSCRIPTS = (".srt", ".vtt", ".json")
"""Suffixes of a transcript beside a file of the same stem, or alone."""
UNFINISHED = (".part", ".tmp", ".crdownload")
REMEMBERED = 10_000
"""Stems whose media have been told: a transcript that comes later belongs to them."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One object that is complete. `ask` is what was said with it, if it came through Nexus."""

    key: str
    version: str
    bytes: int
    owner: str
    origin: str
    name: str
    sidecar_key: str | None = None
    ask: Mapping[str, Any] | None = None

    @property
    def is_address(self) -> bool:
        """Whether it is an address, and no bytes."""
        return self.key.startswith(ASKS)

    def new_item(self) -> NewItem:
        """The item that it becomes; the same arrival is the same item."""
        from nexus_pipeline.sources import source_for

        said = self.ask or {}
        stem = PurePosixPath(self.name).stem
        alone = PurePosixPath(self.name).suffix.lower() in TRANSCRIPTS and not self.is_address
        recorded = said.get("source") == "mic"
        source = "url" if self.is_address else "mic" if recorded else "upload" if self.ask is not None else "inbox"
        return NewItem(
            owner=self.owner,
            origin=self.origin,
            source=source,
            title=said.get("title") or (self.origin if self.is_address else stem),
            filename=None if self.is_address else self.name,
            platform=source_for(self.origin).name if self.is_address else "none",
            bytes=None if self.is_address else self.bytes,
            tags=tuple(said.get("tags", ())),
            language=said.get("language"),
            prompt=said.get("prompt"),
            vocabulary=tuple(said.get("vocabulary", ())),
            engines=dict(said.get("engines", {})),
            priority=Priority.LOW if said.get("lane") == Lane.BULK else Priority.NORMAL,
            inbox_key=self.key,
            sidecar_key=self.sidecar_key,
            kind=Kind.TEXT if alone else None,
        )


@dataclass(slots=True)
class _Seen:
    """What is remembered of one object between looks."""

    version: str
    first_at: datetime
    complete_at: datetime | None = None
    told: bool = False


class Inbox:
    """Looks into a store whose root is the inbox, and remembers what it saw. For one thread."""

    def __init__(
        self, blobs: Blobs, settle_s: float = 1.0, look_s: float = 0.5, *, whole: bool = False, limit: int = 2000
    ) -> None:
        self._blobs = blobs
        self._settle = timedelta(seconds=settle_s)
        self._look = timedelta(seconds=look_s)
        self._whole = whole
        self._limit = limit
        self._seen: dict[str, _Seen] = {}
        self._media: OrderedDict[str, Arrival] = OrderedDict()

    def arrivals(self, now: datetime | None = None) -> list[Arrival]:
        """What is complete and has not been told yet, oldest first, at most `limit`; the rest comes with the next look.

        `now` in UTC. Raises StoreError when the inbox cannot be listed.
        """
        now = now or datetime.now(UTC)
        found = {info.key: info for info in self._blobs.under("")}
        before, self._seen = self._seen, {}
        beside = {key[: key.rfind(".")] for key in found if key.endswith(UNFINISHED)}
        for key, info in found.items():
            if _counts(key) and key not in beside:
                self._seen[key] = self._look_at(info, before.get(key), now)
        waiting = [key for key, seen in self._seen.items() if seen.complete_at is not None and not seen.told]
        if not waiting:
            return []
        stems = _stems(self._seen)
        told: list[Arrival] = []
        for key in sorted(waiting, key=lambda k: (found[k].modified_at, k)):
            if len(told) >= self._limit:
                break
            arrival = self._arrival(found[key], stems, now)
            if arrival is not None:
                told.append(arrival)
        return told

    def forget(self, arrivals: Iterable[Arrival]) -> None:
        """These were told and could not be taken: they are told again with the next look."""
        for arrival in arrivals:
            for key in (arrival.key, arrival.sidecar_key):
                if key in self._seen:
                    self._seen[key].told = False

    def _look_at(self, info: BlobInfo, before: _Seen | None, now: datetime) -> _Seen:
        if before is None or before.version != info.version:
            old = before is None and now - info.modified_at >= 2 * self._settle
            at_once = old or self._whole or info.key.startswith((ASKS, UPLOADS))
            return _Seen(info.version, now, now if at_once else None)
        quiet = now - before.first_at >= self._look
        settled = max(now - info.modified_at, now - before.first_at) >= self._settle
        if before.complete_at is None and quiet and settled:
            before.complete_at = now
        return before

    def _arrival(self, info: BlobInfo, stems: Mapping[str, list[str]], now: datetime) -> Arrival | None:
        """The arrival of one complete object, or None while it waits for another or is none."""
        seen = self._seen[info.key]
        if info.key.startswith(ASKS):
            seen.told = True
            return self._asked(info)
        stem, suffix = _split(info.key)
        if suffix in TRANSCRIPTS:
            return self._transcript(info, stem, stems, now)
        sidecar = next((key for key in stems[stem] if _split(key)[1] in TRANSCRIPTS), None)
        if sidecar is not None and self._seen[sidecar].complete_at is None:
            return None
        return self._tell(info, stem, sidecar)

    def _transcript(self, info: BlobInfo, stem: str, stems: Mapping[str, list[str]], now: datetime) -> Arrival | None:
        """A transcript goes with its media: those that wait, those told before; alone after a settling time."""
        seen = self._seen[info.key]
        waiting = [key for key in stems[stem] if _split(key)[1] not in TRANSCRIPTS]
        if any(not self._seen[key].told for key in waiting):
            return None
        media = self._media.get(stem)
        if media is not None and media.sidecar_key is None:
            seen.told = True
            self._media[stem] = replace(media, sidecar_key=info.key)
            return self._media[stem]
        if seen.complete_at is not None and now - seen.complete_at < self._settle:
            return None
        if info.key.startswith(UPLOADS) and "+" in (self._said(_note_of(info.key)) or {}).get("origin", ""):
            return None  # its file is still being put
        return self._tell(info, stem, None)

    def _tell(self, info: BlobInfo, stem: str, sidecar: str | None) -> Arrival | None:
        self._seen[info.key].told = True
        arrival = self._uploaded(info) if info.key.startswith(UPLOADS) else _dropped(info)
        if arrival is None:
            return None
        arrival = replace(arrival, sidecar_key=sidecar)
        if sidecar is not None:
            self._seen[sidecar].told = True
        if _split(info.key)[1] not in TRANSCRIPTS:
            self._media[stem] = arrival
            if len(self._media) > REMEMBERED:
                self._media.popitem(last=False)
        return arrival

    def _asked(self, info: BlobInfo) -> Arrival | None:
        said = self._said(info.key)
        if said is None:
            return None
        return Arrival(info.key, info.version, info.bytes, said["owner"], said["origin"], said["origin"], ask=said)

    def _uploaded(self, info: BlobInfo) -> Arrival | None:
        name = info.key.rpartition("/")[2]
        said = self._said(_note_of(info.key))
        if said is None:
            return None
        return Arrival(info.key, info.version, info.bytes, said["owner"], said["origin"], name, ask=said)

    def _said(self, key: str) -> Mapping[str, Any] | None:
        """The note of an address or an upload, or None with a line in the log: there is nobody to tell."""
        try:
            said = parsed(self._blobs.read(key))
            if said["origin"].startswith(("http://", "https://")):
                from nexus_pipeline.sources import source_for

                source_for(said["origin"])
        except NotFound:
            log.warning("left in the inbox, its note is missing kind=upload")
            return None
        except BadInput as error:
            log.warning("left in the inbox, its note cannot be read code=%s why=%s", error.code, error)
            return None
        if item_id(said["owner"], said["origin"]) not in key:
            log.warning("left in the inbox, its note is of another item")
            return None
        return said


def _dropped(info: BlobInfo) -> Arrival:
    return Arrival(
        key=info.key,
        version=info.version,
        bytes=info.bytes,
        owner=LOCAL,
        origin=f"inbox:{info.key}@{info.version}",
        name=info.key.rpartition("/")[2],
    )


def _note_of(key: str) -> str:
    return f"{key.rpartition('/')[0]}/{NOTE}"


def _counts(key: str) -> bool:
    """Whether an object of this name may become an item."""
    if key.startswith("."):
        if key.startswith(ASKS):
            return key.endswith(".json") and key.count("/") == 1
        return key.startswith(UPLOADS) and key.count("/") == 2 and not key.endswith(f"/{NOTE}")  # noqa: PLR2004 - its depth
    return "/." not in key and not key.endswith(UNFINISHED) and not key.endswith("~")


def _split(key: str) -> tuple[str, str]:
    """Folder and stem; the suffix in lower case."""
    dot = key.rfind(".")
    return (key, "") if dot <= key.rfind("/") else (key[:dot], key[dot:].lower())


def _stems(keys: Iterable[str]) -> dict[str, list[str]]:
    stems: dict[str, list[str]] = {}
    for key in keys:
        stems.setdefault(_split(key)[0], []).append(key)
    return stems

"""The protocols between the parts. Adapters implement them; steps and upkeep know nothing else."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nexus_pipeline.domain.fingerprints import Match
from nexus_pipeline.domain.items import Item, MediaFacts, NewItem
from nexus_pipeline.domain.listing import Ask, Change, ItemQuery, Lease, Page
from nexus_pipeline.domain.passages import Passage
from nexus_pipeline.domain.search import Found, Query
from nexus_pipeline.domain.states import StepStatus
from nexus_pipeline.domain.timeline import Chapter, Enrichment, Transcript, Window

Vectors = npt.NDArray[np.float32]
"""Unit-length rows, shape (n, dimensions)."""
SubFingerprints = npt.NDArray[np.uint32]
"""Chromaprint's raw fingerprint: one 32-bit number each 0.1238 s."""
Cancelled = Callable[[], bool]
"""Looked at several times a second by everything that takes long; true means stop with `errors.Cancelled`."""
Progress = Callable[[float], None]
"""Told the fraction done, 0 to 1; cheap to call often."""


# ---------------------------------------------------------------- blobs


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """One object: its key, size and when it was last written. `version` differs whenever the bytes do."""

    key: str
    bytes: int
    modified_at: datetime
    version: str


class Blobs(Protocol):
    """Bytes under keys with `/`. Every put is atomic: a reader sees all of it or nothing.

    Raises NotFound for a key that is not there, StoreFull where nothing can be written, StoreError otherwise.
    """

    def put(self, key: str, data: bytes | Iterable[bytes]) -> int:
        """Write, replacing what was there; the number of bytes."""

    def put_file(self, key: str, path: Path, *, move: bool = False) -> int:
        """Write a local file's bytes; `move` may rename it away instead of copying."""

    def read(self, key: str) -> bytes:
        """All of a small object."""

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Bytes start <= i < end in chunks of at most 1 MiB."""

    def info(self, key: str) -> BlobInfo:
        """Its size and version."""

    def exists(self, key: str) -> bool:
        """Whether it is there."""

    def under(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Everything below a prefix (a folder: ends with `/` or is empty), lazily, in no order."""

    def move(self, key: str, to: str) -> None:
        """Rename within this store; atomic on a folder, copy then delete on S3. Nothing to do if only `to` is there."""

    def delete(self, prefix_or_key: str) -> int:
        """Remove one object, or everything below a prefix that ends with `/`; how many went. Absent: 0."""

    def local(self, key: str) -> AbstractContextManager[Path]:
        """A local path with the object's bytes, to be read only, for as long as the context lasts."""


# ---------------------------------------------------------------- archive


@dataclass(frozen=True, slots=True)
class ItemPassages:
    """All passages of one item at one gen; an empty `passages` removes what was there."""

    item: Item
    passages: Sequence[Passage]
    vectors: Vectors
    partial: bool = False
    tags: tuple[str, ...] = ()
    language: str | None = None


class Finder(Protocol):
    """The archive's reading side: sees other processes' commits within a second."""

    def search(self, query: Query, vector: Vectors | None = None) -> Found:
        """Filters before search; an empty archive finds nothing. `vector`: (dimensions,), unless by words only."""

    def count(self, item_id: str | None = None) -> int:
        """Passages of an item, or of all."""

    def counts(self, item_ids: Sequence[str]) -> dict[str, int]:
        """Passages of each of these items, in one query; items without any are left out."""

    def passages(self, item_id: str) -> list[Mapping[str, Any]]:
        """An item's rows without vectors, in order of time."""


class Archive(Finder, Protocol):
    """The writing side; for steps' parts and upkeep only."""

    def replace(self, items: Sequence[ItemPassages]) -> None:
        """Merge these items' passages (where the gen is not older), then delete older or surplus rows: idempotent.

        Retries commit conflicts with backoff; raises Conflict when they do not end.
        """

    def remove(self, item_ids: Sequence[str]) -> None:
        """No row of these items is left."""

    def needs_tending(self) -> bool:
        """Whether enough has been written since the last care; cheap."""

    def tend(self, *, full: bool = False) -> Mapping[str, float]:
        """Compact, index and clean old versions as the cadence of docs/adr says; numbers of what was done."""


# ---------------------------------------------------------------- catalog


class Catalog(Protocol):
    """What we know of items, in transactions. Every write of a step names run and gen and is refused without the lease.

    Raises NotFound, LeaseLost, StoreError.
    """

    # items
    def add(self, items: Sequence[NewItem]) -> list[Item]:
        """Insert those that are not there yet (with their steps waiting); all of them as they are now, in order."""

    def get(self, item_id: str) -> Item:
        """One item, with its steps. Raises NotFound, also for a tombstone."""

    def find(self, item_ids: Sequence[str]) -> dict[str, Item]:
        """Those that are there, tombstones left out."""

    def page(self, query: ItemQuery) -> Page:
        """A page of items."""

    def ids(self, prefix: str, *, owner: str, limit: int = 2) -> list[str]:
        """Ids of the owner's items that begin so, in order: people write the first few characters."""

    def edit(self, item_id: str, **fields: Any) -> Item:
        """A person's change: title, tags, language, engines, priority, unique, sidecar_key."""

    # leases
    def lease(self, item_ids: Sequence[str], run_id: str, *, dead_after_s: float = 60) -> dict[str, Item]:
        """Take those whose lease is free, ours or dead; what was taken, as it is now."""

    def beat(self, run_id: str) -> None:
        """All leases of this run live on."""

    def release(self, run_id: str, item_ids: Sequence[str] | None = None) -> None:
        """Give them back; steps that still run there wait again."""

    def leased(self, item_ids: Sequence[str]) -> set[str]:
        """Of these, the items that a run holds, be it alive or dead."""

    def dead_leases(self, silent_s: float = 60) -> list[Lease]:
        """Leases whose run has not been heard of for so long."""

    # steps
    def begin(self, item: Item, step: str, run_id: str, root_run_id: str, engine: str | None = None) -> None:
        """The step runs: attempt + 1, progress 0, no error."""

    def advance(self, item: Item, step: str, run_id: str, progress: float, phase: str | None = None) -> None:
        """How far it is; a change is logged at every 5 % and every new phase."""

    def land(self, item: Item, status: StepStatus, facts: Mapping[str, Any] | None = None) -> Item:
        """The commit point: the step's new state and, with it, facts that belong on the item; the item as it is now."""

    # what is due
    def ask(self, ask: str, item_ids: Sequence[str], *, from_step: str | None = None) -> list[Item]:
        """Write the asks and, in the same transaction, the items' new states; those items as they are now."""

    def asks(self, limit: int = 1000) -> list[Ask]:
        """Open asks, oldest first."""

    def answered(self, ask_ids: Sequence[int]) -> None:
        """These are carried out."""

    def cancel_asked(self, item_ids: Sequence[str]) -> set[str]:
        """Of these, the ones that a person wants stopped."""

    def due(self, limit: int = 1000) -> list[Item]:
        """Items that wait for a run and have none: retries whose time has come, blocked ones to be looked at again."""

    def requested(self, item_ids: Sequence[str]) -> None:
        """A run has been asked for these: retries that are due and blocked steps wait again, and are due no more."""

    # identity
    def first_of(self, item: Item, digest: str) -> Item | None:
        """The oldest other item of the owner with these bytes that is no duplicate itself."""

    def fingerprinted(self, item: Item, digest: str, keys: Sequence[int]) -> None:
        """Set the item's digest and replace its postings in the index of sub-fingerprints."""

    def candidates(self, item: Item, keys: Sequence[int], *, least: int = 2, limit: int = 50) -> list[tuple[str, int]]:
        """Other items of the owner that share at least so many keys, most shared first, with the count."""

    def link(self, item: Item, other_id: str, relation: str, offset_s: float = 0.0, **times: float) -> Item | None:
        """Record a relation; for `duplicate`, decide in this transaction which is first by (created_at, id).

        The first, if `item` is the duplicate; None if `item` is the older one: then the other is linked to it.
        """

    def copies_of(self, item_id: str) -> list[Item]:
        """Its duplicates, oldest first: when it is buried, the first of them takes its place."""

    # deleting
    def bury(self, item_id: str) -> Item:
        """Tombstone and gen + 1: from now on the item is in no answer, and what lands is dropped."""

    def forget(self, item_id: str) -> int:
        """No row of the item is left but the tombstone; how many went."""

    def buried(self, limit: int = 1000) -> list[Item]:
        """Tombstones that are not forgotten yet: whoever was erasing them did not come to the end."""

    # events
    def changes(self, after: int, limit: int = 500, item_id: str | None = None) -> list[Change]:
        """Lines after a cursor, in the order in which they became visible."""

    def prune_changes(self, before: datetime) -> int:
        """Forget old lines; how many."""

    # small facts
    def pointer(self, name: str) -> str | None:
        """A named fact of the whole archive, e.g. which embedder is served."""

    def point(self, name: str, value: str) -> None:
        """Set it."""

    def counts(self) -> Mapping[str, int]:
        """Items by state."""


# ---------------------------------------------------------------- engines


class Media(Protocol):
    """Reads and converts media files, each call in a guarded child process."""

    def probe(self, path: Path) -> MediaFacts:
        """Raises EmptyInput, UnsupportedMedia, DamagedMedia."""

    def chapters(self, path: Path) -> tuple[Chapter, ...]:
        """Chapters that the file itself carries."""

    def speech(self, path: Path, to: Path, facts: MediaFacts, progress: Progress, cancelled: Cancelled) -> float:
        """16 kHz mono FLAC of the first sound; seconds decoded. Raises DamagedMedia when far less than declared."""

    def rendition(
        self, path: Path, folder: Path, facts: MediaFacts, progress: Progress, cancelled: Cancelled
    ) -> Path | None:
        """What a browser can play (`play.mp4` or `play.m4a`), or None when it plays the file as it is."""

    def thumbnail(self, path: Path, to: Path, facts: MediaFacts) -> bool:
        """A WebP of at most 640 pixels; False where there is no picture."""

    def pcm(self, path: Path, rate: int, start_s: float = 0.0, duration_s: float | None = None) -> Iterator[bytes]:
        """Mono 16-bit little-endian samples, in chunks."""


class Fingerprinter(Protocol):
    """Acoustic identity."""

    def parameters(self) -> Mapping[str, str]:
        """What changes its results: part of the version key."""

    def fingerprint(self, pcm: Iterator[bytes], rate: int) -> SubFingerprints:
        """The whole item's; empty under 3 s of sound."""

    def keys(self, fingerprint: SubFingerprints) -> list[int]:
        """What is indexed: unique, without silence and tones; may be empty."""

    def compare(self, a: SubFingerprints, b: SubFingerprints) -> Match:
        """Align and judge."""


class Speech(Protocol):
    """Hears."""

    name: str
    """`engine:model`, as chosen."""

    def parameters(self) -> Mapping[str, str]:
        """What changes its results: part of the version key."""

    def transcribe(
        self, audio: Path, duration_s: float, language: str | None, cancelled: Cancelled
    ) -> Iterator[Window]:
        """Windows in order of time, cut at pauses, each as soon as it is heard; segment ids count on from 0.

        Raises ModelMissing, EngineFailed, Cancelled.
        """


class Embedder(Protocol):
    """Text to vectors."""

    name: str
    dimensions: int

    def parameters(self) -> Mapping[str, str]:
        """What changes its results: part of the version key."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit-length row per text: float32, shape (len(texts), dimensions). Raises ModelMissing."""


class Enricher(Protocol):
    """Infers summary, tags, chapters and so on."""

    name: str

    def parameters(self) -> Mapping[str, str]:
        """What changes its results: part of the version key."""

    def enrich(self, transcript: Transcript, *, title: str, duration_s: float | None) -> Enrichment:
        """Raises ModelMissing, EngineFailed, EngineBusy."""


# ---------------------------------------------------------------- sources


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for one item: bytes, seconds of sound, seconds of fetching; private hosts that may be reached."""

    max_bytes: int
    max_duration_s: float
    timeout_s: float = 3600.0
    allow_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a source brought: a file, perhaps a transcript beside it, and what is said about it."""

    path: Path
    filename: str
    title: str | None = None
    author: str | None = None
    description: str | None = None
    published_at: datetime | None = None
    tags: tuple[str, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    sidecar: Path | None = None


class Source(Protocol):
    """A platform on the web: which addresses are its own, their one form, and how to fetch them."""

    name: str
    """The item's `platform`."""

    def claims(self, url: str) -> bool:
        """Whether this address is of the platform."""

    def canonical(self, url: str) -> str:
        """The one form of an address: tracking parameters gone. Raises BadAddress."""

    def fetch(self, url: str, folder: Path, limits: Limits, progress: Progress, cancelled: Cancelled) -> Fetched:
        """Raises BadAddress, SourceBusy, SourceGone, SourceRefused, TooLarge, TooLong, Cancelled."""

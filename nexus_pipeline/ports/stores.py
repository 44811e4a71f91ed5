"""Bytes under keys, and the archive of passages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.passages import Passage
from nexus_pipeline.domain.search import Found, Near, Query
from nexus_pipeline.ports.engines import Vectors


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

    def url(self, key: str, *, expires_s: int, filename: str, media_type: str, inline: bool) -> str | None:
        """An address at which the store itself serves the object for so long, ranges and all; None where it cannot."""

    def local(self, key: str) -> AbstractContextManager[Path]:
        """A local path with the object's bytes, to be read only, for as long as the context lasts."""


@dataclass(frozen=True, slots=True)
class ItemPassages:
    """All passages of one item at one gen; an empty `passages` removes what was there."""

    item: Item
    passages: Sequence[Passage]
    vectors: Vectors
    partial: bool = False
    tags: tuple[str, ...] = ()
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Purged:
    """From which version on each table holds nothing of what was removed, and how many older versions there were."""

    marks: Mapping[str, int]
    versions: int


@dataclass(frozen=True, slots=True)
class Alike:
    """A voice of an item that is like another one: `likeness` is the cosine, 1 for the same."""

    item_id: str
    label: str
    likeness: float


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

    def alike(
        self, vector: Sequence[float], space: str, *, owner: str, but: str, least: float, limit: int = 20
    ) -> list[Alike]:
        """Voices of the owner's items but one that are at least so much alike, the most alike first."""

    def near(self, item_id: str, *, owner: str, limit: int = 50) -> list[Near]:
        """The owner's other items that say the like of this one, the most alike first: 50 at most.

        As alike one time as the next, as long as nothing is written.
        """


class Archive(Finder, Protocol):
    """The writing side; for steps' parts and upkeep only."""

    def replace(self, items: Sequence[ItemPassages]) -> None:
        """Merge these items' passages (where the gen is not older), then delete older or surplus rows: idempotent.

        Retries commit conflicts with backoff; raises Conflict when they do not end.
        """

    def renew(self) -> bool:
        """A table of another layout goes, so that what is written next makes it anew; whether there was one."""

    def know(self, item: Item, voices: Mapping[str, Sequence[float]], space: str) -> None:
        """These are the item's voices and no others: unit vectors by label, in the space of a model."""

    def remove(self, item_ids: Sequence[str]) -> None:
        """No row of these items is left; their words are in the files until `purge`."""

    def purge(self) -> Purged:
        """Write data and indexes anew without what was removed before; older versions stay until they are cleaned."""

    def held(self, marks: Mapping[str, int]) -> int:
        """How many versions older than these are left, once those older than a minute are cleaned."""

    def needs_tending(self) -> bool:
        """Whether enough has been written since the last care; cheap."""

    def tend(self, *, full: bool = False) -> Mapping[str, float]:
        """Compact, index and clean old versions as the cadence of docs/adr says; numbers of what was done."""

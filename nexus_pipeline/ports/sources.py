"""Where items come from."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from nexus_pipeline.domain.timeline import Chapter
from nexus_pipeline.ports.engines import Cancelled, Progress


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

    def short(self, url: str) -> bool:
        """Whether it is a short link: only following it tells what it names."""

    def canonical(self, url: str) -> str:
        """The one form of an address: tracking parameters gone. Raises BadAddress."""

    def fetch(self, url: str, folder: Path, limits: Limits, progress: Progress, cancelled: Cancelled) -> Fetched:
        """Raises BadAddress, SourceBusy, SourceGone, SourceRefused, TooLarge, TooLong, Cancelled."""

"""Items: one piece of media each, and the identity by which asking twice is the same item."""

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from nexus_pipeline.domain.states import ItemState, StepStatus, item_state

LOCAL = "local"
"""The owner of everything where nobody signs in."""


class Kind(StrEnum):
    """What an item is."""

    AUDIO = "audio"
    VIDEO = "video"
    IMAGE = "image"
    TEXT = "text"


class Lane(StrEnum):
    """Which warm worker takes it: what a person has just given, or everything else."""

    NOW = "now"
    BULK = "bulk"


class Priority(StrEnum):
    """A person's wish; `low` goes to the bulk lane."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


def item_id(owner: str, origin: str) -> str:
    """16 lower-case base32 characters (80 bits) of SHA-256 over owner and origin: the partition key."""
    digest = hashlib.sha256(f"{owner}\0{origin}".encode()).digest()
    return base64.b32encode(digest[:10]).decode().lower()


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What probing says of a file. Seconds, pixels, frames a second."""

    kind: Kind
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    channels: int | None = None
    audio_codec: str | None = None
    video_codec: str | None = None
    container: str | None = None


@dataclass(frozen=True, slots=True)
class NewItem:
    """What is known before anything is fetched; `id` follows from owner and origin."""

    owner: str
    origin: str
    source: str
    title: str
    filename: str | None = None
    platform: str = "none"
    bytes: int | None = None
    tags: tuple[str, ...] = ()
    language: str | None = None
    prompt: str | None = None
    """What the speech engine is told before it listens."""
    vocabulary: tuple[str, ...] = ()
    """Names and jargon that the speech engine should know."""
    engines: dict[str, str] = field(default_factory=dict)
    priority: Priority = Priority.NORMAL
    inbox_key: str | None = None
    """Where its object waits in the inbox, until raw moves it out."""
    sidecar_key: str | None = None
    """Where the transcript beside it waits in the inbox."""
    kind: Kind | None = None

    @property
    def id(self) -> str:
        """The partition key."""
        return item_id(self.owner, self.origin)


@dataclass(frozen=True, slots=True)
class Item:
    """What the catalog knows of an item. Instants in UTC, times in seconds."""

    id: str
    owner: str
    gen: int
    title: str
    source: str
    platform: str
    origin: str
    created_at: datetime
    updated_at: datetime
    filename: str | None = None
    kind: Kind | None = None
    bytes: int | None = None
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    channels: int | None = None
    language: str | None = None
    author: str | None = None
    description: str | None = None
    published_at: datetime | None = None
    tags: tuple[str, ...] = ()
    prompt: str | None = None
    vocabulary: tuple[str, ...] = ()
    engines: dict[str, str] = field(default_factory=dict)
    priority: Priority = Priority.NORMAL
    digest: str | None = None
    duplicate_of: str | None = None
    duplicate_offset_s: float = 0.0
    unique: bool = False
    """A person said that it is an item of its own: no duplicate is sought."""
    summary: str | None = None
    category: str | None = None
    sentiment: str | None = None
    inbox_key: str | None = None
    sidecar_key: str | None = None
    sidecar_digest: str | None = None
    speakers: dict[str, str] = field(default_factory=dict)
    """Names that people gave to speakers, by their labels."""
    edited: str | None = None
    """The version of what people wrote over its transcript; None where nobody did."""
    deleted_at: datetime | None = None
    steps: tuple[StepStatus, ...] = ()

    @property
    def state(self) -> ItemState:
        """Derived from the steps."""
        return item_state(self.steps, duplicate=self.duplicate_of is not None)

    def step(self, name: str) -> StepStatus:
        """The status of one step; a step that was never begun is waiting."""
        return next((s for s in self.steps if s.step == name), StepStatus(name))

    def key(self, *parts: str) -> str:
        """A blob key below this item: `items/{owner}/{id}/...`."""
        return "/".join(("items", self.owner, self.id, *parts))

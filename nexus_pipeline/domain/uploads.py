"""Uploads that come in parts, and posts that come twice: what the catalog remembers of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

KEPT = timedelta(hours=24)
"""So long an upload waits for its next byte, or to become an item; and so long a post's answer is kept."""
OPEN_MOST = 1000
"""Uploads of one owner that are no items yet."""
POSTS_MOST = 500
"""Answers that are kept of one owner; the oldest go first."""
ANSWER_BYTES = 262_144
"""An answer that is longer is not kept: 500 of these are 131 MB, which a catalog bears."""
DEAD_S = 30.0
"""A post that has not been heard of for so long has died with its process."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that comes in parts. Of `received` bytes it is sure that they are on the disk."""

    id: str
    owner: str
    length: int | None
    """How many bytes it will have; None while its sender has not said."""
    received: int
    metadata: str
    """tus's `Upload-Metadata`, as it came: words of its sender. Empty once it is an item."""
    at_once: bool
    """It becomes an item as soon as it has come whole."""
    item_id: str | None
    """The item that it becomes, from the moment when that begins."""
    settled: bool
    """It is an item: its bytes have left."""
    created_at: datetime
    expires_at: datetime

    @property
    def finished(self) -> bool:
        """Whether all of its bytes have come."""
        return self.received == self.length


@dataclass(frozen=True, slots=True)
class Post:
    """A request with an `Idempotency-Key`, and the answer that it got."""

    owner: str
    route: str
    key: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What the catalog knows of a post that was made before."""

    fingerprint: str | None
    """SHA-256 of what it said; None while that is not known: its body is still coming."""
    status: int | None
    """None: it is still under way."""
    headers: Sequence[Sequence[str]] | None
    body: bytes | None
    """None where the answer is not kept (any more)."""

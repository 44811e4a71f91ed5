"""What the catalog remembers of requests: uploads that come in parts, and posts that may come twice."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from nexus_pipeline.domain.uploads import DEAD_S, Answered, Post, Upload


class Coming(Protocol):
    """A part of the catalog. Raises NotFound, Conflict, StoreError."""

    # uploads
    def add_upload(self, upload: Upload) -> None:
        """A new one. Raises Conflict where the owner has too many open ones already."""

    def upload(self, upload_id: str, owner: str) -> Upload:
        """One of the owner's. Raises NotFound, for somebody else's and for one that has expired as for none."""

    def grown(self, upload_id: str, before: int, received: int, *, length: int | None = None) -> None:
        """From so many bytes to so many, which are on the disk; and how many there will be, once that is known."""

    def become(self, upload_ids: Sequence[str], item_id: str) -> None:
        """These are about to become this item: nothing is added to them. Raises NotFound where one was removed."""

    def settle_uploads(self, upload_ids: Sequence[str]) -> None:
        """These are in the inbox: what was said of them is the item's now, and goes here."""

    def drop_upload(self, upload_id: str, *, taken: bool = False) -> bool:
        """Forget it, unless it is becoming an item and `taken` is not said; whether it was there."""

    def open_uploads(self, limit: int = 1000) -> list[Upload]:
        """Those of all owners that are no items yet, those that expire first at the head."""

    def open_among(self, upload_ids: Collection[str]) -> set[str]:
        """Of these, the ones that are there and no items yet."""

    # posts with an Idempotency-Key
    def claim_post(
        self, post: Post, token: str, fingerprint: str | None, *, dead_after_s: float = DEAD_S
    ) -> Answered | None:
        """None: it is ours to do, under this token. Else what is known of the one that was first."""

    def beat_post(self, post: Post, token: str) -> None:
        """It is still being carried out."""

    def keep_post(self, post: Post, token: str, answered: Answered) -> None:
        """What it was answered, unless somebody else has taken it over, or an item was erased meanwhile."""

    def release_post(self, post: Post, token: str) -> None:
        """It came to nothing: whoever asks again does it anew."""

    def prune_posts(self, before: datetime) -> int:
        """Forget what is older, of all owners; how many."""

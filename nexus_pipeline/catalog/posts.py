"""Posts with an `Idempotency-Key`: who is carrying one out, and what it was answered.

A row is claimed before anything is done and says so every few seconds; one that has fallen silent died with its
process, and the next request of that key does it anew. Answers are bounded in number and age. They repeat words of
items, so erasing an item takes all of its owner's answers away: that they were given stays.
"""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from nexus_pipeline.catalog import dialect
from nexus_pipeline.catalog.store import Store, Writing
from nexus_pipeline.catalog.tables import posts
from nexus_pipeline.domain.uploads import DEAD_S, KEPT, POSTS_MOST, Answered, Post

_FOUND = sa.select(posts.c.fingerprint, posts.c.status, posts.c.headers, posts.c.body)


class Posts(Store):
    """Claiming, keeping, forgetting."""

    def claim_post(
        self, post: Post, token: str, fingerprint: str | None, *, dead_after_s: float = DEAD_S
    ) -> Answered | None:
        """None: it is ours to do, under this token. Else what is known of the one that was first."""
        with self.writing() as w:
            dialect.alone(w.db, dialect.POSTING)
            now = dialect.clock(w.db)
            w.db.execute(posts.delete().where(posts.c.owner == post.owner, posts.c.created_at < now - KEPT))
            row = w.db.execute(sa.select(posts).where(_of(post))).one_or_none()
            if row is None:
                values = {"token": token, "fingerprint": fingerprint, "beat_at": now, "created_at": now}
                w.db.execute(posts.insert(), {**_key(post), **values})
                _prune(w, post.owner)
                return None
            if row.status is None and row.beat_at < now - timedelta(seconds=dead_after_s):
                values = {"token": token, "fingerprint": fingerprint, "beat_at": now}
                w.db.execute(posts.update().where(_of(post)).values(values))
                return None
            return Answered(row.fingerprint, row.status, row.headers, row.body)

    def beat_post(self, post: Post, token: str) -> None:
        """It is still being carried out."""
        with self.writing() as w:
            now = dialect.clock(w.db)
            w.db.execute(posts.update().where(_of(post), posts.c.token == token).values(beat_at=now))

    def keep_post(self, post: Post, token: str, answered: Answered) -> None:
        """What it was answered, unless somebody else has taken it over, or an item was erased meanwhile."""
        values: dict[str, Any] = {"fingerprint": answered.fingerprint, "status": answered.status, "body": answered.body}
        values["headers"] = None if answered.headers is None else [list(one) for one in answered.headers]
        with self.writing() as w:
            w.db.execute(posts.update().where(_of(post), posts.c.token == token).values(values))

    def release_post(self, post: Post, token: str) -> None:
        """It came to nothing: whoever asks again does it anew."""
        with self.writing() as w:
            w.db.execute(posts.delete().where(_of(post), posts.c.token == token, posts.c.status.is_(None)))

    def prune_posts(self, before: datetime) -> int:
        """Forget what is older, of all owners; how many."""
        with self.writing() as w:
            return w.db.execute(posts.delete().where(posts.c.created_at < before)).rowcount


def forget_answers(w: Writing, owner: str) -> None:
    """No kept answer of the owner says anything any more, and none that is under way will be kept."""
    values: dict[str, Any] = {"headers": None, "body": None, "token": ""}
    w.db.execute(posts.update().where(posts.c.owner == owner).values(values))


def _prune(w: Writing, owner: str) -> None:
    """The oldest answers beyond the limit; what is under way stays."""
    mine = sa.select(posts.c.created_at).where(posts.c.owner == owner).order_by(posts.c.created_at.desc())
    oldest = w.db.execute(mine.offset(POSTS_MOST).limit(1)).scalar_one_or_none()
    if oldest is not None:
        old = (posts.c.owner == owner, posts.c.created_at <= oldest, posts.c.status.is_not(None))
        w.db.execute(posts.delete().where(*old))


def _key(post: Post) -> dict[str, Any]:
    return {"owner": post.owner, "route": post.route, "key": post.key}


def _of(post: Post) -> sa.ColumnElement[bool]:
    return sa.and_(posts.c.owner == post.owner, posts.c.route == post.route, posts.c.key == post.key)

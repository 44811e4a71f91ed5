"""The catalog's tables.

Instants are whole microseconds since 1970 in UTC: exact, ordered and the same on every database. `items.n` is a
short number of an item for the index of sub-fingerprints, the largest table by far; everything else says `item_id`.
Listings start with the owner; the indexes behind them leave tombstones out.
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


class Instant(sa.TypeDecorator[datetime]):
    """A point in time, stored as microseconds since 1970; one without a zone is refused."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002  SQLAlchemy's
        """To microseconds."""
        return None if value is None else (value - EPOCH) // _TICK

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  SQLAlchemy's
        """From microseconds."""
        return None if value is None else EPOCH + timedelta(microseconds=value)


class Words(sa.TypeDecorator[str]):
    """Text that people or vendors wrote: NUL and lone surrogates, which databases refuse, become U+FFFD."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  SQLAlchemy's
        """To what every database takes."""
        return None if value is None else storable(value)


def storable(text: str) -> str:
    """The same text, where databases take it; NUL and lone surrogates become U+FFFD."""
    text = text.replace("\0", "\ufffd")
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


metadata = sa.MetaData()
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # sorted by code points everywhere


def _item_id(*, key: bool = True) -> sa.Column[str]:
    return sa.Column("item_id", sa.Text, sa.ForeignKey("items.id"), primary_key=key, nullable=False)


items = sa.Table(
    "items",
    metadata,
    sa.Column("n", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("id", _KEY, nullable=False, unique=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("gen", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("title", Words, nullable=False),
    sa.Column("title_key", _KEY, nullable=False),  # folded and cut, what is sorted by
    sa.Column("titled", sa.Boolean, nullable=False),  # a person gave the title
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("platform", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("filename", Words),
    sa.Column("kind", sa.Text),
    sa.Column("bytes", sa.BigInteger),
    sa.Column("duration_s", sa.Double),
    sa.Column("width", sa.Integer),
    sa.Column("height", sa.Integer),
    sa.Column("fps", sa.Double),
    sa.Column("channels", sa.Integer),
    sa.Column("language", sa.Text),
    sa.Column("author", Words),
    sa.Column("description", Words),
    sa.Column("published_at", Instant),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("engines", sa.JSON, nullable=False),
    sa.Column("priority", sa.Text, nullable=False),
    sa.Column("digest", sa.Text),
    sa.Column("duplicate_of", sa.Text, sa.ForeignKey("items.id")),
    sa.Column("duplicate_offset_s", sa.Double, nullable=False),
    sa.Column("unique", sa.Boolean, nullable=False),
    sa.Column("summary", Words),
    sa.Column("category", Words),
    sa.Column("sentiment", sa.Text),
    sa.Column("inbox_key", sa.Text),
    sa.Column("sidecar_key", sa.Text),
    sa.Column("sidecar_digest", sa.Text),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
    sa.Column("deleted_at", Instant),
    sa.Column("requested_at", Instant, nullable=False),  # when a run was last asked for; 1970: nobody waits for one
    sa.Column("lane", sa.Text),  # the last run's, or of the one that was asked for
    sa.Column("prompt", Words),
    sa.Column("vocabulary", sa.JSON(none_as_null=True)),
    sa.Column("edited", sa.Text),  # a hash over the rows in `edits`: what is made of the transcript depends on them
    sqlite_autoincrement=True,
)

item_steps = sa.Table(
    "item_steps",
    metadata,
    _item_id(),
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("phase", sa.Text),
    sa.Column("version_key", sa.Text),
    sa.Column("blob", sa.Text),
    sa.Column("engine", sa.Text),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("error_code", sa.Text),
    sa.Column("error_message", Words),
    sa.Column("retryable", sa.Boolean, nullable=False),
    sa.Column("next_attempt_at", Instant),
    sa.Column("progress", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double),
    sa.Column("cost", sa.Double),
    sa.Column("run_id", sa.Text),
    sa.Column("root_run_id", sa.Text),
    sa.Column("started_at", Instant),
    sa.Column("ended_at", Instant),
    sqlite_with_rowid=False,
)

item_tags = sa.Table(
    "item_tags",
    metadata,
    _item_id(),
    sa.Column("tag", Words, primary_key=True),
    # the item's own, so that a listing by tag comes in order from this table's index
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

speakers = sa.Table(  # names that people gave; labels stay with the voice
    "speakers",
    metadata,
    _item_id(),
    sa.Column("label", Words, primary_key=True),
    sa.Column("name", Words, nullable=False),
    sqlite_with_rowid=False,
)

leases = sa.Table(
    "leases",
    metadata,
    _item_id(),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("gen", sa.Integer, nullable=False),
    sa.Column("beat_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

asks = sa.Table(
    "asks",
    metadata,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    _item_id(key=False),
    sa.Column("ask", sa.Text, nullable=False),
    sa.Column("from_step", sa.Text),
    sa.Column("at", Instant, nullable=False),
    sqlite_autoincrement=True,  # the id of an answered ask never comes again
)

relations = sa.Table(
    "relations",
    metadata,
    _item_id(),
    sa.Column("other_id", sa.Text, sa.ForeignKey("items.id"), primary_key=True),
    sa.Column("relation", sa.Text, nullable=False),
    sa.Column("offset_s", sa.Double, nullable=False),
    sa.Column("times", sa.JSON, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

postings = sa.Table(
    "postings",
    metadata,
    sa.Column("key", sa.BigInteger, primary_key=True, autoincrement=False),  # identity.posting_keys
    sa.Column("item", sa.BigInteger, primary_key=True, autoincrement=False),  # items.n
    sqlite_with_rowid=False,
)

posted = sa.Table(  # an item's keys in one value: a second index over postings would be as large as the first
    "posted",
    metadata,
    sa.Column("item", _NUMBER, primary_key=True, autoincrement=False),
    sa.Column("packed", sa.LargeBinary, nullable=False),
)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("item_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("step", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("phase", sa.Text),
    sa.Column("progress", sa.Double, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sqlite_autoincrement=True,  # else the id of a pruned line comes again
)

pointers = sa.Table(
    "pointers",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

edits = sa.Table(
    "edits",
    metadata,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    _item_id(key=False),
    sa.Column("start_s", sa.Double, nullable=False),
    sa.Column("end_s", sa.Double, nullable=False),
    sa.Column("old", Words, nullable=False),
    sa.Column("new", Words, nullable=False),
    sa.Column("by", sa.Text, nullable=False),  # the owner
    sa.Column("at", Instant, nullable=False),
    sa.Column("what", sa.Text, nullable=False, server_default="text"),  # or speaker: then old and new are labels
    sa.Index("edits_by_item", "item_id", "start_s"),
)

action_items = sa.Table(
    "action_items",
    metadata,
    _item_id(),
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),  # stays with the promise through all runs
    # the item's own, so that a listing comes in order from this table's index
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("task", Words, nullable=False),
    sa.Column("priority", sa.Text, nullable=False),
    sa.Column("at_s", sa.Double, nullable=False),
    sa.Column("context", Words, nullable=False),
    sa.Column("assignee", Words),
    sa.Column("estimate", Words),
    sa.Column("done", sa.Boolean, nullable=False),
    sa.Column("told", Words, nullable=False),  # the task as the engine wrote it: by this it is found again
    sa.Column("changed", sa.JSON, nullable=False),  # columns that a person wrote: later runs leave them alone
    sa.Column("changed_at", Instant),  # when a person last did; null: nobody did, and a later run may drop it
    sqlite_with_rowid=False,
)

receipts = sa.Table(  # numbers and instants only: nothing that was in the item
    "receipts",
    metadata,
    _item_id(),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("blobs", sa.Integer, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("passages", sa.Integer, nullable=False),
    sa.Column("versions", sa.Integer, nullable=False),
    sa.Column("marks", sa.JSON(none_as_null=True)),  # from which version on each table of the archive is clean
    sa.Column("buried_at", Instant, nullable=False),
    sa.Column("purged_at", Instant),
    sa.Column("at", Instant),
    sqlite_with_rowid=False,
)

uploads = sa.Table(  # files that come in parts; one that became an item stays as long as the item
    "uploads",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("length", sa.BigInteger),
    sa.Column("received", sa.BigInteger, nullable=False),
    sa.Column("metadata", Words, nullable=False),
    sa.Column("at_once", sa.Boolean, nullable=False),
    sa.Column("item_id", sa.Text),  # no foreign key: it is known before the item is there
    sa.Column("settled", sa.Boolean, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

posts = sa.Table(  # with rows of their own: an answer may have 256 KiB
    "posts",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("route", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text),
    sa.Column("status", sa.Integer),
    sa.Column("headers", sa.JSON(none_as_null=True)),
    sa.Column("body", sa.LargeBinary),
    sa.Column("beat_at", Instant, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)

FILTERS = ("state", "source", "platform", "kind", "language", "category", "sentiment")
"""Columns that a listing is filtered by, each with an index in the order of `created_at`."""


def _index(name: str, *columns: sa.Column[object], where: str | None = None) -> None:
    told = None if where is None else sa.text(where)
    sa.Index(name, *columns, sqlite_where=told, postgresql_where=told)


_ALIVE = "deleted_at IS NULL"
_i = items.c
_index("items_by_created", _i.created_at, _i.id, where=_ALIVE)
_index("items_by_title", _i.title_key, _i.id, where=_ALIVE)
_index("items_by_owner_created", _i.owner, _i.created_at, _i.id, where=_ALIVE)
_index("items_by_owner_title", _i.owner, _i.title_key, _i.id, where=_ALIVE)
for _name in FILTERS:
    _index(f"items_by_owner_{_name}", _i.owner, _i[_name], _i.created_at, _i.id, where=_ALIVE)
_index("items_by_state", _i.state, _i.created_at, _i.id, where=_ALIVE)
_index("items_by_digest", _i.owner, _i.digest, _i.created_at, _i.id, where="digest IS NOT NULL")
_index("items_by_first", _i.duplicate_of, _i.created_at, _i.id, where="duplicate_of IS NOT NULL")
_index("items_requested", _i.state, _i.requested_at, _i.id, where=_ALIVE)
_index("items_buried", _i.deleted_at, where="deleted_at IS NOT NULL AND origin <> ''")
_index("item_steps_due", item_steps.c.next_attempt_at, item_steps.c.item_id, where="state = 'failed'")
_index("item_steps_blocked", item_steps.c.ended_at, item_steps.c.item_id, where="state = 'blocked'")
_s = item_steps.c
_index("item_steps_open", _s.step, _s.state, _s.error_code, _s.item_id, where="state NOT IN ('done', 'skipped')")
_index("item_steps_last", _s.ended_at, _s.state, _s.item_id, where="step = 'embedding'")
_index("item_tags_by_tag", item_tags.c.tag, item_tags.c.owner, item_tags.c.created_at, item_tags.c.item_id)
_index("leases_by_run", leases.c.run_id, leases.c.item_id)
_index("leases_by_beat", leases.c.beat_at)
_index("asks_by_item", asks.c.item_id, asks.c.ask)
_index("relations_by_other", relations.c.other_id)
_index("changes_by_item", changes.c.item_id, changes.c.id)
_a = action_items.c
_index("action_items_by_owner", _a.owner, _a.done, _a.created_at, _a.item_id, _a.n)
_index("receipts_open", receipts.c.buried_at, where="at IS NULL")
_index("uploads_open", uploads.c.owner, uploads.c.expires_at, uploads.c.id, where="NOT settled")
_index("uploads_by_item", uploads.c.item_id, where="item_id IS NOT NULL")
_index("posts_by_age", posts.c.owner, posts.c.created_at)

"""The first tables: items and their steps, leases, asks, identity, changes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_INSTANT = sa.BigInteger


def upgrade() -> None:
    """From nothing to this version."""
    _items()
    _work()
    _identity()
    _small()
    _indexes()


def _text(name: str, *, null: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _at(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, _INSTANT, nullable=null)


def _item_id(*, key: bool = True) -> sa.Column[str]:
    return sa.Column("item_id", sa.Text, sa.ForeignKey("items.id"), primary_key=key, nullable=False)


def _id(name: str = "id") -> sa.Column[int]:
    return sa.Column(name, _NUMBER, primary_key=True, autoincrement=True)


def _items() -> None:
    op.create_table(
        "items",
        _id("n"),
        sa.Column("id", _KEY, nullable=False, unique=True),
        _text("owner", null=False),
        sa.Column("gen", sa.Integer, nullable=False),
        _text("state", null=False),
        _text("title", null=False),
        sa.Column("title_key", _KEY, nullable=False),
        sa.Column("titled", sa.Boolean, nullable=False),
        _text("source", null=False),
        _text("platform", null=False),
        _text("origin", null=False),
        _text("filename"),
        _text("kind"),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("duration_s", sa.Double),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("fps", sa.Double),
        sa.Column("channels", sa.Integer),
        _text("language"),
        _text("author"),
        _text("description"),
        _at("published_at", null=True),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("engines", sa.JSON, nullable=False),
        _text("priority", null=False),
        _text("digest"),
        sa.Column("duplicate_of", sa.Text, sa.ForeignKey("items.id")),
        sa.Column("duplicate_offset_s", sa.Double, nullable=False),
        sa.Column("unique", sa.Boolean, nullable=False),
        _text("summary"),
        _text("category"),
        _text("sentiment"),
        _text("inbox_key"),
        _text("sidecar_key"),
        _text("sidecar_digest"),
        _at("created_at"),
        _at("updated_at"),
        _at("deleted_at", null=True),
        _at("requested_at"),
        sqlite_autoincrement=True,
    )


def _work() -> None:
    op.create_table(
        "item_steps",
        _item_id(),
        sa.Column("step", sa.Text, primary_key=True),
        _text("state", null=False),
        _text("reason"),
        _text("phase"),
        _text("version_key"),
        _text("blob"),
        _text("engine"),
        sa.Column("attempt", sa.Integer, nullable=False),
        _text("error_code"),
        _text("error_message"),
        sa.Column("retryable", sa.Boolean, nullable=False),
        _at("next_attempt_at", null=True),
        sa.Column("progress", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double),
        sa.Column("cost", sa.Double),
        _text("run_id"),
        _text("root_run_id"),
        _at("started_at", null=True),
        _at("ended_at", null=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "leases",
        _item_id(),
        _text("run_id", null=False),
        sa.Column("gen", sa.Integer, nullable=False),
        _at("beat_at"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "asks",
        _id(),
        _item_id(key=False),
        _text("ask", null=False),
        _text("from_step"),
        _at("at"),
        sqlite_autoincrement=True,
    )


def _identity() -> None:
    op.create_table(
        "relations",
        _item_id(),
        sa.Column("other_id", sa.Text, sa.ForeignKey("items.id"), primary_key=True),
        _text("relation", null=False),
        sa.Column("offset_s", sa.Double, nullable=False),
        sa.Column("times", sa.JSON, nullable=False),
        _at("at"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "postings",
        sa.Column("key", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("item", sa.BigInteger, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "posted",
        sa.Column("item", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("packed", sa.LargeBinary, nullable=False),
    )


def _small() -> None:
    op.create_table(
        "item_tags",
        _item_id(),
        sa.Column("tag", sa.Text, primary_key=True),
        _text("owner", null=False),
        _at("created_at"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "changes",
        _id(),
        _text("item_id", null=False),
        _text("kind", null=False),
        _text("step"),
        _text("state", null=False),
        _text("phase"),
        sa.Column("progress", sa.Double, nullable=False),
        _at("at"),
        sqlite_autoincrement=True,
    )
    op.create_table("pointers", sa.Column("name", sa.Text, primary_key=True), _text("value", null=False))
    op.create_table(
        "edits",
        _id(),
        _item_id(key=False),
        sa.Column("start_s", sa.Double, nullable=False),
        sa.Column("end_s", sa.Double, nullable=False),
        _text("old", null=False),
        _text("new", null=False),
        _text("by", null=False),
        _at("at"),
    )


def _index(table: str, name: str, *columns: str, where: str | None = None) -> None:
    told = None if where is None else sa.text(where)
    op.create_index(name, table, list(columns), sqlite_where=told, postgresql_where=told)


def _indexes() -> None:
    alive = "deleted_at IS NULL"
    _index("items", "items_by_created", "created_at", "id", where=alive)
    _index("items", "items_by_title", "title_key", "id", where=alive)
    _index("items", "items_by_owner_created", "owner", "created_at", "id", where=alive)
    _index("items", "items_by_owner_title", "owner", "title_key", "id", where=alive)
    for name in ("state", "source", "platform", "kind", "language", "category", "sentiment"):
        _index("items", f"items_by_owner_{name}", "owner", name, "created_at", "id", where=alive)
    _index("items", "items_by_state", "state", "created_at", "id", where=alive)
    _index("items", "items_by_digest", "owner", "digest", "created_at", "id", where="digest IS NOT NULL")
    _index("items", "items_by_first", "duplicate_of", "created_at", "id", where="duplicate_of IS NOT NULL")
    _index("items", "items_requested", "state", "requested_at", "id", where=alive)
    _index("items", "items_buried", "deleted_at", where="deleted_at IS NOT NULL AND origin <> ''")
    _index("item_steps", "item_steps_due", "next_attempt_at", "item_id", where="state = 'failed'")
    _index("item_steps", "item_steps_blocked", "ended_at", "item_id", where="state = 'blocked'")
    _index("item_tags", "item_tags_by_tag", "tag", "owner", "created_at", "item_id")
    _index("leases", "leases_by_run", "run_id", "item_id")
    _index("leases", "leases_by_beat", "beat_at")
    _index("asks", "asks_by_item", "item_id", "ask")
    _index("relations", "relations_by_other", "other_id")
    _index("changes", "changes_by_item", "item_id", "id")
    _index("edits", "edits_by_item", "item_id", "start_s")

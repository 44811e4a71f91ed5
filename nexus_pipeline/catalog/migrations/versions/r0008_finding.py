"""What one is offered while one types, of all items that are there; and what was searched for."""

import sqlalchemy as sa
from alembic import op

from nexus_pipeline.catalog.by_word import rows

revision = "0008"
down_revision = "0007"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_AT_ONCE = 1000


def upgrade() -> None:
    """From the version before."""
    op.create_table(
        "suggestions",
        sa.Column("owner", sa.Text, primary_key=True, nullable=False),
        sa.Column("word", _KEY, primary_key=True, nullable=False),
        sa.Column("kind", sa.Text, primary_key=True, nullable=False),
        sa.Column("text", _KEY, primary_key=True, nullable=False),
        sa.Column("item_id", sa.Text, sa.ForeignKey("items.id"), primary_key=True, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("suggestions_by_item", "suggestions", ["item_id", "kind"])
    op.create_table(
        "searches",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("query_key", _KEY, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("filters", sa.JSON, nullable=False),
        sa.Column("hits", sa.Integer, nullable=False),
        sa.Column("took_ms", sa.Double, nullable=False),
        sa.Column("opened", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("searches_by_owner", "searches", ["owner", "id"])
    op.create_index("searches_by_query", "searches", ["owner", "query_key"])
    unopened = sa.text("opened = 0")
    op.create_index("searches_unopened", "searches", ["owner", "id"], sqlite_where=unopened, postgresql_where=unopened)
    op.create_table(
        "opened_hits",
        sa.Column("search_id", _NUMBER, sa.ForeignKey("searches.id"), primary_key=True, autoincrement=False),
        sa.Column("item_id", sa.Text, sa.ForeignKey("items.id"), primary_key=True, nullable=False),
        sa.Column("start_s", sa.Double, primary_key=True, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("opened_hits_by_item", "opened_hits", ["item_id"])
    _fill()


def _fill() -> None:
    """Titles, people's tags and the names that they gave; what the archive knows besides comes when an item lands."""
    db = op.get_bind()
    told = sa.text("SELECT id, owner, title FROM items WHERE deleted_at IS NULL AND id > :after ORDER BY id LIMIT :n")
    tags = sa.text("SELECT tag FROM item_tags WHERE item_id = :id")
    names = sa.text("SELECT name FROM speakers WHERE item_id = :id")
    insert = sa.text(
        "INSERT INTO suggestions (owner, word, kind, text, item_id) VALUES (:owner, :word, :kind, :text, :item_id)"
    )
    after = ""
    while some := db.execute(told, {"after": after, "n": _AT_ONCE}).all():
        after = some[-1].id
        new = []
        for item in some:
            new += rows(item.owner, item.id, "title", [item.title])
            new += rows(item.owner, item.id, "tag", db.execute(tags, {"id": item.id}).scalars().all())
            new += rows(item.owner, item.id, "speaker", db.execute(names, {"id": item.id}).scalars().all())
        if new:
            db.execute(insert, new)

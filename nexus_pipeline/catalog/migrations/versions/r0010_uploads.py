"""Uploads that come in parts, and the answers that posts with an Idempotency-Key got."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """From the version before."""
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("length", sa.BigInteger),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("at_once", sa.Boolean, nullable=False),
        sa.Column("item_id", sa.Text),
        sa.Column("settled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    open_, taken = sa.text("NOT settled"), sa.text("item_id IS NOT NULL")
    op.create_index(
        "uploads_open", "uploads", ["owner", "expires_at", "id"], sqlite_where=open_, postgresql_where=open_
    )
    op.create_index("uploads_by_item", "uploads", ["item_id"], sqlite_where=taken, postgresql_where=taken)
    op.create_table(
        "posts",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("route", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text),
        sa.Column("status", sa.Integer),
        sa.Column("headers", sa.JSON),
        sa.Column("body", sa.LargeBinary),
        sa.Column("beat_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("posts_by_age", "posts", ["owner", "created_at"])

"""Receipts: what went with an erased item, and when nothing of it was left."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """From the version before."""
    op.create_table(
        "receipts",
        sa.Column("item_id", sa.Text, sa.ForeignKey("items.id"), primary_key=True, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("blobs", sa.Integer, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("passages", sa.Integer, nullable=False),
        sa.Column("versions", sa.Integer, nullable=False),
        sa.Column("marks", sa.JSON),
        sa.Column("buried_at", sa.BigInteger, nullable=False),
        sa.Column("purged_at", sa.BigInteger),
        sa.Column("at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    told = sa.text("at IS NULL")
    op.create_index("receipts_open", "receipts", ["buried_at"], sqlite_where=told, postgresql_where=told)

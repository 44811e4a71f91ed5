"""Chats: questions, answers, and whose passages the answers were made of."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """From the version before."""
    op.create_table(
        "chats",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("chats_by_owner", "chats", ["owner", "updated_at", "id"])
    op.create_table(
        "messages",
        sa.Column("chat_id", sa.Text, sa.ForeignKey("chats.id"), primary_key=True, nullable=False),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("item_ids", sa.JSON, nullable=False),
        sa.Column("citations", sa.Text, nullable=False),
        sa.Column("sentences", sa.Text, nullable=False),
        sa.Column("refused", sa.Boolean, nullable=False),
        sa.Column("engine", sa.Text),
        sa.Column("ended", sa.Text, nullable=False),
        sa.Column("usage", sa.JSON),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "message_items",
        sa.Column("item_id", sa.Text, sa.ForeignKey("items.id"), primary_key=True, nullable=False),
        sa.Column("chat_id", sa.Text, sa.ForeignKey("chats.id"), primary_key=True, nullable=False),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_index("message_items_by_chat", "message_items", ["chat_id", "n"])

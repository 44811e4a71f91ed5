"""The catalog's tables of chats. What was said stands in columns of words, lists in it as JSON text."""

import sqlalchemy as sa

from nexus_pipeline.catalog.tables import Instant, Words, metadata

chats = sa.Table(
    "chats",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("title", Words, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
    sa.Index("chats_by_owner", "owner", "updated_at", "id"),
    sqlite_with_rowid=False,
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("chat_id", sa.Text, sa.ForeignKey("chats.id"), primary_key=True, nullable=False),
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("text", Words, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("item_ids", sa.JSON, nullable=False),
    sa.Column("citations", Words, nullable=False),
    sa.Column("sentences", Words, nullable=False),
    sa.Column("refused", sa.Boolean, nullable=False),
    sa.Column("engine", sa.Text),
    sa.Column("ended", sa.Text, nullable=False),
    sa.Column("usage", sa.JSON(none_as_null=True)),
    sqlite_with_rowid=False,
)

message_items = sa.Table(  # whose passages an answer was made of: by this it is found when an item is erased
    "message_items",
    metadata,
    sa.Column("item_id", sa.Text, sa.ForeignKey("items.id"), primary_key=True, nullable=False),
    sa.Column("chat_id", sa.Text, sa.ForeignKey("chats.id"), primary_key=True, nullable=False),
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
    sa.Index("message_items_by_chat", "chat_id", "n"),
    sqlite_with_rowid=False,
)

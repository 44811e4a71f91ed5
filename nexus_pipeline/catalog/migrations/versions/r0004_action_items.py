"""Action items: what was promised in an item, and what people did to it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """From the version before."""
    op.create_table(
        "action_items",
        sa.Column("item_id", sa.Text, sa.ForeignKey("items.id"), primary_key=True, nullable=False),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("at_s", sa.Double, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
        sa.Column("assignee", sa.Text),
        sa.Column("estimate", sa.Text),
        sa.Column("done", sa.Boolean, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("changed", sa.JSON, nullable=False),
        sa.Column("changed_at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    columns = ["owner", "done", "created_at", "item_id", "n"]
    op.create_index("action_items_by_owner", "action_items", columns)

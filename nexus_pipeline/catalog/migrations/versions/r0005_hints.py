"""Hints: what the speech engine is told before it listens to an item."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """From the version before."""
    op.add_column("items", sa.Column("prompt", sa.Text))
    op.add_column("items", sa.Column("vocabulary", sa.JSON))

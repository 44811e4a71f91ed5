"""What people write over a transcript: of text or of who speaks; and its version on the item."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """From the version before."""
    op.add_column("edits", sa.Column("what", sa.Text, nullable=False, server_default="text"))
    op.add_column("items", sa.Column("edited", sa.Text))

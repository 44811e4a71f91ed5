"""What an overview counts: the lane of an item, its open steps, what became searchable."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """From the version before."""
    op.add_column("items", sa.Column("lane", sa.Text))
    _index("item_steps_open", "step", "state", "error_code", "item_id", where="state NOT IN ('done', 'skipped')")
    _index("item_steps_last", "ended_at", "state", "item_id", where="step = 'embedding'")


def _index(name: str, *columns: str, where: str) -> None:
    told = sa.text(where)
    op.create_index(name, "item_steps", list(columns), sqlite_where=told, postgresql_where=told)

"""Names of speakers, and the step that tells them apart: switched off in items that were there before it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

# An item that has not come so far takes the new step in its turn; one whose speech was left out leaves this out, too.
_ROWS = """
INSERT INTO item_steps (item_id, step, state, reason, attempt, retryable, progress)
SELECT item_id, 'speakers',
       CASE WHEN state IN ('done', 'skipped') THEN 'skipped' ELSE 'waiting' END,
       CASE state WHEN 'done' THEN 'switched_off' WHEN 'skipped' THEN reason END,
       0, :no, CASE WHEN state IN ('done', 'skipped') THEN 1.0 ELSE 0.0 END
FROM item_steps AS heard
WHERE step = 'transcript'
  AND NOT EXISTS (SELECT 1 FROM item_steps AS s WHERE s.item_id = heard.item_id AND s.step = 'speakers')
"""


def upgrade() -> None:
    """From the version before."""
    op.create_table(
        "speakers",
        sa.Column("item_id", sa.Text, sa.ForeignKey("items.id"), primary_key=True, nullable=False),
        sa.Column("label", sa.Text, primary_key=True, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.get_bind().execute(sa.text(_ROWS).bindparams(sa.bindparam("no", value=False, type_=sa.Boolean)))

"""Translation, a step that may be left out: items of before have not missed it."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """From the version before. Else items that are done would seem to wait for it."""
    op.execute("""
        INSERT INTO item_steps (item_id, step, state, reason, attempt, retryable, progress, ended_at)
        SELECT id, 'translation', 'skipped',
               CASE WHEN duplicate_of IS NULL THEN 'switched_off' ELSE 'duplicate' END,
               0, false, 1, updated_at
        FROM items
        WHERE deleted_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM item_steps WHERE item_id = items.id AND step = 'translation')
    """)

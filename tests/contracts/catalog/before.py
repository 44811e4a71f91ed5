"""A catalog as an older Nexus left it: its tables of then, and rows written past the code of today."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from nexus_pipeline.catalog import opening

MIGRATIONS = str(opening.__file__).replace("opening.py", "migrations")


def made_by(engine, version, items, **rows):
    """Tables as this version had them, and items in them.

    `items`: by id the row of each step by its name, and what is told of the item; `rows`: of other tables.
    """
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    text = dict.fromkeys(("title", "title_key", "source", "platform", "origin"), "x")
    plain = {"owner": "local", "gen": 1, "state": "waiting", "titled": False, "priority": "normal", "unique": False}
    plain |= dict.fromkeys(("duplicate_offset_s", "created_at", "updated_at", "requested_at"), 0)
    with engine.begin() as db:
        config.attributes["connection"] = db
        command.upgrade(config, version)
        known = sa.MetaData()
        known.reflect(db)
        for item_id, (steps, told) in items.items():
            db.execute(
                known.tables["items"].insert(), {**text, **plain, "tags": [], "engines": {}, "id": item_id, **told}
            )
            step_rows = [
                {"item_id": item_id, "step": step, "attempt": 0, "retryable": False, "progress": 0.0, **status}
                for step, status in steps.items()
            ]
            if step_rows:
                db.execute(known.tables["item_steps"].insert(), step_rows)
        for table, own in rows.items():
            db.execute(known.tables[table].insert(), own)

"""Opening the catalog: its file or server, and the migrations that are still missing.

Several processes may open it at once: one migrates, in one transaction; the others wait and find it done.
"""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from nexus_pipeline.catalog import dialect
from nexus_pipeline.domain.errors import StoreError, StoreFull

log = logging.getLogger(__name__)

HEAD = "0011"
"""The newest migration; known here, so that opening a catalog that has it does not load Alembic."""


def migrate(url: URL) -> None:
    """Bring the catalog's tables up to date; nothing to do where they are.

    Raises StoreError where it cannot be reached, is damaged, or was made by a newer Nexus.
    """
    _folder(url)
    reading, writing = dialect.connected(url)
    try:
        with dialect.translated(url):
            if url.get_backend_name() == "sqlite":
                _write_ahead(reading)
            with reading.begin() as db:
                if _version(db) == HEAD:
                    return
            with writing.begin() as db:
                dialect.alone(db, dialect.MIGRATING)
                _upgrade(db, dialect.shown(url))
    finally:
        reading.dispose()


def _folder(url: URL) -> None:
    if url.get_backend_name() != "sqlite":
        return
    try:
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreFull(f"no folder can be made for the catalog {dialect.shown(url)}: {error.strerror}") from error


def _write_ahead(engine: sa.Engine) -> None:
    """WAL stands in the file from then on. SQLite does not wait for others here, hence the tries."""
    tries = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, sqlite3.OperationalError) and "locked" in str(error)),
        stop=stop_after_delay(dialect.BUSY_S),
        wait=wait_random(0.01, 0.1),
        reraise=True,
    )
    for attempt in tries:
        # the driver's own connection: the mode cannot be changed in a transaction
        with attempt, closing(engine.raw_connection()) as raw, closing(raw.cursor()) as db:
            if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                db.execute("PRAGMA journal_mode=WAL")


def _version(db: sa.Connection) -> str | None:
    if not sa.inspect(db).has_table("alembic_version"):
        return None
    version: str | None = db.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return version


def _upgrade(db: sa.Connection, where: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    before = _version(db)  # again, now that nobody else migrates
    if before == HEAD:
        return
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = db
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"the catalog at {where} has version {before}, which this Nexus does not know: update Nexus"
        ) from error
    log.info("migrated the catalog from=%s to=%s", before, HEAD)

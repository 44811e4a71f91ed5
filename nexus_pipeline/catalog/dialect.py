"""What differs between SQLite and PostgreSQL, and the drivers' errors as ours.

SQLite has one writer at a time: a write begins with BEGIN IMMEDIATE and waits up to 30 s for the one before it; within
a process writers queue at a lock, because SQLite's own waiting is unfair. PostgreSQL locks rows instead.
"""

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL

from nexus_pipeline.domain.errors import Conflict, StoreError, StoreFull

log = logging.getLogger(__name__)

BUSY_S = 30
ADDING, LINKING, IN_ORDER, MIGRATING = 7_305_001, 7_305_002, 7_305_003, 7_305_004
POSTING = 7_305_010
"""Numbers of PostgreSQL's advisory locks: any, but the same in every process.

The first two are taken before rows are locked, IN_ORDER after all of them, so nobody waits in a circle.
"""

_WRITES = {"nexus_writes": True}
_FULL = {"53100", "25006"}  # disk_full, read_only_sql_transaction
_RACED = {"40001", "40P01", "55P03"}  # serialization_failure, deadlock_detected, lock_not_available


def parsed(url: str) -> URL:
    """The catalog's address. Raises StoreError, which does not repeat it, where it is none."""
    try:
        told = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise StoreError("NEXUS_CATALOG is no SQLAlchemy URL: sqlite:///FILE or postgresql://HOST/DATABASE") from error
    if told.get_backend_name() not in {"sqlite", "postgresql"}:
        raise StoreError("NEXUS_CATALOG must be sqlite:///FILE or postgresql://HOST/DATABASE")
    if told.get_backend_name() == "sqlite" and told.database in {None, "", ":memory:"}:
        raise StoreError("the catalog needs a file, one that other processes see too: sqlite:///FILE")
    return told


def shown(url: URL) -> str:
    """The address without password and parameters: what a message may say."""
    return url.set(query={}).render_as_string(hide_password=True)


def connected(url: URL) -> tuple[sa.Engine, sa.Engine]:
    """Two views of one pool: for reading, and for writing. Nothing is opened yet."""
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(
            url,
            connect_args={"timeout": BUSY_S, "check_same_thread": False, "cached_statements": 256},
            pool_size=8,
            max_overflow=56,
            hide_parameters=True,
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        engine = sa.create_engine(
            url,
            connect_args={"connect_timeout": 10},
            pool_size=4,
            max_overflow=28,
            pool_pre_ping=True,  # a server that was started anew costs no error
            hide_parameters=True,
        )
    return engine, engine.execution_options(**_WRITES)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # else the driver begins on its own, and never IMMEDIATE
    # secure_delete: what was erased must not lie about in free space
    for pragma in (
        "secure_delete=ON",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_S * 1000}",
        "cache_size=-16000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("nexus_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def turn(url: URL) -> AbstractContextManager[Any]:
    """What a process' writers queue at: a lock on SQLite, nothing on PostgreSQL."""
    return threading.Lock() if url.get_backend_name() == "sqlite" else nullcontext()


def truncate_log(engine: sa.Engine) -> bool:
    """Bring all of SQLite's log into its file and empty the log; False where a reader or writer kept it from that."""
    with closing(engine.raw_connection()) as raw, closing(raw.cursor()) as db:
        db.execute("PRAGMA busy_timeout=1000")
        try:
            busy: int = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            db.execute(f"PRAGMA busy_timeout={BUSY_S * 1000}")
        return not busy


def alone(db: sa.Connection, lock: int) -> None:
    """Until this transaction ends no other goes past the same line. On SQLite every writing one is alone already."""
    if db.dialect.name == "postgresql":
        db.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))


def clock(db: sa.Connection) -> datetime:
    """Now. Of the server where there is one: leases are judged on other machines than they were taken on."""
    if db.dialect.name == "postgresql":
        told: datetime = db.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return told.astimezone(UTC)
    return datetime.now(UTC)


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Drivers' errors as StoreFull, Conflict or StoreError; never with a value of a row in the message."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _ours(error.orig, shown(url)) from error
    except sqlite3.Error as error:
        raise _ours(error, shown(url)) from error
    except sa.exc.StatementError as error:  # a value that does not fit its column: its words stay out of the message
        kind = type(error.orig).__name__
        raise StoreError(f"the catalog was given a value of a wrong type ({kind}): this is a bug") from error
    except sa.exc.TimeoutError as error:
        raise StoreError(
            f"no connection to the catalog at {shown(url)} came free: more threads than it allows"
        ) from error


def _ours(cause: BaseException | None, where: str) -> StoreError:
    sqlstate = getattr(cause, "pgcode", None)
    said = (str(cause).splitlines() or [""])[0]
    if isinstance(cause, sqlite3.Error):
        if "disk is full" in said or "readonly" in said:
            return StoreFull(f"the catalog at {where} cannot be written ({said}): make room, or make it writable")
        if "locked" in said:
            return Conflict(f"the catalog at {where} was busy for {BUSY_S} s: another program keeps it locked")
    elif sqlstate in _FULL:
        return StoreFull(f"the catalog at {where} cannot be written (SQLSTATE {sqlstate}): make room on its server")
    elif sqlstate in _RACED:
        return Conflict(f"another writer of the catalog came first (SQLSTATE {sqlstate}): try again")
    elif sqlstate:
        said = f"SQLSTATE {sqlstate}, {type(cause).__name__}"
    return StoreError(f"the catalog at {where} cannot be used ({said}): see whether it is there and whole")

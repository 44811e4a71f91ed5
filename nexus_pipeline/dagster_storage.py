"""Dagster's SQLite storage, with its engines kept: an event costs half of what it does otherwise.

Dagster makes a new SQLAlchemy engine for every statement, and so compiles each of them anew (1.13.27,
sqlite_event_log.py `_connect`, sqlite_run_storage.py `connect`). Here an engine stays for each file; connections are
opened and closed as there, so that nothing else changes: `dagster dev` works on the same files without this.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, inspect
from sqlalchemy.pool import NullPool

KEPT = 64
"""Engines that are kept: each run has a file of its own, and few run or are looked at together."""
WAIT_S = 30
"""How long a statement waits for another process's."""


@lru_cache(maxsize=KEPT)
def engine(url: str) -> Engine:
    """The one for a file. It keeps compiled statements and no connection."""
    return create_engine(url, poolclass=NullPool, connect_args={"timeout": WAIT_S})


class Events(SqliteEventLogStorage):
    """What runs and assets have said."""

    def has_table(self, table_name: str) -> bool:
        """Whether the index has it; Dagster asks at every event that carries tags."""
        with engine(self.conn_string_for_shard(INDEX_SHARD_NAME)).connect() as connection:
            return bool(inspect(connection).has_table(table_name))

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            kept = engine(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(kept)
                self._initialized_dbs.add(shard)
            with kept.connect() as connection, connection.begin():
                yield connection


class Runs(SqliteRunStorage):
    """Runs and their states."""

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection in a transaction."""
        with engine(self._conn_string).connect() as connection, connection.begin():
            yield connection


class Ticks(SqliteScheduleStorage):
    """Sensors and schedules."""

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection in a transaction."""
        with engine(self._conn_string).connect() as connection, connection.begin():
            yield connection


class SqliteStorage(DagsterSqliteStorage):
    """All three, over the files that Dagster's own would use."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Makes the files where they are not there."""
        super().__init__(base_dir, inst_data)
        self._run_storage = Runs.from_local(_runs_directory(base_dir))
        self._event_log_storage = Events(_event_logs_directory(base_dir))
        self._schedule_storage = Ticks.from_local(_schedule_directory(base_dir))

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "SqliteStorage":
        """From dagster.yaml."""
        return cls.from_local(inst_data=inst_data, **config_value)

"""A table of LanceDB: opened when it is there, made when something is written, errors in our own words.

The vendor raises plain RuntimeError, OSError and ValueError; what happened stands in the message only.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import lancedb
import pyarrow as pa
import tenacity

from nexus_pipeline.archive.schema import INDEXES, PREFIX, VOICES
from nexus_pipeline.domain.errors import Conflict, StoreError, StoreFull

log = logging.getLogger(__name__)

SEES_OTHERS_AFTER = timedelta(seconds=1)
"""A handle with the vendor's default never sees another process's commits."""
PATIENCE_S = 60.0
"""How long commit conflicts are retried."""

T = TypeVar("T")
_VENDOR = (RuntimeError, OSError, ValueError)
_CONFLICT = re.compile(r"commit conflict|concurrent (writers|commit|transaction)|preempted", re.IGNORECASE)
_FULL = re.compile(r"no space left|quota|storagefull|read-only file system|permission denied", re.IGNORECASE)
_GONE = re.compile(r"not found", re.IGNORECASE)


class Tables:
    """One table in a folder or below an `s3://` URL."""

    def __init__(
        self,
        path: str,
        name: str,
        schema: pa.Schema,
        storage_options: Mapping[str, str] | None,
        indexes: Mapping[str, Any] = INDEXES,
    ) -> None:
        self._indexes = indexes
        self.name = name
        self._path = path
        self._schema = schema
        self._options = dict(storage_options) if storage_options else None
        self._table: Any = None
        self._is_indexed = False

    @property
    def folder(self) -> Path | None:
        """Where it lies, if that is on this machine."""
        return None if "://" in self._path else Path(self._path)

    def existing(self) -> Any | None:
        """The table, or None where nothing was ever written."""
        if self._table is None:
            if self.folder is not None and not (self.folder / f"{self.name}.lance").exists():
                return None
            with translated("opened"):
                self._table = self._opened()
        return self._table

    def made(self) -> Any:
        """The table with its indexes, made if it is not there."""
        if self._table is None:
            with translated("made"):
                self._table = self._connected().create_table(self.name, schema=self._schema, exist_ok=True)
                self._check(self._table)
        if not self._is_indexed:
            self.index(self._table)
            self._is_indexed = True
        return self._table

    def renew(self) -> bool:
        """Drop the table where it has other columns than it should; whether it had."""
        if self.folder is not None and not (self.folder / f"{self.name}.lance").exists():
            return False
        with translated("made anew"):
            database = self._connected()
            if self.name not in _names(database) or database.open_table(self.name).schema == self._schema:
                return False
            database.drop_table(self.name)
        self._table, self._is_indexed = None, False
        log.info("dropped a table of another layout name=%s", self.name)
        return True

    def all(self) -> dict[str, Any]:
        """Every table that is there by its name: this one, those of other embedders, those of voices."""
        own = self.existing()
        found = {} if own is None else {self.name: own}
        if self.folder is not None and not self.folder.exists():
            return found
        with translated("opened"):
            database = self._connected()
            names = [n for n in _names(database) if n.startswith((PREFIX, VOICES)) and n != self.name]
            return found | {name: database.open_table(name) for name in names}

    def index(self, table: Any) -> int:
        """Make the indexes that are missing (all do on an empty table); how many. A killed process may leave some."""
        there = {column for index in retried(table.list_indices, "read") for column in index.columns}
        missing = [column for column in self._indexes if column not in there]
        for column in missing:
            retried(partial(table.create_index, column, config=self._indexes[column]), "indexed")
        return len(missing)

    def _connected(self) -> Any:
        return lancedb.connect(self._path, read_consistency_interval=SEES_OTHERS_AFTER, storage_options=self._options)

    def _opened(self) -> Any | None:
        try:
            table = self._connected().open_table(self.name)
        except _VENDOR as error:
            if _GONE.search(str(error)):
                return None
            raise
        self._check(table)
        return table

    def _check(self, table: Any) -> None:
        if table.schema != self._schema:
            raise StoreError(
                f"The archive's table {self.name} was made with other columns or dimensions than this version of "
                "Nexus and its embedder have: run `nexus rebuild`, which makes it anew from what is kept"
            )


def _names(database: Any) -> Iterator[str]:
    token: str | None = None
    while True:
        told = database.list_tables(page_token=token)
        yield from told.tables
        token = told.page_token
        if not token:
            return


def retried(write: Callable[[], T], did: str) -> T:
    """Do it again, with backoff and jitter, while others' commits come first. Raises Conflict after a minute."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda e: isinstance(e, _VENDOR) and bool(_CONFLICT.search(str(e)))),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=5),
        stop=tenacity.stop_after_delay(PATIENCE_S),
        before_sleep=lambda state: log.info("commit conflict, trying again attempt=%d", state.attempt_number),
        reraise=True,
    )
    with translated(did):
        return retrying(write)


def read(table: Any, reading: Callable[[Any], T]) -> T:
    """Read; once more from the newest version if care has just removed files of the one being read."""
    with translated("read"):
        try:
            return reading(table)
        except _VENDOR as error:
            if not _GONE.search(str(error)):
                raise
            table.checkout_latest()
            return reading(table)


@contextmanager
def translated(did: str) -> Iterator[None]:
    """The vendor's errors in our words; its messages stay behind: they may repeat what an item says."""
    try:
        yield
    except _VENDOR as error:
        told = str(error)
        if _CONFLICT.search(told):
            raise Conflict(f"The archive could not be {did}: others wrote to it without a pause; try later") from error
        if _FULL.search(told):
            raise StoreFull(f"The archive could not be {did}: free space, or let Nexus write there") from error
        raise StoreError(f"The archive could not be {did} ({type(error).__name__}): is its store reachable?") from error

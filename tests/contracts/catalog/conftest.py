"""A catalog for each test, on SQLite and on PostgreSQL, and what tests do to it all the time."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nexus_pipeline.catalog import SqlCatalog
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Item, NewItem
from nexus_pipeline.domain.states import State, StepStatus
from tests import postgres

_numbers = itertools.count()


@cache
def _postgres_template() -> str:
    url = postgres.server().url()
    SqlCatalog.open(url.render_as_string(hide_password=False), STEPS).close()
    return str(url.database)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("catalog")
    SqlCatalog.open(f"sqlite:///{folder}/catalog.sqlite", STEPS).close()
    return folder / "catalog.sqlite"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request) -> str:
    return request.param


@pytest.fixture
def empty_url(database, tmp_path) -> str:
    """Of a catalog that nobody has opened yet."""
    if database == "sqlite":
        return f"sqlite:///{tmp_path}/new.sqlite"
    return postgres.server().url().render_as_string(hide_password=False)


@pytest.fixture
def url(database, tmp_path, sqlite_template) -> str:
    """Of a catalog with all tables and no rows."""
    if database == "sqlite":
        shutil.copy(sqlite_template, tmp_path / "catalog.sqlite")
        return f"sqlite:///{tmp_path}/catalog.sqlite"
    return postgres.server().url(_postgres_template()).render_as_string(hide_password=False)


@pytest.fixture
def catalog(url) -> Iterator[SqlCatalog]:
    opened = SqlCatalog.open(url, STEPS)
    yield opened
    opened.close()


@pytest.fixture
def add(catalog) -> Callable[..., Item]:
    """Adds one item; its origin is new unless given."""

    def one(**fields) -> Item:
        fields = {"owner": "local", "origin": f"file:{next(_numbers)}", "source": "inbox", "title": "Talk"} | fields
        return catalog.add([NewItem(**fields)])[0]

    return one


@pytest.fixture
def run(catalog) -> "Run":
    return Run(catalog, "run-1")


class Run:
    """Does to items what a run does."""

    def __init__(self, catalog: SqlCatalog, run_id: str) -> None:
        self.catalog, self.id = catalog, run_id

    def take(self, item: Item) -> Item:
        return self.catalog.lease([item.id], self.id)[item.id]

    def land(self, item: Item, step: str, state: State = State.DONE, facts=None, **fields) -> Item:
        if state is not State.SKIPPED:
            self.catalog.begin(item, step, self.id, self.id)
        return self.catalog.land(item, StepStatus(step, state, run_id=self.id, **fields), facts)

    def through(self, item: Item, until: str = STEPS[-1], **facts) -> Item:
        """Done up to and including a step, and given back."""
        item = self.take(item)
        for step in STEPS[: STEPS.index(until) + 1]:
            item = self.land(item, step, facts=facts if step == "raw" else None, version_key="v", blob=f"{step}.json")
        self.catalog.release(self.id, [item.id])
        return self.catalog.get(item.id)

    def fails(self, item: Item, step: str = "raw", **fields) -> Item:
        """Failed at a step, and given back."""
        item = self.land(self.take(item), step, State.FAILED, error_code="engine_failed", error_message="no", **fields)
        self.catalog.release(self.id, [item.id])
        return item


@pytest.fixture
def sql(url) -> Iterator[Callable[[str], Any]]:
    """Runs a statement past the catalog; the first value of its first row, if it has any."""
    engine = sa.create_engine(url)

    def run(statement: str) -> Any:
        with engine.begin() as db:
            told = db.exec_driver_sql(statement)
            return told.scalar_one() if told.returns_rows else None

    yield run
    engine.dispose()


@pytest.fixture
def age(sql) -> Callable[[str, str, float], None]:
    """Makes an instant of all rows of a table so many seconds older."""

    def older(table: str, column: str, seconds: float) -> None:
        sql(f"UPDATE {table} SET {column} = {column} - {round(seconds * 1_000_000)}")

    return older


@pytest.fixture
def rows(sql) -> Callable[..., int]:
    """Counts the rows of a table."""

    def count(table: str, where: str = "1 = 1") -> int:
        return sql(f"SELECT count(*) FROM {table} WHERE {where}")

    return count

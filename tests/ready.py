"""What every new home would make anew, made once: a catalog's tables, Dagster's, and MiniLM's converted weights.

All are made by the real code and copied. How they are made is tested where nothing is copied (tests/contracts).
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import dagster as dg
import pytest
from sqlalchemy.engine import URL, make_url

from nexus_pipeline import dagster_storage
from nexus_pipeline.catalog import SqlCatalog, opening
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.engines import minilm

Migrate = Callable[[URL], None]
Convert = Callable[[Path, Path], None]


@pytest.fixture(scope="package", autouse=True)
def made_once(tmp_path_factory) -> Iterator[None]:
    """A new SQLite catalog starts as a copy of one without rows, and a new cache with links to converted weights."""
    folder = tmp_path_factory.mktemp("ready")
    empty = f"sqlite:///{folder}/catalog.sqlite"
    SqlCatalog.open(empty, STEPS).close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "migrate", _copying(Path(make_url(empty).database), opening.migrate))
        patch.setattr(minilm, "_convert", _linking(folder / "minilm", minilm._convert))
        yield


@contextmanager
def dagster_at(folder: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with files of its own in this folder, stored as `nexus up` stores them."""
    shutil.copytree(_storage(), folder / "storage")
    with _instance(folder) as instance:
        yield instance


@cache
def _made() -> TemporaryDirectory:
    folder = TemporaryDirectory(prefix="nexus-dagster-")
    _instance(Path(folder.name)).dispose()
    return folder


def _storage() -> Path:
    return Path(_made().name) / "storage"


def _instance(folder: Path) -> dg.DagsterInstance:
    base = {"base_dir": f"{folder}/storage"}
    storage = {"module": dagster_storage.__name__, "class": "SqliteStorage", "config": base}
    return dg.DagsterInstance.local_temp(str(folder), overrides={"storage": {"custom": storage}})


def _copying(empty: Path, migrate: Migrate) -> Migrate:
    def migrated(url: URL) -> None:
        if url.get_backend_name() == "sqlite" and not Path(url.database).exists():
            # where no copy can be made, opening itself says why
            with suppress(OSError):
                Path(url.database).parent.mkdir(parents=True, exist_ok=True)
                with TemporaryDirectory(dir=Path(url.database).parent) as aside:
                    os.link(shutil.copyfile(empty, Path(aside) / "copy"), url.database)
        migrate(url)

    return migrated


def _linking(kept: Path, convert: Convert) -> Convert:
    first = Lock()

    def converted(source: Path, to: Path) -> None:
        with first:
            if not kept.exists():
                kept.mkdir()
                convert(source, kept)
        for made in kept.iterdir():
            os.link(made, to / made.name)
        to.chmod(0o755)

    return converted

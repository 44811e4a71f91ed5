"""What holds for all tests."""

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# as `nexus up` gives its workers; read when numpy is imported, whose second thread would only spin beside other tests
os.environ.setdefault("OMP_NUM_THREADS", "1")

# how long an example takes says how busy the machine is
settings.register_profile("nexus", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nexus")

MEMORY = Path("/dev/shm")
ROOM = 8_000_000_000
"""Bytes; a run leaves half of it."""


def pytest_configure() -> None:
    """Thousands of databases are written and synced to be thrown away: in memory, where there is enough of it."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(items) -> None:
    """What waits for servers first: with several processes at work, it is not what all others wait for at the end."""
    items.sort(key=lambda item: "tests/e2e" not in item.nodeid)


def pytest_collection_finish() -> None:
    """Modules and tests stay: a tenth of the suite's time was looking at them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def given_back() -> Iterator[None]:
    """Models and archives in circles of references go with their tests, and not when Python thinks of it."""
    yield
    gc.collect()

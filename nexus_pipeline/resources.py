"""Thin Dagster shells around the wiring: visible knobs in the UI, the working parts in the code."""

import fcntl
import os
from functools import lru_cache
from pathlib import Path

import dagster as dg

from nexus_pipeline.domain.errors import StoreError
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts


@lru_cache(maxsize=1)
def parts_of_process() -> Parts:
    """One set of parts a process: a warm worker keeps its models and handles from run to run."""
    settings = Settings()
    if settings.dagster_home is not None and settings.dagster_home != settings.root / "dagster":
        _share_storage(settings.root)
    return Parts(settings)


def _share_storage(home: Path) -> None:
    """Plain `dagster dev` and `nexus up` use one storage: each keeps the other from starting, by a lock for life.

    Raises StoreError while `nexus up` runs, which holds the lock alone; any number of Dagster's processes share it.
    """
    home.mkdir(parents=True, exist_ok=True)
    file = os.open(home / "nexus.lock", os.O_RDWR | os.O_CREAT, 0o644)  # never closed: held until the process ends
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreError(f"`nexus up` runs over {home}; end it before Dagster is started on its own") from error


class PartsResource(dg.ConfigurableResource[Parts]):
    """What steps work with. Settings come from the environment; nothing secret stands in a field."""

    def create_resource(self, context: dg.InitResourceContext) -> Parts:  # noqa: ARG002  # Dagster's signature
        """The parts of this process."""
        return parts_of_process()

"""Thin Dagster shells around the wiring: visible knobs in the UI, the working parts in the code."""

from functools import lru_cache

import dagster as dg

from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts


@lru_cache(maxsize=1)
def parts_of_process() -> Parts:
    """One set of parts a process: a warm worker keeps its models and handles from run to run."""
    return Parts(Settings())


class PartsResource(dg.ConfigurableResource[Parts]):
    """What steps work with. Settings come from the environment; nothing secret stands in a field."""

    def create_resource(self, context: dg.InitResourceContext) -> Parts:  # noqa: ARG002  # Dagster's signature
        """The parts of this process."""
        return parts_of_process()

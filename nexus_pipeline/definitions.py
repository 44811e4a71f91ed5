"""Everything that Dagster runs, on one screen."""

import dagster as dg

from nexus_pipeline.care import CARE
from nexus_pipeline.chain import build_chain
from nexus_pipeline.resources import PartsResource, parts_of_process
from nexus_pipeline.sensors import SENSORS


@dg.definitions
def defs() -> dg.Definitions:
    """The chain, its sensors, and upkeep."""
    return dg.Definitions.merge(
        dg.Definitions(
            assets=[build_chain(parts_of_process().settings.batch)],
            sensors=SENSORS,
            resources={"parts": PartsResource()},
            executor=dg.in_process_executor,
        ),
        CARE,
    )

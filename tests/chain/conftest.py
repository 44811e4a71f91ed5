"""The real parts on a temporary home, and Dagster over a temporary instance."""

import dagster as dg
import pytest

from nexus_pipeline.chain import build_chain
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts
from tests.running import Runs
from tests.speech import MODELS, SPEECH


@pytest.fixture
def parts(tmp_path):
    return Parts(Settings(home=tmp_path / "home", speech=SPEECH, models=MODELS))


@pytest.fixture
def runs(parts, tmp_path):
    folder = tmp_path / "dagster"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        yield Runs(build_chain(64), parts, instance)

"""The real parts on a temporary home, and Dagster over a temporary instance."""

import pytest

from nexus_pipeline.chain import build_chain
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts
from tests.ready import dagster_at, made_once
from tests.running import Runs
from tests.speech import MODELS, SPEECH

__all__ = ["made_once"]


@pytest.fixture
def parts(tmp_path):
    return Parts(Settings(home=tmp_path / "home", speech=SPEECH, models=MODELS))


@pytest.fixture
def runs(parts, tmp_path):
    with dagster_at(tmp_path / "dagster") as instance:
        yield Runs(build_chain(64), parts, instance)

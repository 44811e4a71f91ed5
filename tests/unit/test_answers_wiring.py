"""Which engine answers questions: as the settings say, or as `auto` finds it."""

import pytest

from nexus_api.models import OPTIONAL, choice
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.errors import BadInput
from nexus_pipeline.engines.extractive_answerer import ExtractiveAnswerer
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import CATALOGUES, Parts


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "extractive"),
        ({"openai_base_url": "http://127.0.0.1:1"}, "openai,extractive"),
        ({"openai_api_key": "x", "gemini_api_key": "y"}, "gemini,extractive"),
        ({"openai_api_key": "x", "answerer": "extractive"}, "extractive"),
        ({"answerer": "gemini:some,extractive"}, "gemini:some,extractive"),
    ],
)
def test_auto_takes_what_is_set_up(tmp_path, settings, told):
    assert Parts(Settings(home=tmp_path, _env_file=None, **settings)).engines.told("answers") == told


def test_answering_can_be_switched_off(tmp_path):
    parts = Parts(Settings(home=tmp_path, answerer="none", _env_file=None))
    assert parts.engines.answerers() == ()
    [one] = Parts(Settings(home=tmp_path, _env_file=None)).engines.answerers()
    assert isinstance(one, ExtractiveAnswerer)


def test_answers_are_no_step_and_no_item_has_an_engine_of_its_own_for_them():
    assert set(CATALOGUES) - set(STEPS) == {"answers", "reranking"}
    assert set(STEPS) >= OPTIONAL
    with pytest.raises(BadInput, match="one of the steps"):
        choice("answers=extractive")

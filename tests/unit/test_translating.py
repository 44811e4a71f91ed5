"""What the chosen translators cannot do is said before anything is translated."""

import logging

import pytest

from nexus_pipeline.domain.errors import EngineFailed
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts


def parts(tmp_path, **told):
    return Parts(Settings(home=tmp_path, _env_file=None, **told))


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"translate_to": "en"},
        {"translate_to": "en-GB"},
        {"translate_to": "de", "openai_base_url": "http://127.0.0.1:1"},
        {"translate_to": "de,fr", "translator": "whisper,gemini"},
        {"translate_to": "en", "translator": "whisper:base", "speech": "faster-whisper:base.en"},
    ],
)
def test_what_can_be_translated_is_fine(tmp_path, told):
    assert parts(tmp_path, **told).untranslatable() is None


@pytest.mark.parametrize(
    "told",
    [
        {"translate_to": "en,de"},
        {"translate_to": "de", "translator": "whisper:small"},
        {"translate_to": "de", "openai_base_url": "http://127.0.0.1:1", "translator": "whisper"},
    ],
)
def test_whisper_alone_goes_into_english_only_and_what_to_set_is_said(tmp_path, told):
    why = parts(tmp_path, **told).untranslatable()
    assert "into English only, not into de" in why
    assert "set NEXUS_TRANSLATOR to a language model (openai:MODEL, gemini:MODEL)" in why


def test_a_model_that_knows_english_only_translates_nothing(tmp_path):
    why = parts(tmp_path, translate_to="en", speech="faster-whisper:base.en").untranslatable()
    assert why == "base.en knows English only and cannot translate: set NEXUS_TRANSLATOR to whisper:base"


def test_an_engine_that_nobody_knows_is_an_error(tmp_path):
    with pytest.raises(EngineFailed, match="no engine 'babel'"):
        parts(tmp_path, translate_to="de", translator="babel").untranslatable()


def test_a_worker_says_so_when_it_starts_and_starts_all_the_same(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    parts(tmp_path, translate_to="de").warm_up()
    assert "items will not be translated" in caplog.text
    parts(tmp_path, translate_to="de", translator="babel").warm_up()

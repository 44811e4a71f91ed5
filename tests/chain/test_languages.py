"""Languages of segments through the chain: heard by the model, or told by the text, and kept in what people read."""

import json

import pytest

from nexus_api.local import Local
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.flow import Flow
from nexus_pipeline.machine import widths
from nexus_pipeline.settings import Settings
from nexus_pipeline.steps import CHAIN
from nexus_pipeline.turns import Run
from nexus_pipeline.wiring import Parts
from tests.running import drop, srt
from tests.speech import MODELS, SENTENCES, SPEECH, speak
from tests.tongues import speaking, taught
from tests.unit.test_tongues import ENGLISH, GERMAN

# the small model looks at 8 s of these at a time; what is in another language for less than 20 s is heard again


@pytest.fixture
def parts(tmp_path):
    return Parts(Settings(home=tmp_path / "home", speech=SPEECH, models=MODELS, enricher="none"))


def go(parts, new):
    [item] = parts.catalog.add([new])
    list(Flow(CHAIN, parts, Run("r1", "r1", frozenset(STEPS)), widths(parts.settings)).land([item.id]))
    return parts.catalog.get(item.id)


def read(parts, item):
    nexus = Local(parts.settings, parts=parts)
    told = json.loads(nexus.transcript(item.id, "json"))
    return told["language"], [s["language"] for s in told["segments"]], nexus.transcript(item.id, "vtt")


def test_subtitles_in_two_languages_say_which_is_which(parts):
    item = go(parts, drop(parts, "talk.srt", srt(*ENGLISH * 2, *GERMAN), kind=Kind.TEXT))
    language, segments, vtt = read(parts, item)
    assert (language, segments) == ("en", [None] * 6 + ["de"] * 3)
    assert vtt.count("<lang de>") == 3
    assert item.language == "en"


def test_what_the_model_heard_in_another_language_is_kept(parts, monkeypatch, tmp_path):
    new = drop(parts, "talk.wav", speak(tmp_path / "talk.wav", SENTENCES * 2))
    [speech] = parts.engines.each("transcript")
    with speaking(monkeypatch, *[("en", 0.9)] * 5, ("de", 0.95)):
        taught(speech._model(lambda: False))
    item = go(parts, new)
    language, segments, vtt = read(parts, item)
    assert language == item.language == "en"
    assert set(segments) == {None, "de"}
    assert vtt.count("<lang de>") == segments.count("de")


def test_the_language_of_most_of_it_is_the_items_whichever_was_heard_first(parts, monkeypatch, tmp_path):
    new = drop(parts, "talk.wav", speak(tmp_path / "talk.wav", SENTENCES * 2))
    [speech] = parts.engines.each("transcript")
    with speaking(monkeypatch, *[("de", 0.9)] * 3, ("en", 0.95)):
        taught(speech._model(lambda: False))
    item = go(parts, new)
    language, segments, _ = read(parts, item)
    assert language == item.language == "en"
    assert segments[0] == "de"
    assert segments[-1] is None

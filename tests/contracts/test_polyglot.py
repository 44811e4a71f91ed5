"""The language of each look, by a model of several: heard once a look, and changed only where another one is likely."""

import pytest

from nexus_pipeline.engines.faster_whisper import FasterWhisper
from nexus_pipeline.ports import Hints
from tests.contracts.test_speech import NANO, SENTENCES, _seconds, say
from tests.speech import MODELS
from tests.tongues import speaking, taught


@pytest.fixture(scope="module")
def minute(tmp_path_factory):
    return say(SENTENCES, tmp_path_factory.mktemp("spoken") / "minute.flac", before_s=2.0)


def never():
    return False


@pytest.fixture
def hear(monkeypatch, minute):
    """Windows, and the languages that the model was asked for, one a look."""

    def heard(*says, language=None, **how):
        engine = FasterWhisper(NANO, MODELS, **how)
        with speaking(monkeypatch, *says) as loaded:
            model = taught(engine._model(never))
        windows = list(engine.transcribe(minute, _seconds(minute), Hints(language), never))
        asked = [model.hf_tokenizer.id_to_token(token)[2:-2] for token in loaded[0].asked]
        return windows, asked, loaded[0]

    return heard


def told(windows):
    return [(s.text, s.language) for window in windows for s in window.segments]


def test_each_look_is_heard_in_its_language_and_its_segments_say_so(hear):
    windows, asked, _ = hear(("en", 0.9), ("de", 0.95))
    assert asked[0] == "en"
    assert set(asked[1:]) == {"de"}
    assert [text for text, _ in told(windows)] == SENTENCES
    assert {w.language for w in windows} == {"en"}
    first, *others = windows
    assert {s.language for s in first.segments} == {None}
    assert {s.language for w in others for s in w.segments} <= {"de", None}
    assert told(windows)[-1][1] == "de"


def test_a_language_that_is_not_likely_enough_is_not_changed_to(hear):
    windows, asked, _ = hear(("en", 0.9), ("de", 0.79))
    assert set(asked) == {"en"}
    assert {language for _, language in told(windows)} == {None}


def test_the_language_that_was_told_is_the_usual_one(hear):
    windows, asked, _ = hear(("en", 0.7), language="de-CH")
    assert set(asked) == {"de"}
    assert {w.language for w in windows} == {"de"}
    windows, asked, _ = hear(("en", 0.95), language="de-CH")
    assert set(asked) == {"en"}
    assert {w.language for w in windows} == {"de"}
    assert {language for _, language in told(windows)} == {"en"}


def test_until_a_language_is_sure_the_likeliest_so_far_is_the_recordings(hear):
    windows, asked, _ = hear(("fr", 0.3), ("en", 0.4), ("en", 0.9))
    assert asked[:2] == ["fr", "en"]
    assert windows[-1].language == "en"


def test_telling_the_language_does_not_look_twice(hear, monkeypatch):
    """The encoder is a third of what hearing costs."""
    *_, several = hear(("en", 0.9))
    monkeypatch.setattr("tests.tongues.Tongues.is_multilingual", False)
    monkeypatch.setattr("tests.tongues.Tongues._plain", lambda _self, prompt: list(prompt))
    *_, english = hear(("en", 0.9))
    assert several.encoded == english.encoded


@pytest.mark.parametrize("says", [[("en", 0.9), ("de", 0.95)], [("en", 0.9), ("de", 0.95), ("en", 0.9), ("de", 0.95)]])
def test_looks_that_are_decoded_together_have_each_their_language(hear, says):
    plain, asked, _ = hear(*says)
    together, asked_together, _ = hear(*says, batch=2)
    assert told(together) == told(plain)
    assert sorted(asked_together) == sorted(asked)


def test_a_span_that_is_heard_again_has_its_own_language(hear, monkeypatch, minute):
    engine = FasterWhisper(NANO, MODELS)
    with speaking(monkeypatch, ("de", 0.95)):
        taught(engine._model(never))
    readings = list(engine.readings(minute, 2.0, 6.0, Hints("en"), never))
    assert {s.language for said in readings for s in said} == {"de"}

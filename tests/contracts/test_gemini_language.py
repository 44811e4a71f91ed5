"""Gemini as a language model, by its own client against a server that speaks its protocol: answers and refusals."""

from typing import Literal

import pytest
from pydantic import BaseModel, Field

from nexus_pipeline.domain.errors import EngineDown, EngineEmpty, EngineFailed, EngineRefused
from nexus_pipeline.engines.cloud import Barred
from nexus_pipeline.engines.gemini_language import WIDE, WINDOW, GeminiLanguage
from nexus_pipeline.engines.site import EngineSite
from tests import gemini_server as server

SYSTEM, QUESTION = "You answer in one sentence.", "Where is the piano?"


class Place(BaseModel):
    """Where something is."""

    name: str = Field(description="What it is called.")
    floor: int = Field(0, ge=0, le=9)


class Answer(BaseModel):
    """Of every shape that a schema has."""

    kind: Literal["place", "person"]
    place: Place = Field(description="Where it is.")
    others: list[Place] = []
    sure: float | None = None


GOOD = '{"kind": "place", "place": {"name": "the museum", "floor": 2}, "others": [{"name": "the hall"}]}'


def never():
    return False


@pytest.fixture
def language(gemini, tmp_path):
    return GeminiLanguage.build(None, gemini.site(tmp_path))


def ask(language):
    return language.ask(SYSTEM, QUESTION, Answer, never)


def tell(language):
    return list(language.tell(SYSTEM, QUESTION, never))


def raised(error, do, *args):
    """The error; what the vendor's messages quote of an item does not stand in it."""
    with pytest.raises(error) as caught:
        do(*args)
    assert type(caught.value) in {error, Barred}
    assert server.QUOTED not in str(caught.value)
    return str(caught.value)


def test_an_answer_comes_in_the_form_that_was_asked_for(gemini, language):
    gemini.says = lambda body: GOOD
    answer = ask(language)
    assert (answer.place.name, answer.place.floor, answer.others[0].name) == ("the museum", 2, "the hall")
    [asked] = gemini.asked
    assert (asked.does, asked.model) == ("generateContent", "gemini-3.8-flash")
    assert asked.body["systemInstruction"]["parts"] == [{"text": SYSTEM}]
    assert asked.body["contents"][0]["parts"] == [{"text": QUESTION}]
    config = asked.body["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"]["required"] == ["kind", "place"]


def test_text_comes_in_pieces_as_they_are_said(gemini, language):
    told = tell(language)
    assert "".join(told) == "It is behind the red door."
    assert len(told) == 6
    assert [asked.does for asked in gemini.asked] == ["streamGenerateContent"]


@pytest.mark.parametrize("bad", ["Here you are: {", '{"kind": "animal", "place": {"name": "x"}}', "[]", '"x"'])
def test_an_answer_in_another_form_is_asked_for_once_more_with_the_complaint(gemini, language, bad):
    gemini.faults.append(server.says(bad))
    gemini.says = lambda body: GOOD
    assert ask(language).place.name == "the museum"
    again = gemini.asked[1].body["contents"][0]["parts"]
    assert again[0] == {"text": QUESTION}
    assert "not in the form" in again[1]["text"]
    assert len(gemini.asked) == 2


@pytest.mark.parametrize("bad", ["no JSON at all", '{"kind": "place"}'])
def test_an_answer_in_another_form_twice_is_empty(gemini, language, bad):
    gemini.always = server.says(bad)
    assert "form" in raised(EngineEmpty, ask, language)
    assert len(gemini.asked) == 2


@pytest.mark.parametrize("do", [ask, tell])
@pytest.mark.parametrize("reason", ["SAFETY", "OTHER", "PROHIBITED_CONTENT", "BLOCKLIST"])
def test_a_question_that_is_blocked_is_refused(gemini, language, do, reason):
    gemini.faults.append(server.blocked(reason))
    assert f"({reason})" in raised(EngineRefused, do, language)
    assert len(gemini.asked) == 1


@pytest.mark.parametrize("do", [ask, tell])
@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"])
def test_an_answer_that_is_stopped_by_its_rules_is_refused(gemini, language, do, reason):
    gemini.faults.append(server.finish(reason, "It is"))
    assert f"({reason})" in raised(EngineRefused, do, language)


@pytest.mark.parametrize("do", [ask, tell])
def test_an_answer_that_became_too_long_says_so(gemini, language, do):
    gemini.faults.append(server.finish("MAX_TOKENS", '{"kind": "pl'))
    assert "longer" in raised(EngineEmpty, do, language)


@pytest.mark.parametrize("do", [ask, tell])
@pytest.mark.parametrize(
    "fault", [server.nothing, server.finish("STOP"), server.finish("OTHER", "It"), server.finish("MALFORMED_RESPONSE")]
)
def test_no_answer_is_empty_or_breaks_off(gemini, language, do, fault):
    gemini.always = fault
    streamed_without_end = do is tell and fault is server.nothing
    raised(EngineDown if streamed_without_end else EngineEmpty, do, language)


def test_what_was_said_before_a_refusal_has_come_through(gemini, language):
    gemini.faults.append(server.finish("SAFETY", "It is behind"))
    told = language.tell(SYSTEM, QUESTION, never)
    assert [next(told), next(told), next(told)] == ["It ", "is ", "behind"]
    with pytest.raises(EngineRefused):
        next(told)


@pytest.mark.parametrize("fault", [server.cut, server.unfinished, server.breaks_with(503, "UNAVAILABLE")])
def test_a_stream_that_breaks_off_is_not_taken_for_an_answer(gemini, language, fault):
    gemini.faults.append(fault)
    said = []
    with pytest.raises(EngineDown) as caught:
        said.extend(language.tell(SYSTEM, QUESTION, never))
    assert server.QUOTED not in str(caught.value)
    assert len(gemini.asked) == 1  # what has been said is not said again


def test_a_window_is_known_or_small():
    wide = ["gemini-3.8-flash", "gemini-2.5-pro", "gemini-1.5-flash-8b"]
    assert {m: GeminiLanguage(m, None).window for m in wide} == dict.fromkeys(wide, WIDE)
    small = ["gemma-3", "gemini-1.0-pro", "my-own", "gemini-embedding-2"]
    assert {m: GeminiLanguage(m, None).window for m in small} == dict.fromkeys(small, WINDOW)


def test_it_is_named_by_its_model(gemini, tmp_path):
    made = GeminiLanguage.build("models/gemini-2.5-pro", gemini.site(tmp_path))
    assert made.name == "gemini:gemini-2.5-pro"
    assert made.parameters() == {"engine": "gemini", "model": "gemini-2.5-pro"}


@pytest.mark.parametrize("model", ["a?b", "../x", "a b", "a..b", "gemini:latest", "é"])
def test_what_can_be_no_models_name_is_refused(gemini, tmp_path, model):
    raised(EngineFailed, GeminiLanguage.build, model, gemini.site(tmp_path))


def test_without_a_key_it_says_what_to_set(tmp_path):
    site = EngineSite(None, tmp_path, 1, lambda: None)
    assert "set NEXUS_GEMINI_API_KEY" in str(GeminiLanguage.present(None, site))
    assert "set NEXUS_GEMINI_API_KEY" in raised(EngineDown, ask, GeminiLanguage.build(None, site))
    assert "set NEXUS_GEMINI_API_KEY" in raised(EngineDown, tell, GeminiLanguage.build(None, site))


def test_a_server_of_ones_own_may_want_no_key(gemini, tmp_path):
    gemini.always = server.says(GOOD)
    site = gemini.site(tmp_path, key=None)
    assert GeminiLanguage.present(None, site) is None
    assert ask(GeminiLanguage.build(None, site)).place.floor == 2

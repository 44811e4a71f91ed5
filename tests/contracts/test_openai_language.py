"""A language model behind OpenAI's API: forms of answers, servers that know fewer of them, and streams."""

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from nexus_pipeline.domain.errors import Cancelled, EngineBusy, EngineDown, EngineEmpty, EngineRefused
from nexus_pipeline.engines.cloud import Patience
from nexus_pipeline.engines.openai_language import MODEL, WINDOW, OpenAILanguage
from nexus_pipeline.engines.openai_line import Api
from nexus_pipeline.engines.site import Cloud
from nexus_pipeline.ports import LanguageModel
from tests.openai_server import WORDS, Fault, Server, busy

QUICK = Patience(wait_s=0.05, longest_wait_s=3.0, outages=50, open_s=60.0, answer_s=5.0)


class Mood(StrEnum):
    GOOD = "good"
    BAD = "bad"


class Point(BaseModel):
    """One thing that was said."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(min_length=1, max_length=200, description="In a sentence.")
    at_s: float = Field(ge=0)
    who: str | None = None


class Report(BaseModel):
    """What was said."""

    model_config = ConfigDict(extra="forbid")
    title: str = Field(default="untitled", max_length=80)
    mood: Mood
    points: list[Point] = Field(min_length=1)
    sure: bool = True


def never() -> bool:
    return False


def language(server: Server, folder: Path, model: str = "m", patience: Patience = QUICK) -> OpenAILanguage:
    return OpenAILanguage(model, Api(Cloud(base_url=server.url), folder, patience))


@pytest.fixture
def model(openai, tmp_path) -> LanguageModel:
    return language(openai, tmp_path)


def ask(model: LanguageModel) -> Report:
    return model.ask("You report.", "What was said?", Report, never)


def test_an_answer_is_held_to_a_strict_schema(openai, model):
    report = ask(model)
    assert (report.title, report.mood, report.points[0].text) == (WORDS, Mood.GOOD, WORDS)
    [asked] = openai.bodies()
    form = asked["response_format"]["json_schema"]
    assert (form["name"], form["strict"]) == ("Report", True)
    assert [m["role"] for m in asked["messages"]] == ["system", "user"]
    assert "temperature" not in asked  # models that reason refuse it


def strict(schema: dict[str, Any]) -> None:
    """What OpenAI demands of every object of a strict schema."""
    assert not {"default", "minLength", "maxLength"} & schema.keys()
    if schema.get("type") == "object":
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])
    below = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", [])]
    for one in [*below, *([schema["items"]] if "items" in schema else [])]:
        strict(one)


def test_the_schema_is_one_that_openai_takes(openai, model):
    class Default(BaseModel):
        default: str = Field("a field may be called so", max_length=90)
        points: list[Point] = []

    ask(model)
    model.ask("", "", Default, never)
    for asked in openai.bodies():
        strict(asked["response_format"]["json_schema"]["schema"])
    assert "default" in openai.bodies()[1]["response_format"]["json_schema"]["schema"]["properties"]


@pytest.mark.parametrize("forms", [("json_object",), ("text",), ()])
def test_servers_that_know_fewer_forms_are_told_in_words(openai, model, forms):
    openai.forms = frozenset(forms)
    assert ask(model).points
    tries = len(openai.asked)
    assert tries == (2 if "json_object" in forms else 3)
    assert ask(model).points
    assert len(openai.asked) == tries + 1  # what worked is remembered
    assert "JSON schema" in openai.bodies()[-1]["messages"][0]["content"]


def test_a_server_that_passes_over_the_form_is_told_it_when_it_breaks_it(openai, model):
    openai.holds_to_schema = False
    assert ask(model).points
    first, second = openai.bodies()
    assert second["messages"][:2] == first["messages"]
    assert [m["role"] for m in second["messages"][2:]] == ["assistant", "user"]
    assert second["messages"][2]["content"] == WORDS
    assert ask(model).points
    assert len(openai.asked) == 3  # from now on it is told at once


def test_a_breach_is_complained_of_with_what_is_wrong(openai, model):
    openai.faults.append(Fault(content=json.dumps({"title": "x", "mood": "odd", "points": [{"text": "y"}]})))
    assert ask(model).points
    complaint = openai.bodies()[1]["messages"][-1]["content"]
    assert "mood: Input should be 'good' or 'bad'" in complaint
    assert "points.0.at_s: Field required" in complaint


@pytest.mark.parametrize(
    "around", ["```json\n{}\n```", "<think>It is {{perhaps}} so.</think>\n{}", "Here it is: {} I hope it helps."]
)
def test_what_stands_around_the_answer_is_left_out(openai, model, around):
    said = json.dumps({"mood": "bad", "points": [{"text": "y {z}", "at_s": 3}]})
    openai.faults.append(Fault(content=around.replace("{{", "{").replace("}}", "}").replace("{}", said, 1)))
    report = ask(model)
    assert (report.title, report.points[0].text, report.points[0].at_s) == ("untitled", "y {z}", 3)
    assert len(openai.asked) == 1


def test_a_refusal_is_not_asked_for_again(openai, model):
    openai.down = Fault(refusal="no")
    with pytest.raises(EngineRefused):
        ask(model)
    assert len(openai.asked) == 1


def test_cancelling_is_seen_within_a_second_while_a_call_hangs(openai, model):
    openai.down = Fault(hold_s=8)
    until = time.monotonic() + 0.5
    with pytest.raises(Cancelled):
        model.ask("", "x", Report, lambda: time.monotonic() > until)
    assert time.monotonic() - until < 0.8


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("gpt-5.4-mini", 400_000),
        ("gpt-4o-mini", 128_000),
        ("gpt-4.1", 1_000_000),
        ("llama3.2", WINDOW),
        (MODEL, 400_000),
    ],
)
def test_windows_are_known_or_small(tmp_path, name, window):
    model = OpenAILanguage(name, Api(Cloud(), tmp_path))
    assert (model.window, model.name) == (window, f"openai:{name}")
    assert model.parameters() == {"engine": "openai", "model": name}


# ---------------------------------------------------------------- streams


def told(model: LanguageModel) -> list[str]:
    return list(model.tell("You answer.", "What was said?", never))


def test_an_answer_comes_in_pieces(openai, model):
    openai.faults.append(Fault(drip_s=0.2))
    began = time.monotonic()
    at = [(piece, time.monotonic() - began) for piece in model.tell("", "x", never)]
    assert "".join(piece for piece, _ in at) == WORDS
    assert at[-1][1] - at[0][1] > 0.6


def test_a_cut_stream_is_an_outage_after_what_came(openai, model):
    openai.faults.append(Fault(cut_after=3))
    came: list[str] = []
    with pytest.raises(EngineDown):
        came.extend(model.tell("", "x", never))
    assert came == ["These ", "are ", "the "]
    assert len(openai.asked) == 1


def test_a_stream_that_ends_without_an_end_is_cut(openai, model):
    openai.faults.append(Fault(finish="none"))
    with pytest.raises(EngineDown, match="broke off"):
        told(model)


def test_a_stream_that_breaks_before_its_first_word_is_opened_again(openai, model):
    openai.faults += [Fault(cut_after=0), Fault(500), busy()]
    assert "".join(told(model)) == WORDS
    assert len(openai.asked) == 4


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (Fault(refusal="no xylophone"), EngineRefused, "rules of safety"),
        (Fault(finish="content_filter"), EngineRefused, "rules of safety"),
        (Fault(finish="length"), EngineEmpty, "larger window"),
        (Fault(content=" "), EngineEmpty, "answered nothing"),
        (Fault(code="server_error", kind="server_error"), EngineDown, "broke its answer off"),
        (Fault(code="rate_limit_exceeded", kind="requests"), EngineBusy, "too often"),
        (Fault(code="content_filter", kind="invalid"), EngineRefused, "rules of safety"),
    ],
)
def test_every_bad_end_of_a_stream_has_its_error(openai, model, fault, kind, says):
    openai.down = fault
    with pytest.raises(kind, match=says) as caught:
        told(model)
    assert "xylophone" not in str(caught.value)


def test_a_stream_that_hangs_can_be_cancelled(openai, model):
    openai.faults.append(Fault(drip_s=3.0))
    until = time.monotonic() + 0.5
    with pytest.raises(Cancelled):
        list(model.tell("", "x", lambda: time.monotonic() > until))
    assert time.monotonic() - until < 0.8

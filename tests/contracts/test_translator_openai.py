"""Translating with the real client against a server that speaks OpenAI's protocol, with its faults."""

import json

import pytest
from pydantic import SecretStr

from nexus_pipeline.domain.errors import EngineDown, EngineRefused
from nexus_pipeline.domain.timeline import Coverage, Segment, Transcript
from nexus_pipeline.engines import TRANSLATORS, build
from nexus_pipeline.engines.site import Cloud, EngineSite
from nexus_pipeline.ports import Hints
from tests.openai_server import Fault, busy, serving

SAID = Transcript("en", "test", tuple(Segment(n, n, n + 1, f"line {n}") for n in range(50)), Coverage(50, 50))


def german(messages, _schema):
    """Every line of the question, in capitals."""
    asked = next(told for message in messages if (told := _json(message["content"])))
    return json.dumps({"lines": [{"id": line["id"], "text": line["text"].upper()} for line in asked["lines"]]})


def _json(content):
    try:
        return json.loads(content)
    except ValueError:
        return None


@pytest.fixture
def server():
    with serving() as server:
        server.answer = german
        yield server


def translated(server, tmp_path, cancelled=lambda: False):
    cloud = Cloud(SecretStr("k"), server.url)
    site = EngineSite(None, tmp_path, 1, lambda: pytest.fail("nothing is embedded"), openai=cloud)
    engine = build(TRANSLATORS, "openai:some-model", site)
    assert engine.name == "openai:some-model"
    how = {"hints": Hints(), "sound": None, "progress": lambda _done: None, "cancelled": cancelled}
    return engine.translate(SAID, "de", **how)


def test_every_line_comes_back_through_the_real_client(server, tmp_path):
    assert [s.text for s in translated(server, tmp_path)] == [s.text.upper() for s in SAID.segments]
    assert len(server.bodies("chat")) == 2


def test_what_is_busy_for_a_moment_is_asked_again(server, tmp_path):
    server.faults.extend([busy("0"), Fault(500)])
    assert translated(server, tmp_path)[-1].text == "LINE 49"


def test_an_answer_in_no_form_is_asked_for_again(server, tmp_path):
    server.faults.append(Fault(content='{"lines": [{"id": "one"}]}'))
    assert translated(server, tmp_path)[0].text == "LINE 0"


def test_a_refusal_and_a_server_that_is_down_are_errors_of_their_own(server, tmp_path):
    server.faults.append(Fault(refusal="I will not"))
    with pytest.raises(EngineRefused) as refused:
        translated(server, tmp_path)
    assert "line" not in str(refused.value)
    server.url = "http://127.0.0.1:9/v1"
    with pytest.raises(EngineDown):
        translated(server, tmp_path)

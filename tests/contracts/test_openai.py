"""OpenAI's errors as ours, through the real client: what each means, and what never stands in it."""

import logging
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from nexus_pipeline.domain.errors import (
    EngineBusy,
    EngineDown,
    EngineEmpty,
    EngineFailed,
    EngineRefused,
    ModelMissing,
    NexusError,
)
from nexus_pipeline.engines.cloud import Barred, Patience
from nexus_pipeline.engines.openai_embedder import OpenAIEmbedder
from nexus_pipeline.engines.openai_language import OpenAILanguage
from nexus_pipeline.engines.openai_line import Api, api, folder
from nexus_pipeline.engines.openai_speech import OpenAISpeech
from nexus_pipeline.engines.site import Cloud, EngineSite
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts
from tests.openai_server import GONE, KEY, Fault, Server, busy

QUICK = Patience(wait_s=0.05, longest_wait_s=3.0, outages=50, open_s=60.0, answer_s=5.0)


class Said(BaseModel):
    """A form of answers."""

    words: str


def never() -> bool:
    return False


def site_of(cloud: Cloud, cache: Path) -> EngineSite:
    return EngineSite(None, cache, 1, lambda: pytest.fail("it needs no embedder"), openai=cloud)


def ask(server: Server, tmp_path: Path, model: str = "m", patience: Patience = QUICK, **cloud: Any) -> Said:
    api = Api(Cloud(base_url=server.url, **cloud), tmp_path, patience)
    return OpenAILanguage(model, api).ask("Be brief.", "What is said?", Said, never)


FAULTS = [
    pytest.param((busy(), EngineBusy, "429, rate_limit_exceeded", 4), id="429"),
    pytest.param((Fault(429, "insufficient_quota", "insufficient_quota"), Barred, "billing page", 1), id="no-money"),
    pytest.param((Fault(402), Barred, "billing page", 1), id="402"),
    pytest.param((Fault(401, "invalid_api_key"), Barred, "set NEXUS_OPENAI_API_KEY", 1), id="401"),
    pytest.param((Fault(403), Barred, "set NEXUS_OPENAI_API_KEY", 1), id="403"),
    pytest.param((Fault(404, "model_not_found"), ModelMissing, "choose a model", 1), id="404"),
    pytest.param((Fault(400, "content_filter"), EngineRefused, "choose another engine", 1), id="filter"),
    pytest.param((Fault(400, "content_policy_violation"), EngineRefused, "rules of safety", 1), id="policy"),
    pytest.param((Fault(400, "context_length_exceeded"), EngineFailed, "larger window", 1), id="too-long"),
    pytest.param((Fault(422, None, "xylophone and more words"), EngineFailed, r"may do \(422\)", 1), id="422"),
    pytest.param((Fault(500), EngineDown, "out of order .500", 4), id="500"),
    pytest.param((Fault(503), EngineDown, "out of order .503", 4), id="503"),
    pytest.param((Fault(page=True), EngineDown, "something else than OpenAI", 4), id="page"),
    pytest.param((Fault(body=b'{"choices": [{"mess'), EngineDown, "does not understand", 4), id="torn-json"),
    pytest.param((Fault(body=b"[]"), EngineEmpty, "answered nothing", 1), id="other-json"),
    pytest.param((Fault(body=b'{"choices": ["x"]}'), EngineEmpty, "answered nothing", 1), id="odd-json"),
    pytest.param((Fault(cut_after=0), EngineDown, "cannot be reached", 4), id="cut"),
    pytest.param(
        (Fault(refusal="I cannot help with the xylophone"), EngineRefused, "rules of safety", 1), id="refusal"
    ),
    pytest.param((Fault(finish="content_filter"), EngineRefused, "rules of safety", 1), id="filtered"),
    pytest.param((Fault(finish="length"), EngineEmpty, "larger window", 1), id="length"),
    pytest.param((Fault(content=" "), EngineEmpty, "answered nothing", 1), id="empty"),
    pytest.param((Fault(content='{"words": 7}'), EngineEmpty, "twice in another form", 2), id="breach"),
    pytest.param((Fault(content="{words: xylophone"), EngineEmpty, "twice in another form", 2), id="no-json"),
]


@pytest.mark.parametrize("expected", FAULTS)
def test_every_fault_has_its_error_and_its_words(openai, tmp_path, caplog, expected):
    fault, kind, says, times = expected
    openai.down, openai.key = fault, KEY
    with caplog.at_level(logging.DEBUG), pytest.raises(kind, match=says) as caught:
        ask(openai, tmp_path, key=SecretStr(KEY))
    assert len(openai.asked) == times
    told = f"{caught.value!r} {caught.value.__cause__} {caught.value.__context__} {caplog.text}"
    assert KEY not in told
    assert "xylophone" not in told


def test_a_model_that_is_gone_blocks_with_what_to_do(openai, tmp_path):
    with pytest.raises(ModelMissing, match="choose a model that it lists") as caught:
        ask(openai, tmp_path, GONE)
    assert caught.value.blocked == "model_missing"


@pytest.mark.parametrize(
    "fault", [busy("1"), busy(**{"retry-after-ms": "1000"}), Fault(503, headers={"Retry-After": "1"})]
)
def test_the_wait_that_is_asked_for_is_kept(openai, tmp_path, fault):
    openai.faults.append(fault)
    assert ask(openai, tmp_path).words
    first, second = openai.asked
    assert 1.0 <= second.at - first.at < 2.0


def test_a_wait_until_an_instant_is_kept(openai, tmp_path):
    until = datetime.now(UTC) + timedelta(seconds=2.2)
    openai.faults.append(busy(format_datetime(until, usegmt=True)))
    assert ask(openai, tmp_path).words
    first, second = openai.asked
    assert 0.5 < second.at - first.at < 3.0


def test_a_long_wait_is_handed_on(openai, tmp_path):
    openai.down = busy("120")
    with pytest.raises(EngineBusy) as caught:
        ask(openai, tmp_path)
    assert caught.value.retry_after_s == 120
    assert len(openai.asked) == 1


@pytest.mark.parametrize("after", ["soon", "-5", "", "nan"])
def test_a_wait_that_means_nothing_is_our_own(openai, tmp_path, after):
    openai.faults.append(busy(after))
    assert ask(openai, tmp_path).words


def test_what_passes_is_passed_over(openai, tmp_path):
    openai.faults += [Fault(500), Fault(cut_after=0), busy()]
    assert ask(openai, tmp_path).words
    assert len(openai.asked) == 4


def test_a_slow_drip_is_ended(openai, tmp_path):
    openai.down = Fault(drip_s=0.2)
    began = time.monotonic()
    with pytest.raises(EngineDown, match="did not end its answer"):
        ask(openai, tmp_path, patience=Patience(tries=1, answer_s=1.0))
    assert time.monotonic() - began < 3


def test_nobody_there_is_down(tmp_path):
    api = Api(Cloud(base_url="http://127.0.0.1:9/v1"), tmp_path, QUICK)
    with pytest.raises(EngineDown, match="NEXUS_OPENAI_BASE_URL"):
        OpenAILanguage("m", api).ask("", "x", Said, never)


# ---------------------------------------------------------------- the key, and whom it is shown to


def test_without_key_or_server_every_engine_says_what_to_set(tmp_path):
    site = site_of(Cloud(), tmp_path)
    for engine in (OpenAILanguage, OpenAISpeech, OpenAIEmbedder):
        assert "set NEXUS_OPENAI_API_KEY" in str(engine.present(None, site))
        engine.get(None, site)
    with pytest.raises(EngineDown, match="set NEXUS_OPENAI_API_KEY"):
        OpenAILanguage.build(None, site).ask("", "x", Said, never)
    with pytest.raises(EngineDown, match="set NEXUS_OPENAI_API_KEY"):
        next(OpenAILanguage.build(None, site).tell("", "x", never))
    with pytest.raises(EngineDown, match="set NEXUS_OPENAI_API_KEY"):
        OpenAIEmbedder.build(None, site).embed(["x"])
    assert list(tmp_path.iterdir()) == []


def test_the_environments_own_variables_of_the_vendor_are_not_read(openai, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert ask(openai, tmp_path).words
    assert openai.asked[0].headers["authorization"] == "Bearer none"


def test_a_key_reaches_the_server_and_nothing_else(openai, tmp_path, caplog):
    openai.key = KEY
    with caplog.at_level(logging.DEBUG):
        settings = Settings(home=tmp_path, openai_api_key=KEY, openai_base_url=openai.url)
        site = Parts(settings).site
        engines: list[Any] = [kind.build(None, site) for kind in (OpenAILanguage, OpenAISpeech, OpenAIEmbedder)]
        assert engines[0].ask("", "x", Said, never).words
        assert engines[2].embed(["x"]).shape == (1, 1536)
        openai.key = "another"
        with pytest.raises(NexusError) as caught:
            engines[0].ask("", "x", Said, never)
    shown = [settings, site, site.openai, engines, [vars(e) for e in engines], vars(engines[0]._api), caught.value]
    assert openai.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in f"{shown!r} {settings} {site} {settings.model_dump_json()} {caplog.text}"
    for file in (tmp_path / "cache").rglob("*"):
        assert KEY.encode() not in (file.read_bytes() if file.is_file() else str(file).encode())


def test_all_engines_of_a_process_share_one_line(openai, tmp_path):
    site = site_of(Cloud(base_url=openai.url), tmp_path)
    assert len({id(kind.build(None, site)._api) for kind in (OpenAILanguage, OpenAISpeech, OpenAIEmbedder)}) == 1
    assert api(site_of(Cloud(base_url=openai.url + "/"), tmp_path)) is not api(site)


def test_a_password_in_an_address_names_no_folder(tmp_path):
    where = folder(site_of(Cloud(base_url="https://me:hunter2@models.example:8443/v1"), tmp_path))
    assert where == tmp_path / "clouds" / "models-example-8443-v1"

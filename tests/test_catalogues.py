"""Catalogues name engines by strings, which hide imports: so every entry is loaded here."""

import inspect
from collections.abc import Mapping
from pathlib import Path

import pytest

from nexus_pipeline.domain.errors import EngineFailed
from nexus_pipeline.engines import (
    ANSWERERS,
    EMBEDDERS,
    ENRICHERS,
    LANGUAGES,
    RERANKERS,
    SPEAKERS,
    SPEECH,
    TRANSLATORS,
    EngineSpec,
    build,
    load,
)
from nexus_pipeline.engines.site import Engine, EngineSite
from nexus_pipeline.ports import Answerer, Embedder, Enricher, LanguageModel, Reranker, Speakers, Speech, Translator

CATALOGUES = (
    (SPEECH, Speech),
    (SPEAKERS, Speakers),
    (TRANSLATORS, Translator),
    (EMBEDDERS, Embedder),
    (LANGUAGES, LanguageModel),
    (ENRICHERS, Enricher),
    (ANSWERERS, Answerer),
    (RERANKERS, Reranker),
)
ENTRIES = [(catalogue, port, name) for catalogue, port in CATALOGUES for name in catalogue]


def _methods(protocol: type) -> list[str]:
    return [
        n for n, f in vars(protocol).items() if not n.startswith("_") and inspect.isroutine(getattr(protocol, n, f))
    ]


@pytest.mark.parametrize(("catalogue", "port", "name"), ENTRIES, ids=[e[2] for e in ENTRIES])
def test_every_entry_loads_and_has_the_methods_of_its_port(catalogue: Mapping[str, str], port: type, name: str) -> None:
    made = load(catalogue, name)
    for method in _methods(port):
        assert list(inspect.signature(getattr(made, method)).parameters) == list(
            inspect.signature(getattr(port, method)).parameters
        )
    for method in _methods(Engine):
        assert list(inspect.signature(getattr(made, method)).parameters) == list(
            inspect.signature(getattr(Engine, method)).parameters
        )


@pytest.mark.parametrize(("catalogue", "port", "name"), ENTRIES, ids=[e[2] for e in ENTRIES])
def test_building_an_engine_loads_nothing_and_names_it(
    catalogue: Mapping[str, str], port: type, name: str, tmp_path: Path
) -> None:
    site = EngineSite(tmp_path, tmp_path, 1, lambda: pytest.fail("nothing is needed yet"))
    made = build(catalogue, name, site)
    assert made.name.startswith(name)
    assert list(tmp_path.iterdir()) == []
    missing = load(catalogue, name).present(None, site)
    assert missing is None or "nexus models get" in missing or "set NEXUS_" in missing


def test_a_spec_is_an_engine_and_perhaps_a_model() -> None:
    assert EngineSpec.parse("minilm") == EngineSpec("minilm", None)
    assert EngineSpec.parse(" faster-whisper:small ") == EngineSpec("faster-whisper", "small")
    assert EngineSpec.parse("a:b:c") == EngineSpec("a", "b:c")
    assert str(EngineSpec.parse("a:b")) == "a:b"
    assert str(EngineSpec.parse("a:")) == "a"


@pytest.mark.parametrize("told", ["", ":small", "  "])
def test_a_spec_without_an_engine_is_refused(told: str) -> None:
    with pytest.raises(EngineFailed, match="names no engine"):
        EngineSpec.parse(told)


def test_an_unknown_engine_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(EngineFailed, match="choose one of faster-whisper"):
        load(SPEECH, "gramophone")

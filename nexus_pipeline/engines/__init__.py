"""The engines by kind and name: adding one is one file and one line here.

Entries are strings, so that listing engines loads no vendor; a test loads every one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from nexus_pipeline.domain.errors import EngineFailed
from nexus_pipeline.engines.site import Engine, EngineSite

SPEECH = {
    "faster-whisper": "nexus_pipeline.engines.faster_whisper:FasterWhisper",
    "gemini": "nexus_pipeline.engines.gemini_speech:GeminiSpeech",
    "openai": "nexus_pipeline.engines.openai_speech:OpenAISpeech",
    "sidecar": "nexus_pipeline.engines.sidecar:Sidecar",
}
EMBEDDERS = {
    "gemini": "nexus_pipeline.engines.gemini_embedder:GeminiEmbedder",
    "minilm": "nexus_pipeline.engines.minilm:MiniLM",
    "openai": "nexus_pipeline.engines.openai_embedder:OpenAIEmbedder",
}
LANGUAGES = {
    "gemini": "nexus_pipeline.engines.gemini_language:GeminiLanguage",
    "openai": "nexus_pipeline.engines.openai_language:OpenAILanguage",
}
"""What enrichers, translators, answerers and rerankers are built over; nobody chooses them by themselves."""
ENRICHERS = {
    "local": "nexus_pipeline.engines.extractive:Extractive",
    "gemini": "nexus_pipeline.engines.language_enricher:GeminiEnricher",
    "openai": "nexus_pipeline.engines.language_enricher:OpenAIEnricher",
}
ANSWERERS = {
    "extractive": "nexus_pipeline.engines.extractive_answerer:ExtractiveAnswerer",
    "gemini": "nexus_pipeline.engines.language_answerer:GeminiAnswerer",
    "openai": "nexus_pipeline.engines.language_answerer:OpenAIAnswerer",
}
RERANKERS = {
    "sentences": "nexus_pipeline.engines.sentence_reranker:SentenceReranker",
    "gemini": "nexus_pipeline.engines.language_reranker:GeminiReranker",
    "openai": "nexus_pipeline.engines.language_reranker:OpenAIReranker",
}
SPEAKERS = {
    "sherpa-onnx": "nexus_pipeline.engines.sherpa_onnx:SherpaOnnx",
    "channels": "nexus_pipeline.engines.channels:Channels",
}
TRANSLATORS = {
    "whisper": "nexus_pipeline.engines.whisper_translator:WhisperTranslator",
    "openai": "nexus_pipeline.engines.language_translator:OpenAITranslator",
    "gemini": "nexus_pipeline.engines.language_translator:GeminiTranslator",
}
NONE = "none"
"""What a person writes where an engine is to be left out."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What a person chose: `engine[:model]`; without a model the engine takes its own default."""

    engine: str
    model: str | None = None

    @classmethod
    def parse(cls, told: str) -> "EngineSpec":
        """`faster-whisper:small` -> engine and model. Raises EngineFailed when no engine is named."""
        engine, _, model = told.strip().partition(":")
        if not engine:
            raise EngineFailed(f"{told!r} names no engine; write engine or engine:model, such as faster-whisper:small")
        return cls(engine, model or None)

    @classmethod
    def parse_all(cls, told: str) -> "tuple[EngineSpec, ...]":
        """`gemini:M,local` -> each of them, in the order in which they serve; `none`: nothing. Raises EngineFailed."""
        if told.strip() == NONE:
            return ()
        return tuple(cls.parse(one) for one in told.split(","))

    def __str__(self) -> str:
        return f"{self.engine}:{self.model}" if self.model else self.engine


def load(catalogue: Mapping[str, str], name: str) -> type[Engine]:
    """The class behind a catalogue's entry, imported now. Raises EngineFailed for a name that is not in it."""
    entry = catalogue.get(name)
    if entry is None:
        raise EngineFailed(f"there is no engine {name!r} of this kind; choose one of {', '.join(sorted(catalogue))}")
    module, _, attribute = entry.partition(":")
    return cast("type[Engine]", getattr(import_module(module), attribute))


def build(catalogue: Mapping[str, str], spec: str | EngineSpec, site: EngineSite) -> Any:
    """The engine that a spec names, its weights not loaded yet; of the port that the catalogue is for.

    Raises EngineFailed for a spec that names no engine of this kind.
    """
    chosen = spec if isinstance(spec, EngineSpec) else EngineSpec.parse(spec)
    return load(catalogue, chosen.engine).build(chosen.model, site)

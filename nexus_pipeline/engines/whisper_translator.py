"""Translates with Whisper, which writes what it hears in any language down in English, and in no other.

It hears the item again, with the model that heard it first, and cuts what it hears its own way: its words are laid
over the transcript's segments by time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Self

from nexus_pipeline.domain.errors import EngineFailed
from nexus_pipeline.domain.timeline import Segment, Transcript
from nexus_pipeline.domain.translations import laid, same
from nexus_pipeline.engines.faster_whisper import FasterWhisper
from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.ports import Cancelled, Hints, Progress, Sound

INTO = "en"
_CHOOSE = "set NEXUS_TRANSLATOR to a language model (openai:MODEL, gemini:MODEL)"


class WhisperTranslator:
    """English from any language that the Whisper model knows."""

    def __init__(self, speech: FasterWhisper) -> None:
        """Takes the engine whose loaded model it uses."""
        self._speech = speech
        self.model = speech.model
        self.name = f"whisper:{speech.model}"

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:
        """Without a model: the one that hears items."""
        return cls(_speech(model, site))

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:
        """None when the weights are here, else what to do."""
        return FasterWhisper.present(_speech(model, site).chosen, site)

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        """Download the weights, if they are not here."""
        FasterWhisper.get(_speech(model, site).chosen, site)

    @classmethod
    def cannot(cls, model: str | None, site: EngineSite, to: str) -> str | None:
        """Into English only, and not with a model that knows nothing else."""
        whisper = cls.build(model, site)
        if not same(to, INTO):
            return _only_english(whisper.name, to)
        if whisper.model.endswith(".en"):
            return f"{whisper.model} knows English only and cannot translate: set NEXUS_TRANSLATOR to whisper:base"
        return None

    def parameters(self) -> Mapping[str, str]:
        """What changes its results."""
        return {**self._speech.parameters(), "engine": "whisper"}

    def translate(
        self,
        transcript: Transcript,
        to: str,
        *,
        hints: Hints,
        sound: Sound | None,
        progress: Progress,
        cancelled: Cancelled,
    ) -> tuple[Segment, ...]:
        """Every segment with its id and times; one over which Whisper says nothing has no text.

        Raises EngineFailed for another language than English, for an item without sound and for a model that knows
        English only; ModelMissing, Cancelled.
        """
        if not same(to, INTO):
            raise EngineFailed(_only_english(self.name, to))
        if sound is None:
            raise EngineFailed(f"{self.name} translates what it hears, and the item has no sound: {_CHOOSE}")
        if not transcript.segments:
            return ()
        until_s = max(segment.end_s for segment in transcript.segments)
        with sound() as audio:
            # what the model was told before it listened is in the spoken language
            told = self._speech.into_english(audio, transcript.language, replace(hints, prompt=None), cancelled)
            english = list(_watched(told, until_s, progress))
        return laid(english, transcript.segments)


def _only_english(name: str, to: str) -> str:
    return f"{name} translates into English only, not into {to}: {_CHOOSE}"


def _watched(told: Iterator[Segment], until_s: float, progress: Progress) -> Iterator[Segment]:
    for segment in told:
        yield segment
        progress(min(1.0, segment.end_s / until_s) if until_s > 0 else 1.0)


def _speech(model: str | None, site: EngineSite) -> FasterWhisper:
    """The engine that others hear with, where it is the same model: it is loaded once."""
    shared: FasterWhisper = site.whisper(model) if site.whisper else FasterWhisper.build(model, site)
    return shared

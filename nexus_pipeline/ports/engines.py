"""The machines that do the work, and what passes through them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from nexus_pipeline.domain.fingerprints import Match
from nexus_pipeline.domain.items import MediaFacts
from nexus_pipeline.domain.speaking import Speaking
from nexus_pipeline.domain.timeline import Chapter, Enrichment, Segment, Transcript, Window
from nexus_pipeline.domain.usage import Usage

E = TypeVar("E")
S = TypeVar("S")
Vectors = npt.NDArray[np.float32]
"""Unit-length rows, shape (n, dimensions)."""
SubFingerprints = npt.NDArray[np.uint32]
"""Chromaprint's raw fingerprint: one 32-bit number each 0.1238 s."""
Cancelled = Callable[[], bool]
"""Looked at several times a second by everything that takes long; true means stop with `errors.Cancelled`."""
Progress = Callable[[float], None]
"""Told the fraction done, 0 to 1; cheap to call often."""
Sound = Callable[[], AbstractContextManager[Path]]
"""Opens an item's sound, 16 kHz mono FLAC, as a file for as long as it is needed."""
Metering = Callable[[Usage], None]
"""Told what each call took, from whatever thread; `domain.usage.Meter` adds it up."""


@runtime_checkable
class Metered(Protocol):
    """What an engine offers besides where its vendor reports tokens."""

    def metered(self, metering: Metering) -> Self:
        """The same engine (what it has loaded and learnt is shared), which tells what its calls take."""


def metered(engine: E, metering: Metering) -> E:
    """An engine of any kind that tells what its calls take; one that reports nothing, such as a local one, as it is.

    meter = Meter()
    pieces = metered(answerer, meter).answer(question, passages, cancelled)
    ...                # read them to their end: a stream tells what it took when it is over
    meter.usage        # Usage(tokens_in=812, tokens_out=64); None each where nothing was reported
    """
    return engine.metered(metering) if isinstance(engine, Metered) else engine


class Media(Protocol):
    """Reads and converts media files, each call in a guarded child process."""

    def probe(self, path: Path) -> MediaFacts:
        """Raises EmptyInput, UnsupportedMedia, DamagedMedia."""

    def chapters(self, path: Path) -> tuple[Chapter, ...]:
        """Chapters that the file itself carries."""

    def speech(self, path: Path, to: Path, facts: MediaFacts, progress: Progress, cancelled: Cancelled) -> float:
        """16 kHz mono FLAC of the first sound; seconds decoded. Raises DamagedMedia when far less than declared."""

    def cut(self, path: Path, to: Path, start_s: float, end_s: float, cancelled: Cancelled) -> None:
        """A span of the first sound as a FLAC like that of `speech`. Raises DamagedMedia."""

    def rendition(
        self, path: Path, folder: Path, facts: MediaFacts, progress: Progress, cancelled: Cancelled
    ) -> Path | None:
        """What a browser can play (`play.mp4` or `play.m4a`), or None when it plays the file as it is."""

    def thumbnail(self, path: Path, to: Path, facts: MediaFacts) -> bool:
        """A WebP of at most 640 pixels; False where there is no picture."""

    def pcm(self, path: Path, rate: int, start_s: float = 0.0, duration_s: float | None = None) -> Iterator[bytes]:
        """Mono 16-bit little-endian samples, in chunks."""


class Fingerprinter(Protocol):
    """Acoustic identity."""

    def parameters(self) -> Mapping[str, str]:
        """What changes its results: part of the version key."""

    def fingerprint(self, pcm: Iterator[bytes], rate: int) -> SubFingerprints:
        """The whole item's; empty under 3 s of sound."""

    def keys(self, fingerprint: SubFingerprints) -> list[int]:
        """What is indexed: unique, without silence and tones; may be empty."""

    def probes(self, fingerprint: SubFingerprints) -> list[int]:
        """What the index is asked for, to find others: more than its own keys."""

    def compare(self, a: SubFingerprints, b: SubFingerprints) -> Match:
        """Align and judge."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What a speech engine is told before it listens. An engine leaves out what it cannot use."""

    language: str | None = None
    prompt: str | None = None
    vocabulary: tuple[str, ...] = ()
    """Names and jargon that may be said."""


class Speech(Protocol):
    """Hears."""

    name: str
    """`engine:model`, as chosen."""

    def parameters(self) -> Mapping[str, str]:
        """What changes its results: part of the version key."""

    def transcribe(self, audio: Path, duration_s: float, hints: Hints, cancelled: Cancelled) -> Iterator[Window]:
        """Windows in order of time, cut at pauses, each as soon as it is heard; segment ids count on from 0.

        Raises EngineError (ModelMissing, EngineFailed, EngineBusy, EngineDown ...), Cancelled.
        """

    def readings(
        self, audio: Path, start_s: float, end_s: float, hints: Hints, cancelled: Cancelled
    ) -> Iterator[tuple[Segment, ...]]:
        """Other readings of a span, each made with other settings than those before; none where it knows one way only.

        Only the span's sound is read; times are the item's, ids count from 0. Raises what `transcribe` raises.
        """


class Embedder(Protocol):
    """Text to vectors."""

    name: str
    dimensions: int

    def parameters(self) -> Mapping[str, str]:
        """What changes its results: part of the version key."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit-length row per text: float32, shape (len(texts), dimensions). Raises ModelMissing."""


class Enricher(Protocol):
    """Infers summary, tags, chapters and so on."""

    name: str

    def parameters(self) -> Mapping[str, str]:
        """What changes its results: part of the version key."""

    def enrich(
        self, transcript: Transcript, *, title: str, duration_s: float | None, cancelled: Cancelled
    ) -> Enrichment:
        """Raises EngineError (ModelMissing, EngineFailed, EngineBusy, EngineDown, EngineRefused ...), Cancelled."""


class Translator(Protocol):
    """Says a transcript in another language."""

    name: str

    def parameters(self) -> Mapping[str, str]:
        """What changes its results: part of the version key."""

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
        """Every segment with its id, times and speaker, its text in the language `to`, without words of its own.

        `hints.vocabulary`: names that stay as they are. `sound` is None where the item has none.

        Raises EngineError (EngineFailed where it cannot translate into that language, EngineEmpty, EngineRefused,
        EngineBusy, EngineDown, ModelMissing), Cancelled.
        """


class LanguageModel(Protocol):
    """Answers in words: what enrichers, translators, answerers and rerankers of every vendor are made of."""

    name: str
    window: int
    """Tokens that it reads at once, question and answer together."""

    def ask(self, system: str, question: str, schema: type[S], cancelled: Cancelled) -> S:
        """One answer in the form of a pydantic model.

        Raises EngineBusy, EngineDown, EngineRefused (its rules of safety), EngineEmpty (nothing, or not in that
        form, again and again), EngineFailed, ModelMissing, Cancelled.
        """

    def tell(self, system: str, question: str, cancelled: Cancelled) -> Iterator[str]:
        """The answer's text in pieces as they come; nothing is lost silently: a cut stream raises EngineDown."""


class Answerer(Protocol):
    """Answers a question out of numbered passages."""

    name: str
    writes: bool
    """Whether it writes sentences of its own, and is silent where no passage answers; one that only quotes is told by
    whoever asks whether the passages answer, and each piece of its answer is one sentence."""

    def answer(self, question: str, passages: Sequence[str], cancelled: Cancelled) -> Iterator[str]:
        """Its text in pieces as they come, `[n]` behind what passage n (from 1) says. Raises EngineError, Cancelled."""

    def alone(self, question: str, said: Sequence[tuple[str, str]], cancelled: Cancelled) -> str:
        """A question of a conversation as one that can be understood without it, for a search.

        `said`: questions and answers before it, oldest first. Raises EngineError, Cancelled.
        """


class Reranker(Protocol):
    """Reads the passages that a search found, and says how well each answers."""

    name: str
    depth: int
    """How many of the best passages it is shown."""
    trust: float
    """What a grade of 1 counts beside the search's own scores, of which the best is about 1."""

    def grade(self, question: str, passages: Sequence[str], cancelled: Cancelled) -> tuple[float, ...]:
        """0 (not at all) to 1 (it answers) for each passage, in their order. Raises EngineError, Cancelled."""


class Speakers(Protocol):
    """Tells speakers apart."""

    name: str
    """`engine:model`, as chosen."""
    hears: str
    """Which of an item's files it listens to: `speech` (16 kHz mono FLAC) or `original` (as it was fetched)."""

    def parameters(self) -> Mapping[str, str]:
        """What changes its results: part of the version key."""

    def tell_apart(
        self, audio: Path, duration_s: float, channels: int, progress: Progress, cancelled: Cancelled
    ) -> Speaking:
        """Turns in order of time and a voice for each label, where it knows voices; labels are its own, of this call.

        Raises EngineError (ModelMissing, EngineFailed, EngineKilled ...), Cancelled.
        """

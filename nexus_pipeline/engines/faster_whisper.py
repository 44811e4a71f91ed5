"""Hears with faster-whisper, in windows cut at pauses: memory does not grow with the recording.

Whisper looks at sound in pieces of fixed length (30 s; a model's preprocessor_config.json may say less). Each look is
filled with whole stretches of speech, silences between them left out, and heard on its own: what was heard before
does not mislead it, and silence, over which Whisper invents text, is never shown to it.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Self

from nexus_pipeline.domain.errors import Cancelled, EngineFailed, ModelMissing
from nexus_pipeline.domain.timeline import Segment, Window, Word
from nexus_pipeline.engines import weights, whisper_models
from nexus_pipeline.engines.site import EngineSite, Known
from nexus_pipeline.engines.transfer import PROBE_S
from nexus_pipeline.engines.voices import Clock, Stretch, stretches
from nexus_pipeline.ports import Cancelled as IsCancelled
from nexus_pipeline.ports import Hints, Progress

log = logging.getLogger(__name__)

FIRST_S = 15.0
"""The first look of a longer item, in seconds of sound: so that something can be read early."""
WINDOW_S = 20.0
"""A window ends with the look that makes it at least so long; the first one after its first look."""
BEAM = 5

_SURE = 0.5  # a language heard with this probability is kept for the whole item
_TRIES = 3  # looks after which the likeliest language so far is kept
_ASK_AGAIN_S = 60.0  # after the hub did not answer, items fail at once for so long


class FasterWhisper:
    """One loaded model for all items: `width` of them are heard side by side, each with `threads` threads."""

    def __init__(
        self,
        model: str,
        models: Path | None,
        *,
        cache: Path | None = None,
        threads: int = 1,
        width: int = 1,
        words: bool | None = None,
        probe_s: float = PROBE_S,
    ) -> None:
        """Loads nothing yet.

        Args:
            model: A name that faster-whisper knows, a folder below `models`, a repository of the hub, or `auto`.
            models: A person's folder with models; looked into first.
            cache: Nexus's own, looked into before the hub's cache; models are fetched into the first that is given.
            threads: For each item.
            width: Items side by side.
            words: Whether segments carry timed words; None: for published models, whose word times are good.
            probe_s: Seconds in which the hub must answer before a download begins.
        """
        self.chosen = model
        self.model = whisper_models.carried() if model == whisper_models.AUTO else model
        self.name = f"faster-whisper:{self.model}"
        self.places = (models, cache)
        self.threads = threads
        self.width = width
        self.words = whisper_models.published(self.model) if words is None else words
        self.probe_s = probe_s
        self._lock = Lock()
        self._loaded: Any = None
        self._missing: tuple[float, str] | None = None

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:
        """Without a model: `auto`, the best that this machine carries (whisper_models.carried)."""
        cache = weights.places(site)[-1]
        return cls(model or whisper_models.AUTO, site.models, cache=cache, threads=site.threads, width=site.width)

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:
        """None when the weights are here, else what to do."""
        engine = cls.build(model, site)
        return None if cls.lies(model, site) else whisper_models.missing(engine.model, *engine.places)

    @classmethod
    def offers(cls, site: EngineSite) -> Mapping[str | None, Known]:
        """OpenAI's models by their sizes, and the folders on this machine."""
        return whisper_models.offers(*weights.places(site))

    @classmethod
    def lies(cls, model: str | None, site: EngineSite) -> Path | None:
        """The folder with the weights, if they are on this machine."""
        engine = cls.build(model, site)
        return whisper_models.folder(engine.model, *engine.places)

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        """Download the weights, if they are not here. Raises ModelMissing when the hub does not answer."""
        cls.fetch(model, site, lambda _: None, lambda: False)

    @classmethod
    def fetch(cls, model: str | None, site: EngineSite, progress: Progress, cancelled: IsCancelled) -> None:
        """The same, telling how far it is. Raises ModelMissing, Cancelled."""
        engine = cls.build(model, site)
        if cls.lies(model, site) is None:
            whisper_models.fetch(engine.model, *engine.places, progress=progress, cancelled=cancelled)

    def parameters(self) -> Mapping[str, str]:
        """What changes its results. `auto` stays `auto`: else moving to another machine would make all of it stale."""
        return {"engine": "faster-whisper", "model": self.chosen, "beam": str(BEAM), "words": str(self.words).lower()}

    def transcribe(self, audio: Path, duration_s: float, hints: Hints, cancelled: IsCancelled) -> Iterator[Window]:
        """Windows in order of time, each as soon as it is heard, one beginning where the one before ends.

        A language that the model does not know is heard for instead. Raises ModelMissing, EngineFailed, Cancelled.
        """
        model = self._model(cancelled)
        hearing = _Hearing(
            model, words=self.words, hints=hints, language=_known(model, hints.language), cancelled=cancelled
        )
        look_s = float(model.feature_extractor.chunk_length)
        first_s = look_s if duration_s <= look_s else min(FIRST_S, look_s)
        window = _Open(0.0)
        count = 0
        for stretch in stretches(audio, limit_s=look_s, first_s=first_s, cancelled=cancelled):
            window.add(stretch, hearing.segments(stretch, count + len(window.segments)))
            if window.end_s - window.start_s >= WINDOW_S or (window.segments and not count):
                yield window.closed(hearing.language)
                count += len(window.segments)
                window = _Open(window.end_s)
        if window.end_s > window.start_s or window.start_s == 0:
            yield window.closed(hearing.language)

    def _model(self, cancelled: IsCancelled) -> Any:
        """The loaded model; whoever comes first loads it, the others wait and can be cancelled."""
        while not self._lock.acquire(timeout=0.2):
            if cancelled():
                raise Cancelled("stopped while waiting for the speech model")
        try:
            if self._loaded is None:
                self._loaded = self._load(cancelled)
            return self._loaded
        finally:
            self._lock.release()

    def _load(self, cancelled: IsCancelled) -> Any:
        folder = whisper_models.folder(self.model, *self.places) or self._fetched(cancelled)
        import ctranslate2
        from faster_whisper import WhisperModel

        cuda = ctranslate2.get_cuda_device_count() > 0
        with _as_engine_failed(f"the speech model in {folder} cannot be loaded: fetch or copy it again"):
            loaded = WhisperModel(
                str(folder),
                device="cuda" if cuda else "cpu",
                compute_type="float16" if cuda else "int8",
                cpu_threads=self.threads,
                num_workers=self.width,
                local_files_only=True,
            )
        log.info("loaded engine=%s device=%s threads=%d", self.name, "cuda" if cuda else "cpu", self.threads)
        return loaded

    def _fetched(self, cancelled: IsCancelled) -> Path:
        """Downloaded at first use; cancelling keeps what has come for the next item."""
        if self._missing and time.monotonic() < self._missing[0]:
            raise ModelMissing(self._missing[1])
        try:
            return whisper_models.fetch(self.model, *self.places, cancelled=cancelled, probe_s=self.probe_s)
        except ModelMissing as error:
            self._missing = (time.monotonic() + _ASK_AGAIN_S, str(error))
            raise


@dataclass
class _Open:
    """A window that is being filled."""

    start_s: float
    end_s: float = 0.0
    voiced_s: float = 0.0
    segments: list[Segment] = field(default_factory=list)

    def add(self, stretch: Stretch, segments: Iterator[Segment]) -> None:
        self.segments.extend(segments)
        self.voiced_s += stretch.voiced_s
        self.end_s = stretch.end_s

    def closed(self, language: str | None) -> Window:
        return Window(self.start_s, max(self.start_s, self.end_s), tuple(self.segments), self.voiced_s, language)


@dataclass
class _Hearing:
    """One item being heard: the language so far, and what a look of the model says."""

    model: Any
    words: bool
    hints: Hints
    language: str | None
    cancelled: IsCancelled
    _heard: list[tuple[float, str]] = field(default_factory=list)
    _sure: bool = False

    def __post_init__(self) -> None:
        self._sure = self.language is not None

    def segments(self, stretch: Stretch, first_id: int) -> Iterator[Segment]:
        """What is said in a stretch; ids from `first_id`, times of the item, inside the stretch."""
        if not stretch.pieces:
            return
        clock = Clock(stretch.pieces)
        number = first_id
        with _as_engine_failed("the speech model stopped with an error; a smaller model needs less memory"):
            heard, info = self.model.transcribe(
                stretch.audio,
                language=self.language if self._sure else None,
                beam_size=BEAM,
                condition_on_previous_text=False,
                vad_filter=False,
                word_timestamps=self.words,
                initial_prompt=self.hints.prompt,
                hotwords=", ".join(self.hints.vocabulary) or None,
            )
            self._learn(info.language, info.language_probability)
            for said in heard:
                if self.cancelled():
                    raise Cancelled("stopped while hearing")
                text = said.text.strip()
                if not text:
                    continue
                start_s, end_s = clock.span(said.start, said.end)
                words = tuple(Word(*clock.span(w.start, w.end), w.word) for w in said.words or ())
                yield Segment(number, start_s, end_s, text, words=words)
                number += 1

    def _learn(self, language: str, probability: float) -> None:
        """Keep the first language that is sure, or the likeliest of three."""
        if self._sure:
            return
        self._heard.append((probability, language))
        self.language = max(self._heard)[1]
        self._sure = probability >= _SURE or len(self._heard) >= _TRIES


def _known(model: Any, language: str | None) -> str | None:
    """The language as the model calls it; None where it is to be heard for."""
    languages = model.supported_languages
    if languages == ["en"]:
        return "en"
    wanted = (language or "").lower().replace("_", "-").partition("-")[0]
    return wanted if wanted in languages else None


@contextmanager
def _as_engine_failed(told: str) -> Iterator[None]:
    """CTranslate2 and the tokenizer raise RuntimeError, ValueError or bare Exception; ours pass through."""
    try:
        yield
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        raise EngineFailed(f"{told} ({error})") from error

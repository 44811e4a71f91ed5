"""Hears with faster-whisper, in windows cut at pauses: memory does not grow with the recording.

Whisper looks at sound in pieces of fixed length (30 s; a model's preprocessor_config.json may say less). Each look is
filled with whole stretches of speech, silences between them left out, and heard on its own: what was heard before
does not mislead it, and silence, over which Whisper invents text, is never shown to it.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, Self

from nexus_pipeline.domain.errors import Cancelled, EngineFailed, ModelMissing
from nexus_pipeline.domain.timeline import Segment, Span, Window
from nexus_pipeline.engines import weights, whisper_models
from nexus_pipeline.engines.site import EngineSite, Known
from nexus_pipeline.engines.transfer import PROBE_S
from nexus_pipeline.engines.voices import Stretch, stretches, whole
from nexus_pipeline.engines.whisper_hearing import BEAM, Hearing, Way, as_engine_failed, known
from nexus_pipeline.ports import Cancelled as IsCancelled
from nexus_pipeline.ports import Hints, Progress

log = logging.getLogger(__name__)

FIRST_S = 15.0
"""The first look of a longer item, in seconds of sound: so that something can be read early."""
WINDOW_S = 20.0
"""A window ends with the look that makes it at least so long; the first one after its first look."""
BATCH = 8
"""Looks that are decoded together on a GPU: what BatchedInferencePipeline takes by default."""
PREVIOUS_LOOKS = 30
"""Looks in one call where what was heard before is told to the model."""
READINGS = (
    (Way(), False),
    (Way(beam=1), True),
    (Way(temperatures=(0.4,)), False),
)
"""How a span is heard again, and whether its silences are kept: in looks of its own and without what was said before;
greedily, with all the sound around the voices; with other words than the likeliest."""

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
        batch: int | None = None,
        previous: bool = False,
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
            batch: Looks that are decoded together; None: BATCH on a GPU, else one.
            previous: Tell the model what it heard before, as Whisper does by default; it then repeats its mistakes.
            probe_s: Seconds in which the hub must answer before a download begins.
        """
        self.chosen = model
        self.model = whisper_models.carried() if model == whisper_models.AUTO else model
        self.name = f"faster-whisper:{self.model}"
        self.places = (models, cache)
        self.threads = threads
        self.width = width
        self.words = whisper_models.published(self.model) if words is None else words
        self.batch = batch
        self.previous = previous
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
        told = {"engine": "faster-whisper", "model": self.chosen, "beam": str(BEAM), "words": str(self.words).lower()}
        return told | ({"previous": "true"} if self.previous else {})

    def transcribe(self, audio: Path, duration_s: float, hints: Hints, cancelled: IsCancelled) -> Iterator[Window]:
        """Windows in order of time, each as soon as it is heard, one beginning where the one before ends.

        The language is heard for in each look; a segment says it where it is another one than the recording's, which
        is the one that was told, or the first that is sure. Raises ModelMissing, EngineFailed, Cancelled.
        """
        model = self._model(cancelled)
        hearing = self._hearing(model, hints, cancelled, Way(previous=self.previous))
        look_s = float(model.feature_extractor.chunk_length)
        limit_s = look_s * (PREVIOUS_LOOKS if self.previous else 1)
        first_s = limit_s if self.previous or duration_s <= look_s else min(FIRST_S, limit_s)
        window = _Open(0.0)
        count = 0
        heard = self._heard(hearing, stretches(audio, limit_s=limit_s, first_s=first_s, cancelled=cancelled))
        for stretch, segments in heard:
            window.add(stretch, segments)
            if window.end_s - window.start_s >= WINDOW_S or (window.segments and not count):
                yield window.closed(hearing.language, count)
                count += len(window.segments)
                window = _Open(window.end_s)
        if window.end_s > window.start_s or window.start_s == 0:
            yield window.closed(hearing.language, count)

    def readings(
        self, audio: Path, start_s: float, end_s: float, hints: Hints, cancelled: IsCancelled
    ) -> Iterator[tuple[Segment, ...]]:
        """A span on its own, then greedily with its silences, then with a draw of other words.

        Each is heard on its own, without what was said before. Raises what `transcribe` raises.
        """
        model = self._model(cancelled)
        look_s = float(model.feature_extractor.chunk_length)
        for way, silences in READINGS:
            hearing = self._hearing(model, hints, cancelled, way)
            coming: Iterable[Stretch] = [whole(audio, start_s, end_s)]
            if not silences:
                coming = stretches(
                    audio, limit_s=look_s, first_s=look_s, cancelled=cancelled, from_s=start_s, to_s=end_s
                )
            said = (segment for stretch in coming for segment in hearing.segments(stretch))
            yield tuple(replace(s, id=n) for n, s in enumerate(said))

    def _hearing(self, model: Any, hints: Hints, cancelled: IsCancelled, way: Way) -> Hearing:
        return Hearing(model, self.words, hints, known(model, hints.language), cancelled, way)

    def _heard(self, hearing: Hearing, coming: Iterator[Stretch]) -> Iterator[tuple[Stretch, Iterator[Segment]]]:
        """Each stretch with what is said in it, one after the other or several looked at together."""
        batch = self._together(hearing.model)
        group: list[Stretch] = []
        first = True
        for stretch in coming:
            if batch == 1 or first:
                # the first look alone: something can be read early, and its language is the item's
                first = first and not stretch.pieces
                yield stretch, hearing.segments(stretch)
                continue
            group.append(stretch)
            if sum(1 for s in group if s.pieces) == batch:
                yield from hearing.together(group)
                group = []
        yield from hearing.together(group)

    def _together(self, model: Any) -> int:
        if self.previous:
            return 1
        return self.batch or (BATCH if model.model.device == "cuda" else 1)

    def into_english(
        self, audio: Path, language: str | None, hints: Hints, cancelled: IsCancelled
    ) -> Iterator[Segment]:
        """What is said in whatever language, in English, as the model cuts it. Raises as `transcribe`."""
        model = self._model(cancelled)
        if model.supported_languages == ["en"]:
            raise EngineFailed(
                f"{self.model} knows English only and cannot translate: set NEXUS_TRANSLATOR to whisper:base or to a "
                "language model (openai:MODEL, gemini:MODEL)"
            )
        spoken, way = known(model, language), Way(task="translate")
        hearing = Hearing(model, words=False, hints=hints, language=spoken, cancelled=cancelled, way=way)
        look_s = float(model.feature_extractor.chunk_length)
        for stretch in stretches(audio, limit_s=look_s, first_s=look_s, cancelled=cancelled):
            yield from hearing.segments(stretch)

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

        from nexus_pipeline.engines.polyglot import Polyglot

        cuda = ctranslate2.get_cuda_device_count() > 0
        with as_engine_failed(f"the speech model in {folder} cannot be loaded: fetch or copy it again"):
            loaded = Polyglot(
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
    voiced: list[Span] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)

    def add(self, stretch: Stretch, segments: Iterator[Segment]) -> None:
        self.segments.extend(segments)
        self.voiced.extend(stretch.voiced)
        self.end_s = stretch.end_s

    def closed(self, language: str | None, first_id: int) -> Window:
        segments = tuple(replace(s, id=n) for n, s in enumerate(self.segments, first_id))
        voiced_s = sum(b - a for a, b in self.voiced)
        return Window(
            self.start_s, max(self.start_s, self.end_s), segments, voiced_s, language, voiced=tuple(self.voiced)
        )

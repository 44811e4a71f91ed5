"""What a loaded Whisper model says of a stretch of sound, or of several together, as segments with the item's times."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nexus_pipeline.domain.errors import Cancelled, EngineFailed
from nexus_pipeline.domain.timeline import Segment, Word
from nexus_pipeline.engines.pauses import RATE
from nexus_pipeline.engines.voices import Clock, Stretch
from nexus_pipeline.ports import Cancelled as IsCancelled
from nexus_pipeline.ports import Hints

BEAM = 5
FALLBACK = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Temperatures, the next one where the text of the one before compresses too well or is too unlikely: Whisper's own."""

_SURE = 0.5  # a language heard with this probability is kept for the whole item
_TRIES = 3  # looks after which the likeliest language so far is kept


@dataclass(frozen=True)
class Way:
    """How sound is decoded."""

    beam: int = BEAM
    temperatures: tuple[float, ...] = FALLBACK
    previous: bool = False
    """What was heard before is told to the model: it repeats its mistakes then."""
    task: str = "transcribe"
    """`translate`: it is written down in English."""


@dataclass
class Hearing:
    """One item being heard: its language so far, and what a look of the model says, in whichever language that is."""

    model: Any
    words: bool
    hints: Hints
    language: str | None
    cancelled: IsCancelled
    way: Way = Way()
    _heard: list[tuple[float, str]] = field(default_factory=list)
    _sure: bool = False

    def __post_init__(self) -> None:
        """A language that was told is the item's."""
        self._sure = self.language is not None

    def segments(self, stretch: Stretch) -> Iterator[Segment]:
        """What is said in a stretch; times of the item, inside the stretch; ids are the window's business."""
        if not stretch.pieces:
            return
        with as_engine_failed("the speech model stopped with an error; a smaller model needs less memory"):
            self.model.stay(self.language if self._sure else None)
            heard, info = self.model.transcribe(
                stretch.audio,
                language=None,  # heard for: the model says which it is
                condition_on_previous_text=self.way.previous,
                vad_filter=False,
                temperature=self.way.temperatures,
                **self._told(),
            )
            self._learn(info.language, info.language_probability)
            yield from self._segments(heard, Clock(stretch.pieces), info.language)

    def together(self, stretches: Sequence[Stretch]) -> Iterator[tuple[Stretch, Iterator[Segment]]]:
        """The same for several at once, of at most a look each; each stretch with its own, in order.

        One call decodes them side by side: more of a machine with many cores is used. It tries no second temperature,
        and leaves what is behind the last time that the model wrote: the self-check finds both.
        """
        voiced = [s for s in stretches if s.pieces]
        told: dict[int, Iterator[Segment]] = {}
        with as_engine_failed("the speech model stopped with an error; a smaller model needs less memory"):
            for tongue, group in self._by_language(voiced).items():
                for stretch, segments in zip(group, self._decoded(group, tongue), strict=True):
                    told[id(stretch)] = segments
        for stretch in stretches:
            yield stretch, told.get(id(stretch), iter(()))

    def _by_language(self, voiced: Sequence[Stretch]) -> dict[str, list[Stretch]]:
        """What can be decoded together."""
        if not voiced:
            return {}
        self.model.stay(self.language if self._sure else None)
        groups: dict[str, list[Stretch]] = {}
        for stretch, (tongue, probability) in zip(voiced, self.model.tongues([s.audio for s in voiced]), strict=True):
            self._learn(tongue, probability)
            groups.setdefault(tongue, []).append(stretch)
        return groups

    def _decoded(self, group: Sequence[Stretch], tongue: str) -> Iterator[Iterator[Segment]]:
        """The segments of each of several stretches in one language."""
        from faster_whisper import BatchedInferencePipeline

        ends = np.cumsum([len(s.audio) for s in group])
        starts = [end - len(s.audio) for s, end in zip(group, ends, strict=True)]
        heard, _ = BatchedInferencePipeline(self.model).transcribe(
            np.concatenate([s.audio for s in group]),
            # half a sample more: the pipeline cuts off what seconds leave of one
            clip_timestamps=[
                {"start": (a + 0.5) / RATE, "end": (b + 0.5) / RATE} for a, b in zip(starts, ends, strict=True)
            ],
            language=tongue,
            vad_filter=False,
            without_timestamps=False,
            batch_size=len(group),
            temperature=self.way.temperatures,
            **self._told(),
        )
        told = list(heard)
        for number, stretch in enumerate(group):
            own = [said for said in told if bisect_right(starts, (said.start + 0.02) * RATE) - 1 == number]
            yield self._segments(own, Clock(stretch.pieces, starts[number] / RATE), tongue)

    def _told(self) -> dict[str, Any]:
        return {
            "task": self.way.task,
            "beam_size": self.way.beam,
            "word_timestamps": self.words,
            "initial_prompt": self.hints.prompt,
            "hotwords": ", ".join(self.hints.vocabulary) or None,
        }

    def _segments(self, heard: Any, clock: Clock, tongue: str) -> Iterator[Segment]:
        other = tongue if tongue != self.language else None
        for said in heard:
            if self.cancelled():
                raise Cancelled("stopped while hearing")
            text = said.text.strip()
            if not text or said.end <= said.start:
                continue
            start_s, end_s = clock.span(said.start, said.end)
            words = tuple(Word(*clock.span(w.start, w.end), w.word) for w in said.words or ())
            likely = round(float(said.avg_logprob), 3)
            yield Segment(0, start_s, end_s, text, words=words, language=other, log_probability=likely)

    def _learn(self, language: str, probability: float) -> None:
        """Keep the first language that is sure, or the likeliest of three."""
        if self._sure:
            return
        self._heard.append((probability, language))
        self.language = max(self._heard)[1]
        self._sure = probability >= _SURE or len(self._heard) >= _TRIES


def known(model: Any, language: str | None) -> str | None:
    """The language as the model calls it; None where it is to be heard for."""
    languages = model.supported_languages
    if languages == ["en"]:
        return "en"
    wanted = (language or "").lower().replace("_", "-").partition("-")[0]
    return wanted if wanted in languages else None


@contextmanager
def as_engine_failed(told: str) -> Iterator[None]:
    """CTranslate2 and the tokenizer raise RuntimeError, ValueError or bare Exception; ours pass through."""
    try:
        yield
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        raise EngineFailed(f"{told} ({error})") from error

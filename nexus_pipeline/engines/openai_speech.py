"""Hears with a model behind OpenAI's audio/transcriptions: OpenAI, Groq, speaches, vLLM, whisper.cpp's server.

The item is cut at pauses by our own detector, silences are left out, and each piece is sent as a FLAC; several are
under way at once and come back in order. Whisper models give times of segments and words. Others (gpt-4o-transcribe,
gpt-transcribe) give text only: they get short pieces, and a sentence's times are its share of the piece's sound.
"""

import logging
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nexus_pipeline.domain import tongues
from nexus_pipeline.domain.errors import Cancelled, EngineEmpty
from nexus_pipeline.domain.sentences import sentences
from nexus_pipeline.domain.timeline import Segment, Window, Word
from nexus_pipeline.engines import flac, languages
from nexus_pipeline.engines.ahead import in_order
from nexus_pipeline.engines.one_reading import OneReading
from nexus_pipeline.engines.openai_line import Api, FormRefused, OpenAIEngine, used
from nexus_pipeline.engines.pauses import RATE
from nexus_pipeline.engines.voices import Clock, Stretch, stretches
from nexus_pipeline.ports import Cancelled as IsCancelled
from nexus_pipeline.ports import Hints

if TYPE_CHECKING:
    from openai import OpenAI

log = logging.getLogger(__name__)

MODEL = "whisper-1"
"""When no model is named: the only one of OpenAI's that gives times. It ends in 2027-02, gpt-transcribe goes on."""
UNTIMED = ("gpt-4o-", "gpt-transcribe")
"""Models that give text without times begin so: OpenAI's API reference, "response_format"."""
KEYWORDS = "gpt-transcribe"
"""The model that takes vocabulary apart from the prompt."""
PIECE_S, UNTIMED_S = 300.0, 30.0
"""Sound of one piece at most: 10 MB before compression (OpenAI takes 25), and where times are a guess, less."""
FIRST_S = 60.0
"""The first piece of a longer item, so that something can be read early."""
AHEAD = 4
"""Pieces of one item under way at once, at most."""
TOKENS_A_SECOND = 17
"""Of sound: 0.006 $ a minute at 6 $ a million tokens, OpenAI's price list of gpt-4o-transcribe."""


class OpenAISpeech(OneReading, OpenAIEngine):
    """One model, for any number of items side by side."""

    usual = MODEL

    def __init__(self, model: str, api: Api) -> None:
        """Asks nobody yet."""
        super().__init__(model, api)
        self._learnt = _Learnt(timed=not model.startswith(UNTIMED))

    def transcribe(self, audio: Path, duration_s: float, hints: Hints, cancelled: IsCancelled) -> Iterator[Window]:
        """Windows in order of time, each as soon as it is heard, one beginning where the one before ends.

        Raises EngineBusy, EngineDown, EngineEmpty, EngineFailed, EngineRefused, ModelMissing, Cancelled.
        """
        limit_s = PIECE_S if self._learnt.timed else UNTIMED_S
        first_s = limit_s if duration_s <= limit_s else min(FIRST_S, limit_s)
        found = stretches(audio, limit_s=limit_s, first_s=first_s, cancelled=cancelled)
        count, window = 0, None
        pieces = (_Piece.of(one, hints) for one in found)
        width = self._api.cloud.calls
        with closing(in_order(pieces, self._heard, ahead=AHEAD, width=width, cancelled=cancelled)) as coming:
            for piece, heard in coming:
                if cancelled():
                    raise Cancelled("stopped while hearing")
                window = piece.window(heard, count, hints.language)
                count += len(window.segments)
                yield window
        if window is None:
            yield Window(0.0, 0.0, (), 0.0)

    def _heard(self, piece: "_Piece", stopped: IsCancelled) -> "_Heard":
        """What is said in one piece; silence says nothing."""
        if not piece.flac:
            return _Heard((), None)
        if self._learnt.timed:
            try:
                return self._asked(piece, stopped, timed=True)
            except FormRefused:
                log.info("the server gives no times engine=%s", self.name)
                self._learnt.timed = False
        return self._asked(piece, stopped, timed=False)

    def _asked(self, piece: "_Piece", stopped: IsCancelled, *, timed: bool) -> "_Heard":
        asked: dict[str, Any] = {"model": self.model, "response_format": "verbose_json" if timed else "json"}
        if timed:
            asked["timestamp_granularities"] = ["segment", "word"]
        asked |= _told(self.model, piece.hints)

        def do(client: "OpenAI") -> Any:
            return client.audio.transcriptions.create(file=("speech.flac", piece.flac, "audio/flac"), **asked)

        answer = self._api.call(do, tokens=int(piece.sound_s * TOKENS_A_SECOND), cancelled=stopped)
        self._used(used(answer))
        text = getattr(answer, "text", None)
        if not isinstance(text, str):
            raise EngineEmpty(f"{self.name} answered without a text: choose another model")
        clock = Clock(piece.stretch.pieces)
        segments = _timed(answer, clock) if timed else None
        if segments is None:
            segments = _spread(text, piece.sound_s, clock)
        return _Heard(segments, _language(answer, text))


@dataclass
class _Learnt:
    """What is known of a server, for all who hear with this model of it: whether it gives times."""

    timed: bool


@dataclass(frozen=True)
class _Heard:
    """What one piece says, in seconds of the item, and in which language."""

    segments: Sequence[Segment]
    language: str | None


@dataclass(frozen=True)
class _Piece:
    """A part of the item, its sound as it is sent; nothing where nobody speaks."""

    stretch: Stretch
    hints: Hints
    flac: bytes
    sound_s: float

    @classmethod
    def of(cls, stretch: Stretch, hints: Hints) -> Self:
        sent = flac.encoded(stretch.audio) if stretch.pieces else b""
        return cls(replace(stretch, audio=np.zeros(0, np.float32)), hints, sent, len(stretch.audio) / RATE)

    def window(self, heard: "_Heard", first_id: int, language: str | None) -> Window:
        """What was heard in it; ids from `first_id`."""
        stretch = self.stretch
        told = (heard.language if heard.segments else None) or language
        # the server tells one language for all of the piece
        segments = tongues.read(heard.segments, told, languages.detect)
        segments = tuple(replace(s, id=first_id + n) for n, s in enumerate(segments))
        return Window(stretch.start_s, stretch.end_s, segments, stretch.voiced_s, told, voiced=stretch.voiced)


def _told(model: str, hints: Hints) -> dict[str, Any]:
    """Language, prompt and vocabulary: the latter in the prompt where the model takes no keywords."""
    language = languages.code(hints.language)
    asked: dict[str, Any] = {"language": language} if language else {}
    prompt = [hints.prompt] if hints.prompt else []
    if hints.vocabulary and model.startswith(KEYWORDS):
        asked["keywords"] = list(hints.vocabulary)
    elif hints.vocabulary:
        prompt.append(", ".join(hints.vocabulary) + ".")
    if prompt:
        asked["prompt"] = " ".join(prompt)
    return asked


# ---------------------------------------------------------------- what came back


def _timed(answer: Any, clock: Clock) -> list[Segment] | None:
    """Segments with the server's times; None where it gives none although it was asked to."""
    segments = getattr(answer, "segments", None)
    if not isinstance(segments, list) or (not segments and answer.text.strip()):
        return None
    if not all(isinstance(getattr(s, end, None), int | float) for s in segments for end in ("start", "end")):
        return None
    spoken = [s for s in segments if s.text.strip()]
    words = _by_segment(spoken, getattr(answer, "words", None) or [])
    made: list[Segment] = []
    for segment, own in zip(spoken, words, strict=True):
        start_s, end_s = clock.span(segment.start, segment.end)
        start_s = max(start_s, made[-1].end_s) if made else start_s
        text = segment.text.strip()
        spelled = _spelled(text, own, clock)
        made.append(Segment(0, start_s, max(start_s, end_s), text, words=spelled))
    return made


def _by_segment(segments: Sequence[Any], words: Sequence[Any]) -> list[list[Any]]:
    """Each segment's words: those that begin before the next one does."""
    starts = [s.start - 0.02 for s in segments]  # 0.02 s: Whisper's precision
    found: list[list[Any]] = [[] for _ in segments]
    for word in words:
        if found:
            found[max(0, bisect_right(starts, word.start) - 1)].append(word)
    return found


def _spelled(text: str, words: Sequence[Any], clock: Clock) -> tuple[Word, ...]:
    """The words as the text spells them, with the stops behind them; none where the two do not fit together."""
    cuts: list[int] = []
    at = 0
    for word in words:
        bare = word.word.strip()
        found = text.find(bare, at)
        if not bare or found < 0 or re.search(r"\w", text[at:found]):
            return ()
        cuts.append(found if cuts else 0)
        at = found + len(bare)
    if re.search(r"\w", text[at:]):
        return ()
    pieces = [text[a:b] for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True)]
    spelled = [(" " if n and pieces[n - 1][-1:].isspace() else "") + piece.rstrip() for n, piece in enumerate(pieces)]
    return tuple(Word(*clock.span(w.start, w.end), piece) for w, piece in zip(words, spelled, strict=True))


def _spread(text: str, sound_s: float, clock: Clock) -> list[Segment]:
    """Sentences of a text without times, each with its share of the sound."""
    whole = [Segment(0, 0.0, sound_s, text.strip())] if text.strip() else []
    return [Segment(0, *clock.span(s.start_s, s.end_s), s.text) for s in sentences(whole)]


def _language(answer: Any, text: str) -> str | None:
    """What the server says (`english`, or a list of codes), else what the text is written in."""
    several = getattr(answer, "languages", None)
    told = getattr(answer, "language", None) or next((getattr(one, "code", None) for one in several or []), None)
    return languages.code(told) if isinstance(told, str) else languages.detect(text)

"""Hears with a model behind OpenAI's audio/transcriptions: OpenAI, Groq, speaches, vLLM, whisper.cpp's server.

The item is cut at pauses by our own detector, silences are left out, and each piece is sent as a FLAC; several are
under way at once and come back in order. Whisper models give times of segments and words. Others (gpt-4o-transcribe,
gpt-transcribe) give text only: they get short pieces, and a sentence's times are its share of the piece's sound.
"""

import io
import logging
import re
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nexus_pipeline.domain.errors import Cancelled, EngineEmpty
from nexus_pipeline.domain.sentences import sentences
from nexus_pipeline.domain.timeline import Segment, Window, Word
from nexus_pipeline.engines import languages
from nexus_pipeline.engines.openai_line import Api, FormRefused, api, lacking
from nexus_pipeline.engines.pauses import RATE
from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.engines.voices import Clock, Samples, Stretch, stretches
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


class OpenAISpeech:
    """One model, for any number of items side by side."""

    def __init__(self, model: str, api: Api) -> None:
        """Asks nobody yet."""
        self.model = model
        self.name = f"openai:{model}"
        self._api = api
        self._timed = not model.startswith(UNTIMED)

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:
        """Without a model: whisper-1."""
        return cls(model or MODEL, api(site))

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:  # noqa: ARG003 - all models are there alike
        """None when it can be asked, else what to set."""
        return lacking(site.openai)

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        """Nothing to fetch."""

    def parameters(self) -> Mapping[str, str]:
        """What changes its results. Not the server: else moving it would make all of them stale."""
        return {"engine": "openai", "model": self.model}

    def transcribe(self, audio: Path, duration_s: float, hints: Hints, cancelled: IsCancelled) -> Iterator[Window]:
        """Windows in order of time, each as soon as it is heard, one beginning where the one before ends.

        Raises EngineBusy, EngineDown, EngineEmpty, EngineFailed, EngineRefused, ModelMissing, Cancelled.
        """
        limit_s = PIECE_S if self._timed else UNTIMED_S
        first_s = limit_s if duration_s <= limit_s else min(FIRST_S, limit_s)
        found = stretches(audio, limit_s=limit_s, first_s=first_s, cancelled=cancelled)
        count, window = 0, None
        with closing(self._in_order((_Piece.of(one, hints) for one in found), cancelled)) as heard:
            for piece in heard:
                if cancelled():
                    raise Cancelled("stopped while hearing")
                window = piece.window(count, hints.language)
                count += len(window.segments)
                yield window
        if window is None:
            yield Window(0.0, 0.0, (), 0.0)

    def readings(
        self,
        audio: Path,  # noqa: ARG002 - it knows one way only
        start_s: float,  # noqa: ARG002
        end_s: float,  # noqa: ARG002
        hints: Hints,  # noqa: ARG002
        cancelled: IsCancelled,  # noqa: ARG002
    ) -> Iterator[tuple[Segment, ...]]:
        """None: asked again it answers the same."""
        return iter(())

    def _in_order(self, pieces: "Iterator[_Piece]", cancelled: IsCancelled) -> "Generator[_Piece, None, None]":
        """Pieces as they come, each as soon as it is heard and those before it are."""
        over = threading.Event()
        waiting: deque[_Piece] = deque()
        pool = ThreadPoolExecutor(min(AHEAD, self._api.cloud.calls), thread_name_prefix="openai speech")
        try:
            for piece in pieces:
                piece.hear(pool, lambda one: self._heard(one, lambda: over.is_set() or cancelled()))
                waiting.append(piece)
                while len(waiting) > AHEAD or (waiting and waiting[0].is_heard):
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            over.set()
            pool.shutdown(cancel_futures=True)

    def _heard(self, piece: "_Piece", stopped: IsCancelled) -> "_Heard":
        """What is said in one piece."""
        if self._timed:
            try:
                return self._asked(piece, stopped, timed=True)
            except FormRefused:
                log.info("the server gives no times engine=%s", self.name)
                self._timed = False
        return self._asked(piece, stopped, timed=False)

    def _asked(self, piece: "_Piece", stopped: IsCancelled, *, timed: bool) -> "_Heard":
        asked: dict[str, Any] = {"model": self.model, "response_format": "verbose_json" if timed else "json"}
        if timed:
            asked["timestamp_granularities"] = ["segment", "word"]
        asked |= _told(self.model, piece.hints)

        def do(client: "OpenAI") -> Any:
            return client.audio.transcriptions.create(file=("speech.flac", piece.flac, "audio/flac"), **asked)

        answer = self._api.call(do, tokens=int(piece.sound_s * TOKENS_A_SECOND), cancelled=stopped)
        text = getattr(answer, "text", None)
        if not isinstance(text, str):
            raise EngineEmpty(f"{self.name} answered without a text: choose another model")
        clock = Clock(piece.stretch.pieces)
        segments = _timed(answer, clock) if timed else None
        if segments is None:
            segments = _spread(text, piece.sound_s, clock)
        return _Heard(segments, _language(answer, text))


@dataclass(frozen=True)
class _Heard:
    """What one piece says, in seconds of the item, and in which language."""

    segments: Sequence[Segment]
    language: str | None


@dataclass
class _Piece:
    """A part of the item and what is heard in it."""

    stretch: Stretch
    hints: Hints
    flac: bytes
    sound_s: float
    _future: "Future[_Heard]" = field(default_factory=Future)

    @classmethod
    def of(cls, stretch: Stretch, hints: Hints) -> Self:
        flac = _flac(stretch.audio) if stretch.pieces else b""
        return cls(replace(stretch, audio=np.zeros(0, np.float32)), hints, flac, len(stretch.audio) / RATE)

    def hear(self, pool: ThreadPoolExecutor, do: "Callable[[_Piece], _Heard]") -> None:
        """Begin; silence is heard at once."""
        if self.flac:
            self._future = pool.submit(do, self)
        else:
            self._future.set_result(_Heard((), None))

    @property
    def is_heard(self) -> bool:
        return self._future.done()

    def window(self, first_id: int, language: str | None) -> Window:
        """What was heard, once it is; ids from `first_id`. Raises what hearing it raised."""
        heard, stretch = self._future.result(), self.stretch
        segments = tuple(replace(s, id=first_id + n) for n, s in enumerate(heard.segments))
        told = (heard.language if segments else None) or language
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


def _flac(sound: Samples) -> bytes:
    """16 kHz mono: about 5 MB for five minutes, nothing lost."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=RATE, layout="mono", format="s16")
        samples = np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()

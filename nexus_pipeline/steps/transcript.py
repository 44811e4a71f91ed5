"""transcript: what was said when: heard in windows and published as it is heard, or taken from a file beside it.

What was heard is checked then, and what may be wrong is heard again (steps/repairing.py).
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
from pydantic import TypeAdapter

from nexus_pipeline.domain import errors, tongues
from nexus_pipeline.domain.checking import Voice
from nexus_pipeline.domain.items import Item, Kind
from nexus_pipeline.domain.passages import passages
from nexus_pipeline.domain.states import Skipped, State
from nexus_pipeline.domain.timeline import Coverage, Segment, Span, Transcript, Window
from nexus_pipeline.ports import ItemPassages, Speech, Vectors
from nexus_pipeline.results import INHERITED, RawResult, read
from nexus_pipeline.steps.repairing import Checked, readers, repaired
from nexus_pipeline.steps.serving import counted, parameters, served
from nexus_pipeline.steps.step import Landed, Step, Work, one_by_one
from nexus_pipeline.wiring import Parts

log = logging.getLogger(__name__)

PARTIAL_EVERY_S = 30.0
"""Passages of what has been heard so far are written at most this often: each is a commit of the archive."""
PARTIAL_MORE = 1.05
"""And only when so much more has been heard: all rows are written each time, twenty times in all however long it is."""

HEARD = 0.95
"""Of the progress, before what is in doubt is heard again."""

_segments = TypeAdapter(list[Segment])
_transcript = TypeAdapter(Transcript)


def transcript(work: Work, parts: Parts) -> Landed:
    """From the file beside it if there is one, else heard."""
    inherited = work.item.key("transcript", INHERITED)
    if not work.redo and parts.blobs.exists(inherited):
        return _landed(work, _transcript.validate_json(parts.blobs.read(inherited)), {})
    if _beside(work.item):
        return _taken(work, parts)
    engines, meter = counted(parts.engines.speech(work.item))
    if not engines:
        return Landed(work, state=State.SKIPPED, reason=Skipped.SWITCHED_OFF)
    duration_s, hints = work.item.duration_s or 0.0, parts.hints(work.item)
    began = time.monotonic()
    with parts.blobs.local(read(work.item, "raw", RawResult, parts).files["speech"]) as audio:
        done = served(engines, lambda e: _heard(work, parts, e, e.transcribe(audio, duration_s, hints, work.cancelled)))
        heard, checked = done.result
        left = engines[engines.index(done.engine) :]
        told = replace(hints, language=hints.language or heard.language)
        reading = readers(left, audio, told, media=parts.media, folder=lambda: work.folder, cancelled=work.cancelled)
        found = repaired(heard, checked, reading, duration_s, lambda x: work.progress(HEARD + (1 - HEARD) * x))
    if not found.segments:
        silent = Skipped.SILENCE
        heard_nothing = {"segments": 0, **meter.usage.numbers}
        return Landed(work, state=State.SKIPPED, reason=silent, engine=done.engine.name, numbers=heard_nothing)
    seconds = time.monotonic() - began
    numbers = {
        "real_time_factor": seconds / duration_s if duration_s else 0.0,
        "voiced_s": found.coverage.voiced_s,
        "repaired": len(found.coverage.repaired),
        "findings": len(found.coverage.findings),
        **meter.usage.numbers,
    }
    return replace(_landed(work, found, numbers), reason=done.because)


def _heard(work: Work, parts: Parts, speech: Speech, windows: Iterator[Window]) -> tuple[Transcript, Checked]:
    """Gather windows and publish each."""
    early = _Early(work.item, parts)
    segments: list[Segment] = []
    voiced: list[Span] = []
    voiced_s, language, duration_s = 0.0, work.item.language, work.item.duration_s or 0.0
    for n, window in enumerate(windows):
        segments += tongues.each(window)
        voiced += window.voiced
        voiced_s += window.voiced_s
        language = window.language or language
        if window.segments:
            key = work.item.key("transcript", "partial", f"{n}.json")
            parts.blobs.put(key, _segments.dump_json(list(window.segments)))
        done = min(window.end_s / duration_s, 1.0) if duration_s else 0.0
        work.progress(HEARD * done, heard=n if window.segments else None)
        if segments:
            early.tell(segments, language, window.end_s)
    language = tongues.mostly(segments, work.item.language)
    settled = tongues.settled(segments, language)
    heard = Transcript(language, speech.name, settled, Coverage(voiced_s, 0.0))
    # English models know nothing else, and the others slip into English rather than out of it
    detect = parts.language_of if language and language != "en" else None
    return heard, Checked(Voice(voiced), detect)


class _Early:
    """What has been heard so far can be searched before all of it has been heard."""

    def __init__(self, item: Item, parts: Parts) -> None:
        self._item, self._parts = item, parts
        self._told_at, self._told_s = time.monotonic(), 0.0
        self._texts: list[str] = []
        self._vectors: Vectors | None = None

    def tell(self, segments: Sequence[Segment], language: str | None, until_s: float) -> None:
        """Write it, if that is due. That it cannot be written must not cost what has been heard."""
        if time.monotonic() - self._told_at <= PARTIAL_EVERY_S or until_s < PARTIAL_MORE * self._told_s:
            return
        try:
            self._write(segments, language)
        except errors.NexusError as error:
            log.warning("not searchable while it is heard item_id=%s code=%s", self._item.id, error.code)
        self._told_at, self._told_s = time.monotonic(), until_s

    def _write(self, segments: Sequence[Segment], language: str | None) -> None:
        found = passages(segments, title=self._item.title)
        texts = [p.indexed_text for p in found]
        # all but the last passage are as they were: an hour is not embedded again for each new minute
        same = next((n for n, (a, b) in enumerate(zip(self._texts, texts, strict=False)) if a != b), len(self._texts))
        same = min(same, len(texts))
        vectors = self._parts.engines.embedder().embed(texts[same:])
        if self._vectors is not None:
            vectors = np.concatenate([self._vectors[:same], vectors])
        self._texts, self._vectors = texts, vectors
        rows = ItemPassages(self._item, found, vectors, partial=True, tags=self._item.tags, language=language)
        self._parts.archive.replace([rows])


def _taken(work: Work, parts: Parts) -> Landed:
    """The transcript that came with the item, and it says so."""
    made = read(work.item, "raw", RawResult, parts)
    with parts.blobs.local(made.transcript or made.original) as path:
        found = parts.read_transcript(path)
    if not found.segments:
        return Landed(work, state=State.SKIPPED, reason=Skipped.SILENCE, engine=found.engine, numbers={"segments": 0})
    return _landed(work, found, {})


def _landed(work: Work, found: Transcript, numbers: Mapping[str, float]) -> Landed:
    told = {
        **numbers,
        "segments": len(found.segments),
        "words": sum(len(s.text.split()) for s in found.segments),
        "coverage": round(found.coverage.transcribed_s / found.coverage.voiced_s, 3)
        if found.coverage.voiced_s
        else 1.0,
    }
    return Landed(work, result=asdict(found), facts={"language": found.language}, numbers=told, engine=found.engine)


def _beside(item: Item) -> bool:
    return item.sidecar_digest is not None or item.kind is Kind.TEXT


def _skip(item: Item, parts: Parts) -> Skipped | None:
    if item.duplicate_of:
        return Skipped.DUPLICATE
    if _beside(item):
        return None
    if not item.channels:
        return Skipped.NO_AUDIO
    return Skipped.SWITCHED_OFF if not parts.engines.speech(item) else None


def _parameters(item: Item, parts: Parts) -> Mapping[str, str]:
    if item.duplicate_of:
        return {"duplicate_of": item.duplicate_of}
    if _beside(item):
        return {"beside": item.sidecar_digest or "itself"}
    # The language that a person gave counts; the one that was heard is a result, and would make it stale at once.
    told = parameters(parts.engines.speech(item) if item.channels else ())
    hints = parts.hints(item)
    said = {"prompt": hints.prompt or "", "vocabulary": ",".join(hints.vocabulary)}
    return {**told, **{name: value for name, value in said.items() if value}}


TRANSCRIPT = Step(
    name="transcript",
    code_version="3",
    run=one_by_one(transcript),
    needs=("raw",),
    after=("fingerprint",),  # a copy is not heard again
    parameters=_parameters,
    skip=_skip,
    description="Timed speech, heard in windows, readable as it is heard, checked and where in doubt heard again;"
    " or the transcript that came beside it.",
    kinds=("whisper",),
)

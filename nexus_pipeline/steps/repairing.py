"""Spans of a transcript that may be wrong are heard again, and the better reading is kept.

First the engine that heard the item reads a span in its other ways, then the next engines of the list hear it. At most
REHEARD of an item's length is heard again, so that what is bad all over costs no more than a part of hearing it once
more; what stays bad is told with the transcript.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from nexus_pipeline.domain import checking, errors, tongues
from nexus_pipeline.domain.checking import Detect, Voice
from nexus_pipeline.domain.timeline import Coverage, Finding, Segment, Span, Transcript
from nexus_pipeline.ports import Cancelled, Hints, Media, Progress, Speech

log = logging.getLogger(__name__)

REHEARD, REHEARD_S = 0.5, 300.0
"""Seconds of sound that are heard again at most: this share of the item, but at least so many. Each reading counts."""
AROUND_S = 1.0
"""A span begins and ends so far in the silence around it, or in its middle: no consonant is lost."""

Reader = Callable[[Span], Iterator[tuple[Segment, ...]]]
"""Other readings of a span."""


@dataclass(frozen=True)
class Checked:
    """What the check is made with: where somebody speaks, and which language a text is in, where that is asked."""

    voice: Voice
    detect: Detect | None = None

    def findings(self, segments: Sequence[Segment], language: str | None, rates: Span) -> tuple[Finding, ...]:
        """All that is in doubt."""
        return checking.findings(segments, self.voice, language=language, detect=self.detect, rates=rates)


def readers(
    engines: Sequence[Speech],
    audio: Path,
    hints: Hints,
    *,
    media: Media,
    folder: Callable[[], Path],
    cancelled: Cancelled,
) -> tuple[Reader, ...]:
    """The first engine's own other ways, then the others', which hear the span as if it were all there is.

    `folder` is asked for scratch space when another engine's turn comes.
    """

    def own(span: Span) -> Iterator[tuple[Segment, ...]]:
        yield from engines[0].readings(audio, *span, hints, cancelled)

    def others(engine: Speech) -> Reader:
        def hear(span: Span) -> Iterator[tuple[Segment, ...]]:
            cut = folder() / "span.flac"
            media.cut(audio, cut, *span, cancelled)
            windows = engine.transcribe(cut, span[1] - span[0], hints, cancelled)
            told = (s.shifted(span[0]) for window in windows for s in tongues.each(window))
            yield tongues.settled(told, hints.language)

        return hear

    return (own, *(others(engine) for engine in engines[1:]))


def repaired(
    heard: Transcript, checked: Checked, reading: Sequence[Reader], duration_s: float, progress: Progress
) -> Transcript:
    """The transcript with the better readings in place, and with what is still in doubt. Raises Cancelled."""
    segments = heard.segments
    rates = checking.usual(segments, checked.voice)
    found = checked.findings(segments, heard.language, rates)
    wrong = [_Again(span, heard, checked, reading, rates) for span in checking.spans(found, segments, checked.voice)]
    better = _heard_again(wrong, duration_s, progress)
    for again in better:
        segments = again.put(segments)
    if better:
        found = checked.findings(segments, heard.language, rates)
    if checked.detect is not None:
        segments = checking.spoken(segments, heard.language, checked.detect)
    spoken_s = sum(s.end_s - s.start_s for s in segments)
    repaired_spans = tuple(again.span for again in better)
    coverage = Coverage(heard.coverage.voiced_s, spoken_s, repaired_spans, found)
    return replace(heard, segments=tuple(replace(s, id=n) for n, s in enumerate(segments)), coverage=coverage)


def _heard_again(wrong: Sequence["_Again"], duration_s: float, progress: Progress) -> list["_Again"]:
    """Those that a reading made better: first one reading of each, then another of each that is still bad."""
    most_s = left_s = max(REHEARD_S, REHEARD * duration_s)
    bad = list(wrong)
    while bad:
        going_on = []
        for again in bad:
            if again.seconds <= left_s and again.another():
                left_s -= again.seconds
                progress(1 - left_s / most_s)
                if again.standing.findings:
                    going_on.append(again)
        bad = going_on
    better = [again for again in wrong if again.best is not None]
    if wrong:
        log.info("heard again spans=%d better=%d seconds=%.0f", len(wrong), len(better), most_s - left_s)
    return better


class _Again:
    """A span while it is heard again: the best reading so far, and those that are still to come."""

    def __init__(self, span: Span, heard: Transcript, checked: Checked, reading: Sequence[Reader], rates: Span) -> None:
        self.span = span
        self.best: tuple[Segment, ...] | None = None
        self._wide = _wide(span, heard.segments, checked.voice)
        self._voice = Voice(checked.voice.between(*self._wide))
        self._language, self._detect, self._rates = heard.language, checked.detect, rates
        self._readings = chain.from_iterable(_as_far_as_it_goes(reader, self._wide) for reader in reading)
        self.standing = self._measured(checking.inside(heard.segments, span))

    @property
    def seconds(self) -> float:
        """What one reading costs."""
        return self._wide[1] - self._wide[0]

    def another(self) -> bool:
        """Hear it once more; False when there is no other reading."""
        said = next(self._readings, None)
        if said is None:
            return False
        start_s, end_s = self._wide
        own = tuple(
            replace(s, start_s=max(s.start_s, start_s), end_s=min(s.end_s, end_s))
            for s in checking.inside(said, self._wide)
        )
        new = self._measured(own)
        if checking.better(new, self.standing):
            self.best, self.standing = own, new
        return True

    def put(self, segments: Sequence[Segment]) -> tuple[Segment, ...]:
        """The transcript's segments with the best reading in the place of what was there."""
        gone = {id(s) for s in checking.inside(segments, self.span)}
        kept = [s for s in segments if id(s) not in gone]
        return tuple(sorted([*kept, *(self.best or ())], key=lambda s: s.start_s))

    def _measured(self, said: Sequence[Segment]) -> checking.Measures:
        return checking.measures(said, self._voice, language=self._language, detect=self._detect, rates=self._rates)


def _as_far_as_it_goes(reader: Reader, span: Span) -> Iterator[tuple[Segment, ...]]:
    """An engine that cannot hear a span leaves it as it is: it stays among the findings."""
    try:
        yield from reader(span)
    except (errors.EngineError, errors.BadInput) as error:
        log.warning("a span could not be heard again code=%s", error.code)


def _wide(span: Span, segments: Sequence[Segment], voice: Voice) -> Span:
    """The span with some of the silence around it, up to the middle between it and what is next to it."""
    start_s, end_s = span
    before = [s.end_s for s in segments if s.end_s <= start_s + checking.EDGE_S and s.start_s < start_s]
    before += [b for _, b in voice.between(start_s - 2 * AROUND_S, start_s)]
    behind = [s.start_s for s in segments if s.start_s >= end_s - checking.EDGE_S and s.end_s > end_s]
    behind += [a for a, _ in voice.between(end_s, end_s + 2 * AROUND_S)]
    room_before = max(0.0, start_s - max(before, default=0.0)) / 2
    room_behind = max(0.0, min(behind, default=end_s + 2 * AROUND_S) - end_s) / 2
    return max(0.0, start_s - min(AROUND_S, room_before)), end_s + min(AROUND_S, room_behind)

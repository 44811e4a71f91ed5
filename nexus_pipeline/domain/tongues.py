"""Which language a recording is in, and which of its segments are in another one. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from nexus_pipeline.domain.timeline import Segment, Window
from nexus_pipeline.domain.translations import same

LETTERS = 60
"""Of a text whose language is asked for: lingua is right for 90 of 100 sentences of this length (its README)."""
CHANGED = 120
"""Letters that must be in another language for a text to be in it: what is shorter may be a name, or chance."""


def each(window: Window) -> tuple[Segment, ...]:
    """A window's segments, each with its language, where one is known."""
    return tuple(replace(s, language=s.language or window.language) for s in window.segments)


def mostly(segments: Iterable[Segment], told: str | None) -> str | None:
    """The recording's language: the one that was told, if anything is said in it, else that of most of its seconds."""
    seconds: Counter[str] = Counter()
    for segment in segments:
        if segment.language:
            seconds[segment.language] += segment.end_s - segment.start_s
    if not seconds:
        return told
    return next((one for one in seconds if same(one, told)), max(seconds, key=lambda one: seconds[one]))


def settled(segments: Iterable[Segment], language: str | None) -> tuple[Segment, ...]:
    """The segments with their language only where it is another one than the recording's."""
    return tuple(replace(s, language=None) if same(s.language, language) else s for s in segments)


def read(
    segments: Sequence[Segment], language: str | None, detect: Callable[[str], str | None]
) -> tuple[Segment, ...]:
    """The segments with their language, as far as their text tells it, where it is another one than the recording's.

    Segments too short to tell are taken together with their neighbours: a change lies where it is found, give or take
    a segment. One that says its language itself keeps it.
    """
    parts = [(_told(own, detect), own) for own in _parts(segments)]
    found: list[Segment] = []
    for tongue, several in groupby(parts, key=lambda part: part[0]):
        own = [s for _, part in several for s in part]
        other = tongue is not None and not same(tongue, language) and sum(len(s.text) for s in own) >= CHANGED
        found += [replace(s, language=s.language or tongue) for s in own] if other else own
    return tuple(found)


def _parts(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """So many in a row that their language can be told."""
    part: list[Segment] = []
    for segment in segments:
        part.append(segment)
        if sum(len(s.text) for s in part) >= LETTERS:
            yield part
            part = []
    if part:
        yield part


def _told(part: Sequence[Segment], detect: Callable[[str], str | None]) -> str | None:
    return detect(" ".join(s.text for s in part))

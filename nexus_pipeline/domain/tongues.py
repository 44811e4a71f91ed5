"""Which language a recording is in, and which of its segments are in another one. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from nexus_pipeline.domain.timeline import Segment, Window
from nexus_pipeline.domain.translations import same

LETTERS = 40
"""Of a text whose language is asked for: about a subtitle. Of so short ones lingua takes some for another language."""
CHANGED = 120
"""Letters that must be in another language for a text to be in it: what is shorter may be a name, or chance."""


def each(window: Window) -> tuple[Segment, ...]:
    """A window's segments, each with its language, where one is known."""
    return tuple(replace(s, language=s.language or window.language) for s in window.segments)


def mostly(segments: Iterable[Segment], told: str | None) -> str | None:
    """The recording's language: the one that was told, if anything is said in it, else that of most of its seconds."""
    seconds: dict[str, float] = defaultdict(float)
    for segment in segments:
        if segment.language:
            seconds[segment.language] += segment.end_s - segment.start_s
    if not seconds:
        return told
    return next((one for one in seconds if same(one, told)), max(seconds, key=lambda one: seconds[one]))


def settled(segments: Iterable[Segment], language: str | None) -> tuple[Segment, ...]:
    """The segments with their language only where it is another one than the recording's."""
    return tuple(replace(s, language=None) if same(s.language, language) else s for s in segments)


def read(segments: Sequence[Segment], language: str | None, detect: Callable[[str], str | None]) -> tuple[Segment, ...]:
    """The segments with their language, as far as their text tells it, where it is another one than the recording's.

    Segments too short to tell are taken together with their neighbours: a change lies where it is found, give or take
    a segment. One that says its language itself keeps it.
    """
    parts = _parts(segments)
    told = [detect(" ".join(s.text for s in part)) for part in parts]
    weights = [sum(len(s.text) for s in part) for part in parts]
    voted = [_voted(told[max(0, n - 1) : n + 2], weights[max(0, n - 1) : n + 2], language) for n in range(len(parts))]
    found: list[Segment] = []
    for tongue, run in groupby(range(len(parts)), key=lambda n: voted[n]):
        numbers = list(run)
        own = [s for n in numbers for s in parts[n]]
        other = not same(tongue, language) and sum(weights[n] for n in numbers) >= CHANGED
        found += [replace(s, language=s.language or tongue) for s in own] if other else own
    return tuple(found)


def _parts(segments: Sequence[Segment]) -> list[list[Segment]]:
    """So many in a row that their language can be told, mostly one."""
    parts: list[list[Segment]] = []
    letters = LETTERS
    for segment in segments:
        if letters >= LETTERS:
            parts.append([])
            letters = 0
        parts[-1].append(segment)
        letters += len(segment.text)
    return parts


def _voted(told: Sequence[str | None], weights: Sequence[int], usual: str | None) -> str | None:
    """What a part and those beside it are in, by their letters: one alone may be taken for any language."""
    votes: dict[str, int] = defaultdict(int)
    for one, weight in zip(told, weights, strict=True):
        if one is not None:
            votes[one] += weight
    return max(votes, key=lambda one: (votes[one], same(one, usual)), default=usual)

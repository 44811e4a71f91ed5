"""Transcripts in other languages: the same segments, with the same ids and times, in other words."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nexus_pipeline.domain.timeline import Segment

WHOLE = 0.8
"""A text of which so much lies over one segment is that segment's; any other one is laid over several by its words."""


@dataclass(frozen=True, slots=True)
class Translation:
    """A transcript's segments in another language.

    `key` says what it was made from and with; `of` is the version of the segments that were translated: of others
    its times may be wrong.
    """

    engine: str
    key: str
    of: str
    segments: tuple[Segment, ...]


def reworded(segment: Segment, text: str) -> Segment:
    """The segment with its id, times and speaker; what else is known of it belongs to the words that were said."""
    return Segment(segment.id, segment.start_s, segment.end_s, text, segment.speaker)


def same(one: str | None, other: str | None) -> bool:
    """Whether two codes name one language, `en` and `en-GB` do; one that is not known is like no other."""
    return bool(one and other) and _plain(one) == _plain(other)


def closest(wanted: str, there: Sequence[str]) -> str | None:
    """The code that is wanted, else the first one of the same language."""
    exact = (one for one in there if one.lower() == wanted.lower())
    return next(exact, next((one for one in there if same(one, wanted)), None))


def _plain(code: str | None) -> str:
    return (code or "").lower().replace("_", "-").partition("-")[0]


def laid(told: Sequence[Segment], over: Sequence[Segment]) -> tuple[Segment, ...]:
    """The segments `over` with the words of `told` instead of their own, by time; both in order of time.

    Every word of `told` is kept, once and in order. A segment over which nothing was told has no text then.
    """
    if not over:
        return ()
    starts = [segment.start_s for segment in over]
    texts: list[list[str]] = [[] for _ in over]
    for one in told:
        for text, n in _placed(one, over, starts):
            texts[n].append(text)
    return tuple(reworded(s, " ".join(own)) for s, own in zip(over, texts, strict=True))


def _placed(one: Segment, over: Sequence[Segment], starts: Sequence[float]) -> Iterator[tuple[str, int]]:
    """The whole text for the segment whose it is, or word by word, each where its second is."""
    long_s = one.end_s - one.start_s
    shared_s, n = max(_shared(one, over, starts), key=lambda pair: pair[0], default=(0.0, 0))
    words = one.text.split()
    if shared_s <= 0 and words:
        yield " ".join(words), _nearest((one.start_s + one.end_s) / 2, over, starts)
    elif shared_s >= WHOLE * long_s and words:
        yield " ".join(words), n
    else:
        letters, before = sum(map(len, words)), 0
        for word in words:
            yield word, _nearest(one.start_s + long_s * (before + len(word) / 2) / letters, over, starts)
            before += len(word)


def _shared(one: Segment, over: Sequence[Segment], starts: Sequence[float]) -> Iterator[tuple[float, int]]:
    """Seconds that it shares with each segment near it."""
    n = max(bisect_right(starts, one.start_s) - 1, 0)
    while n < len(over) and over[n].start_s < one.end_s:
        yield max(0.0, min(one.end_s, over[n].end_s) - max(one.start_s, over[n].start_s)), n
        n += 1


def _nearest(at_s: float, over: Sequence[Segment], starts: Sequence[float]) -> int:
    n = max(bisect_right(starts, at_s) - 1, 0)
    if n + 1 == len(over) or at_s <= over[n].end_s:
        return n
    return n if at_s - over[n].end_s <= over[n + 1].start_s - at_s else n + 1

# ruff: noqa: RUF001 - stops and brackets of other scripts are meant
"""Whole sentences out of segments, each with its times and its speaker.

An engine's segments end where it drew breath, not where a sentence does: a sentence may run over several segments of
one speaker, and a segment may hold several sentences. Nothing is added, dropped or put in another order.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil

from nexus_pipeline.domain.timeline import Segment

PAUSE_S = 6.0
"""A silence after which something new begins. A judgement, not measured: the dev set of search has no pauses."""
LIMIT = 60
"""Words at which a sentence without an end is cut: a passage's length, passages.WORDS."""

_LONGEST = 120  # characters without a space: scripts that write none, or a URL
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_PIECES = re.compile(r"[^。！？]*[。！？]+[」』）”]*|[^。！？]+")
_END = re.compile(r"[.?!…。！？؟।]+[\"'”’»)\]」』）]*$")
_BREATH = re.compile(r"[,;:—–、，；：][\"'”’»)\]]*$")
_ABBREVIATIONS = frozenset({"mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "e.g.", "i.e.", "approx.", "fig."})


@dataclass(frozen=True, slots=True)
class Token:
    """A word as it is written; `glued` when no space stood before it. `weight` counts words where none are spaced."""

    text: str
    start_s: float
    end_s: float
    speaker: str | None
    glued: bool
    weight: int
    last: bool
    """The last of its segment."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, or a piece of one that was too long; never empty."""

    tokens: tuple[Token, ...]

    @property
    def text(self) -> str:
        """As it was written, spaces made single."""
        return written(self.tokens)

    @property
    def weight(self) -> int:
        """Its length in words."""
        return sum(t.weight for t in self.tokens)

    @property
    def start_s(self) -> float:
        """Seconds from the item's start."""
        return min(t.start_s for t in self.tokens)

    @property
    def end_s(self) -> float:
        """Seconds from the item's start."""
        return max(t.end_s for t in self.tokens)

    @property
    def speaker(self) -> str | None:
        """Who says it: a sentence never runs over two speakers."""
        return self.tokens[0].speaker


def sentences(segments: Iterable[Segment], *, limit: int = LIMIT, pause_s: float = PAUSE_S) -> Iterator[Sentence]:
    """Sentences in order. One ends at its full stop, with its speaker, before a long pause, or at `limit` words."""
    collected: list[Token] = []
    for token in (t for segment in segments for t in _tokens(segment)):
        if collected and _apart(collected[-1], token, pause_s):
            yield from _cut(collected, limit)
            collected = []
        collected.append(token)
        if _END.search(token.text) and token.text.lower() not in _ABBREVIATIONS:
            yield from _cut(collected, limit)
            collected = []
    yield from _cut(collected, limit)


def written(tokens: Sequence[Token]) -> str:
    """Tokens as one line of text."""
    return "".join(t.text if t.glued else f" {t.text}" for t in tokens).strip()


def _apart(before: Token, after: Token, pause_s: float) -> bool:
    return after.speaker != before.speaker or after.start_s - before.end_s > pause_s


def _cut(tokens: list[Token], limit: int) -> Iterator[Sentence]:
    """Pieces of at most `limit` words, cut where one breathes (comma, segment's end) if that is in the last half."""
    first, weight, breath = 0, 0, 0
    for i, token in enumerate(tokens):
        if weight and weight + token.weight > limit:
            end = breath if breath > (first + i) // 2 else i
            yield Sentence(tuple(tokens[first:end]))
            first, weight, breath = end, sum(t.weight for t in tokens[end:i]), 0
        weight += token.weight
        if token.last or _BREATH.search(token.text):
            breath = i + 1
    if first < len(tokens):
        yield Sentence(tuple(tokens[first:]))


def _tokens(segment: Segment) -> list[Token]:
    """The segment's words, timed by its engine's words where they spell the same text, else by share of characters."""
    spelled = [(piece, glued) for word in segment.text.split() for piece, glued in _pieces(word)]
    ends = list(accumulate(len(piece) for piece, _ in spelled))
    clock = Clock(segment)
    tokens = []
    for i, (piece, glued) in enumerate(spelled):
        start_s, end_s = clock.at(ends[i] - len(piece)), clock.at(ends[i], end=True)
        last = i == len(spelled) - 1
        tokens.append(Token(piece, start_s, max(start_s, end_s), segment.speaker, glued, _weight(piece), last))
    return tokens


def _pieces(word: str) -> Iterator[tuple[str, bool]]:
    """A word as it is; a line of a script without spaces as its sentences, in pieces of bounded length."""
    glued = False
    for sentence in _PIECES.findall(word):
        for at in range(0, len(sentence), _LONGEST):
            yield sentence[at : at + _LONGEST], glued
            glued = True


def _weight(text: str) -> int:
    # two characters of a script without spaces are about one word
    return max(1, ceil(len(UNSPACED.findall(text)) / 2))


class Clock:
    """Seconds at each character (spaces not counted) of a segment."""

    def __init__(self, segment: Segment) -> None:
        letters = len("".join(segment.text.split()))
        self.start_s, self.end_s = segment.start_s, max(segment.start_s, segment.end_s)
        spelled = ["".join(w.text.split()) for w in segment.words]
        self.starts = [0.0, float(letters)]
        self.times = [(self.start_s, self.end_s)]
        if "".join(spelled) == "".join(segment.text.split()) and letters:
            timed = [(text, w) for text, w in zip(spelled, segment.words, strict=True) if text]
            self.starts = [0.0, *accumulate(float(len(text)) for text, _ in timed)]
            self.times = [(w.start_s, max(w.start_s, w.end_s)) for _, w in timed]

    def at(self, character: int, *, end: bool = False) -> float:
        """When this character begins, or when the one before it ends."""
        if end:
            i = bisect_right(self.starts, character - 0.5) - 1
        else:
            i = min(bisect_right(self.starts, character) - 1, len(self.times) - 1)
        (start_s, end_s), left, right = self.times[i], self.starts[i], self.starts[i + 1]
        share = (character - left) / max(right - left, 1.0)
        # rounding must neither lead out of the word, where the next one begins, nor end before it ends
        at_s = start_s + share * (end_s - start_s) if share < 1 else end_s
        return min(max(at_s, self.start_s), end_s, self.end_s)

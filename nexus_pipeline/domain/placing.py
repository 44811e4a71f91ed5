"""Where a span of one transcript lies in another one of the same sound: the words of a transcript, and their times.

Two engines hear the same words at slightly different seconds and cut them into other segments. So time says where to
look, and the words that are known to have been said there say where exactly it begins and ends.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from rapidfuzz.distance import Indel

from nexus_pipeline.domain.sentences import UNSPACED, Clock
from nexus_pipeline.domain.timeline import Segment, Span

NEAR_S = 1.0
"""Engines disagree by so much about when a word was said, at most; a judgement, not measured."""
EDGE_S = 0.25
"""A word so near to an end of a span may be its neighbour's."""

ALIKE = 0.5
"""Of two words half of the letters or more are the same: one of them is misheard."""
KNOWN = 0.7
"""Words beside a span are of it if so much of what was said in it, at most, is another word or not heard."""

_PIECE = re.compile(rf"{UNSPACED.pattern}|(?:(?!{UNSPACED.pattern})\S)+")


@dataclass(frozen=True, slots=True)
class Token:
    """A word as it is written, or one character of a script without spaces."""

    text: str
    glued: bool = False
    """No space stands before it."""
    start_s: float = 0.0
    end_s: float = 0.0
    timed: bool = False
    """An engine has timed it; else its seconds are its share of the segment's letters."""
    n: int = 0
    """The place of its segment."""
    at: int = 0
    """Letters of its segment before it."""

    @property
    def key(self) -> str:
        """By which words are the same however they are written."""
        letters = "".join(one for one in self.text.casefold() if one.isalnum())
        return letters or self.text

    @property
    def middle_s(self) -> float:
        """Between its start and its end."""
        return (self.start_s + self.end_s) / 2


def spelled(segment: Segment) -> bool:
    """Whether its words are known by time: they spell its text."""
    letters = "".join("".join(word.text.split()) for word in segment.words)
    return bool(segment.words) and letters == "".join(segment.text.split())


def tokens(segment: Segment, n: int = 0) -> list[Token]:
    """A segment's words, in order, with their seconds."""
    clock, timed, at, told = Clock(segment), spelled(segment), 0, []
    for piece in pieces(segment.text):
        end = at + len(piece.text)
        start_s = clock.at(at)
        end_s = max(start_s, clock.at(end, end=True))
        told.append(Token(piece.text, piece.glued, start_s, end_s, timed, n, at))
        at = end
    return told


def pieces(text: str) -> list[Token]:
    """Words without times."""
    found = _PIECE.finditer(text)
    return [Token(m.group(), m.start() > 0 and not text[m.start() - 1].isspace()) for m in found]


def near(segments: Sequence[Segment], span: Span) -> list[Token]:
    """All words that may lie in a span: of segments that are not far from it."""
    start_s, end_s = span[0] - NEAR_S, span[1] + NEAR_S
    there = [n for n, s in enumerate(segments) if s.text and s.start_s <= end_s and start_s <= s.end_s]
    return [token for n in there for token in tokens(segments[n], n)]


# ---------------------------------------------------------------- the place


def place(heard: Sequence[Token], span: Span, told: Sequence[Sequence[Token]]) -> tuple[int, int]:
    """From which to which of these words a span reaches; an empty range where nothing was heard in it.

    `told`: what is known to be said in it, in one way or in several; the one that fits best counts.
    """
    keys = [token.key for token in heard]
    known = [[token.key for token in one] for one in told if one]
    there = (found for one in known for found in _found(keys, one))
    word_for_word = [found for found in there if _mostly_in(heard[slice(*found)], span, EDGE_S)]
    if word_for_word:
        # the longer of two: what is known in one way may hold what is known in another
        return min(word_for_word, key=lambda found: (found[0] - found[1], _off(heard[slice(*found)], span)))
    if not known:
        inside = [i for i, token in enumerate(heard) if span[0] <= token.middle_s <= span[1]]
        return (inside[0], inside[-1] + 1) if inside else (0, 0)
    costs = [_Cost.of(token, span) for token in heard]
    unlike, found = min(_best(keys, costs, one) for one in known)
    # a word beside a span in which nothing was heard is not what is left of it
    return found if unlike <= KNOWN or _mostly_in(heard[slice(*found)], span, 0.0) else (0, 0)


def _found(keys: Sequence[str], told: Sequence[str]) -> list[tuple[int, int]]:
    """Where these words stand, one after the other."""
    starts = range(len(keys) - len(told) + 1)
    return [(i, i + len(told)) for i in starts if keys[i] == told[0] and keys[i : i + len(told)] == told]


def _mostly_in(some: Sequence[Token], span: Span, beside_s: float) -> bool:
    """Whether half of the words or more may lie in the span or beside it: of what is not timed nobody knows."""
    may = sum(not t.timed or span[0] - beside_s <= t.middle_s <= span[1] + beside_s for t in some)
    return 2 * may >= len(some)


def _off(some: Sequence[Token], span: Span) -> float:
    """By how many seconds it lies elsewhere."""
    return abs(some[0].start_s - span[0]) + abs(some[-1].end_s - span[1])


@dataclass(frozen=True, slots=True)
class _Cost:
    """What it costs to say of a heard word that ...; a word that was said and not heard costs 1."""

    left_out: float
    """it lies outside of the span,"""
    extra: float
    """it lies in the span and none of the known words is it,"""
    taken: float
    """it lies in the span and is one of them,"""
    unlike: float
    """and it is quite another word; one that is only heard otherwise costs at most ALIKE."""

    @classmethod
    def of(cls, token: Token, span: Span) -> "_Cost":
        """By its time, as far as that is known."""
        depth_s = min(token.middle_s - span[0], span[1] - token.middle_s)
        deep = depth_s >= min(EDGE_S, (span[1] - span[0]) / 4)
        if not token.timed:
            return cls(0.3, 0.2, 0.0, 0.9) if depth_s >= 0 else cls(0.0, 0.6, min(-0.02 * depth_s, 0.5), 2.0)
        if depth_s < 0:
            return cls(0.0, 1.5, 0.1 - depth_s if -depth_s <= NEAR_S else 9.0, 2.0)
        return cls(1.0, 0.5, 0.0, 0.9) if deep else cls(0.0, 0.5, 0.0, 2.0)


def _best(heard: Sequence[str], costs: Sequence[_Cost], told: Sequence[str]) -> tuple[float, tuple[int, int]]:
    """The range of the heard words that is most like what was told, and how unlike it is (Sellers' algorithm)."""
    outside = [0.0, *accumulate(cost.left_out for cost in costs)]
    row: list[tuple[float, int]] = [(before, i) for i, before in enumerate(outside)]
    for i, cost in enumerate(costs):
        row[i + 1] = min(row[i + 1], (row[i][0] + cost.extra, row[i][1]))
    for word in told:
        last, row = row, [(row[0][0] + 1.0, row[0][1])]
        for i, cost in enumerate(costs):
            unlike = 0.0 if word == heard[i] else Indel.normalized_distance(word, heard[i])
            other = unlike if unlike < ALIKE else cost.unlike
            row.append(
                min(
                    (last[i][0] + cost.taken + other, last[i][1]),
                    (row[i][0] + cost.extra, row[i][1]),
                    (last[i + 1][0] + 1.0, last[i + 1][1]),
                )
            )
    totals = [(cost + outside[-1] - outside[i], (start, i)) for i, (cost, start) in enumerate(row)]
    best, found = min(totals)
    return best / len(told), found

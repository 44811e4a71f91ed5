"""A ranking as people read it: moments before summaries, neighbours as one, the hits of an item together. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from nexus_pipeline.archive.facts import Facts
from nexus_pipeline.archive.snapshots import Numbers

TOGETHER = 3
"""Passages of one hit at most: some 180 words, a minute."""
NEAR_RANKS = 10
"""A summary gives way to a moment of its item that stands at most so many places behind it."""
SHARE = 0.92
"""A neighbour belongs to a hit whose score is at least so much of the best one's. On meetings this costs no hit@1 and a
point of hit@5 against hits of one passage; at 0.85 it costs a point of each, at 0.5 hits are three times as long."""
PAUSE_S = 6.0
"""Behind a longer silence something new begins (domain.sentences)."""
SHOWN = 3
"""Hits of a group at most."""


Together = tuple[int, ...]
"""A hit: the numbers of one passage, or of several that follow one another."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is shown of one item: its hits, and how many more there are."""

    hits: tuple[Together, ...]
    more: int


def moments_first(ranking: Sequence[int], facts: Facts) -> list[int]:
    """The ranking, where an item's summary stands right behind its best moment, where that is found about as well."""
    is_summary, items = facts.summaries, facts.rows["item_id"]
    if not is_summary[list(ranking)].any():
        return list(ranking)
    best: dict[int, int] = {}
    for rank, n in enumerate(ranking):
        if not is_summary[n]:
            best.setdefault(int(items[n]), rank)

    def at(pair: tuple[int, int]) -> tuple[int, int, int]:
        rank, n = pair
        moment = best.get(int(items[n]), rank)
        return (moment, 1, rank) if is_summary[n] and rank < moment <= rank + NEAR_RANKS else (rank, 0, rank)

    return [n for _, n in sorted(enumerate(ranking), key=at)]


def alone(ranking: Sequence[int]) -> list[Together]:
    """Each passage as a hit of its own."""
    return [(n,) for n in ranking]


def merged(ranking: Sequence[int], scores: Numbers, facts: Facts) -> list[Together]:
    """Each passage with those before and behind it that are found nearly as well; in order of the best of each.

    A hit so begins where the thought begins.
    """
    beside = facts.beside(-1).tolist(), facts.beside(1).tolist()
    starts, ends, points = facts.rows["start_s"].tolist(), facts.rows["end_s"].tolist(), scores.tolist()
    free = dict.fromkeys(ranking)
    hits = []
    for n in ranking:
        if n not in free:
            continue
        del free[n]
        run = [n]
        for side in (0, 1):
            while len(run) < TOGETHER:
                end = run[-side]
                other = beside[side][end]
                if other not in free or points[other] < SHARE * points[n] or points[n] <= 0:
                    break
                first, second = (other, end) if side == 0 else (end, other)
                if starts[second] - ends[first] > PAUSE_S:
                    break
                del free[other]
                run.insert(len(run) * side, other)
        hits.append(tuple(run))
    return hits


def grouped(hits: Sequence[Together], facts: Facts) -> list[Gathered]:
    """The hits of each item together, in the order of the best of each."""
    by_item: dict[int, list[Together]] = {}
    for hit in hits:
        by_item.setdefault(int(facts.rows["item_id"][hit[0]]), []).append(hit)
    return [Gathered(tuple(own[:SHOWN]), max(len(own) - SHOWN, 0)) for own in by_item.values()]


def joined(texts: Sequence[str]) -> tuple[str, list[int]]:
    """Texts that follow one another as one, and where each of them begins in it.

    What one ends with and the next one begins with again is said once: passages may overlap.
    """
    text, starts = texts[0], [0]
    for more in texts[1:]:
        twice = _twice(text, more)
        if twice:
            starts.append(len(text) - twice)
            text += more[twice:]
        else:
            starts.append(len(text) + 1)
            text = f"{text} {more}"
    return text, starts


def _twice(text: str, more: str) -> int:
    """Characters at the end of one that the other begins with; whole words only, and not just one."""
    ends = [n for n, letter in enumerate(more) if letter == " "][1:]
    return next((n for n in [len(more), *reversed(ends)] if n and text.endswith(more[:n])), 0)

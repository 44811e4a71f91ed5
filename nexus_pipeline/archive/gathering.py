"""A ranking as people read it: moments before summaries, neighbours as one, the hits of an item together. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nexus_pipeline.archive.schema import SUMMARY, neighbours, place

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


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is shown of one item: its hits, each of one or more passages, and how many more there are."""

    item_id: str
    hits: tuple[tuple[str, ...], ...]
    more: int


def moments_first(ranking: Sequence[str]) -> list[str]:
    """The ranking, where an item's summary stands right behind its best moment, where that is found about as well."""
    best: dict[str, int] = {}
    for rank, id_ in enumerate(ranking):
        item_id, kind = place(id_)
        if kind != SUMMARY:
            best.setdefault(item_id, rank)

    def at(pair: tuple[int, str]) -> tuple[int, int, int]:
        rank, id_ = pair
        item_id, kind = place(id_)
        moment = best.get(item_id, rank)
        return (moment, 1, rank) if kind == SUMMARY and rank < moment <= rank + NEAR_RANKS else (rank, 0, rank)

    return [id_ for _, id_ in sorted(enumerate(ranking), key=at)]


def alone(ranking: Sequence[str]) -> list[tuple[str, ...]]:
    """Each passage as a hit of its own."""
    return [(id_,) for id_ in ranking]


def merged(
    ranking: Sequence[str], scores: Mapping[str, float], times: Mapping[str, tuple[float, float]]
) -> list[tuple[str, ...]]:
    """Each passage with those before and behind it that are found nearly as well; in order of the best of each.

    A hit so begins where the thought begins. `times`: from which to which second, of all in the ranking.
    """
    free = dict.fromkeys(ranking)
    hits = []
    for id_ in ranking:
        if id_ not in free:
            continue
        del free[id_]
        run = [id_]
        for side in (0, 1):
            while len(run) < TOGETHER:
                end = run[-side]
                other = neighbours(end)[side]
                if other not in free or scores[other] < SHARE * scores[id_] or scores[id_] <= 0:
                    break
                first, second = (times[other], times[end]) if side == 0 else (times[end], times[other])
                if second[0] - first[1] > PAUSE_S:
                    break
                del free[other]
                run.insert(len(run) * side, other)
        hits.append(tuple(run))
    return hits


def grouped(hits: Sequence[tuple[str, ...]]) -> list[Gathered]:
    """The hits of each item together, in the order of the best of each."""
    by_item: dict[str, list[tuple[str, ...]]] = {}
    for hit in hits:
        by_item.setdefault(place(hit[0])[0], []).append(hit)
    return [Gathered(item_id, tuple(own[:SHOWN]), max(len(own) - SHOWN, 0)) for item_id, own in by_item.items()]


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

"""Two rankings made one: by words and by meaning.

Each side's scores are scaled to (s - mean) / (best - mean) over the whole archive and weighted alike, which finds
more than ranks alone (docs/adr/0002). A passage gains when the asked-for person speaks in it and when its neighbours
are found, too; a direct neighbour of a passage that stands above moves behind those that tell something new.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nexus_pipeline.archive.schema import neighbours
from nexus_pipeline.archive.words import spoken

WEIGHT_WORDS = 0.5
NEIGHBOUR_GAIN = 0.1
"""Share of each neighbour's score that a passage gains."""
SPEAKER_GAIN = 0.15
"""What a passage gains that the named person speaks."""
NEAR_S = 60.0
"""Passages are compared with those of the same minutes only: a long item has thousands."""

Scores = Mapping[str, float]


def scaled(scores: Scores, mean: float) -> dict[str, float]:
    """1 for the best, 0 for an average passage of the archive; those below it are negative."""
    best = max(scores.values(), default=0.0)
    if best <= mean:
        return dict.fromkeys(scores, 0.0)
    return {id_: (score - mean) / (best - mean) for id_, score in scores.items()}


def fused(words: Scores, meaning: Scores, speakers: Mapping[str, str | None], asked: Sequence[str]) -> dict[str, float]:
    """Scores of all passages that either side found; both sides scaled. What a side did not find counts as average."""
    named = {w.lower() for w in asked}
    gains = {speaker: SPEAKER_GAIN * _is_named(speaker, named) for speaker in {None, *speakers.values()}}
    own = {
        id_: WEIGHT_WORDS * words.get(id_, 0.0) + (1 - WEIGHT_WORDS) * meaning.get(id_, 0.0) + gains[speakers.get(id_)]
        for id_ in {**words, **meaning}
    }
    found = dict(own)
    for id_, score in own.items():
        if score > 0:
            for neighbour in neighbours(id_):
                if neighbour in found:
                    found[neighbour] += NEIGHBOUR_GAIN * score
    return found


def ranked(scores: Scores) -> list[str]:
    """Best first; equal ones by id, so that the order is always the same."""
    return sorted(scores, key=lambda id_: (-scores[id_], id_))


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a passage stands, and in which language."""

    item_id: str
    kind: str
    language: str | None
    start_s: float
    end_s: float

    def says_again(self, other: "Moment") -> bool:
        """Whether the other one is the same moment in another language: half of the shorter one at least."""
        if (self.item_id, self.kind) != (other.item_id, other.kind) or self.language == other.language:
            return False
        shared_s = min(self.end_s, other.end_s) - max(self.start_s, other.start_s)
        return 2 * shared_s >= min(self.end_s - self.start_s, other.end_s - other.start_s) and shared_s >= 0


def once(ranking: Iterable[str], moments: Mapping[str, Moment]) -> list[str]:
    """The ranking without what says a better one's moment again, in another language."""
    above: dict[tuple[str, int], list[Moment]] = {}
    kept = []
    for id_ in ranking:
        own = moments[id_]
        near = [(own.item_id, n) for n in range(int(own.start_s // NEAR_S), int(own.end_s // NEAR_S) + 1)]
        if not any(own.says_again(one) for part in near for one in above.get(part, ())):
            kept.append(id_)
            for part in near:
                above.setdefault(part, []).append(own)
    return kept


def spread(ranking: Iterable[str], at_most: int) -> list[str]:
    """The first so many when direct neighbours of what stands above go behind all others, in their order."""
    first: dict[str, None] = {}
    later: list[str] = []
    for id_ in ranking:
        if len(first) == at_most:
            break
        if any(n in first for n in neighbours(id_)):
            later.append(id_)
        else:
            first[id_] = None
    return [*first, *later][:at_most]


def _is_named(speaker: str | None, named: set[str]) -> bool:
    names = {w.lower() for w in spoken(speaker or "")}
    return bool(names) and 2 * len(names & named) >= len(names)

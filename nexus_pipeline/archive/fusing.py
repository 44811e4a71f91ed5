"""Two rankings made one: by words and by meaning.

Each side's scores are scaled to (s - mean) / (best - mean) and weighted alike, which finds more than ranks alone
(docs/adr/0002). A passage gains when the person whom the question names speaks in it, when it lies where the question
says, when its item is named by its title or came on the days that are told, when it has more of the question's words
(covering.py), and when its neighbours are found, too; a direct neighbour of a passage that stands above moves behind
those that tell something new. docs/search.md says what each part brings.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from nexus_pipeline.archive.facts import Facts, Order
from nexus_pipeline.archive.snapshots import Numbers
from nexus_pipeline.domain.days import Days
from nexus_pipeline.domain.questions import named, when, whole

WEIGHT_WORDS = 0.5
NEIGHBOUR_GAIN = 0.3
"""Share of each neighbour's score that a passage gains."""
SETTLED = 300
"""So many of the best gain from their neighbours: what stands further behind would not come near the first pages."""
SPEAKER_GAIN = 0.15
"""What a passage gains in which the named person speaks most."""
TIME_GAIN = 0.3
"""What a passage gains that lies where the question says: `around minute 12`."""
TITLE_GAIN = 0.15
"""What a passage gains whose item is named by its title: `in the budget meeting`."""
DAYS_GAIN = 0.3
"""What a passage gains whose item came when the question says: `last week`; less, the more others came then, too."""
SUMMARY_GAIN = 0.15
"""What a summary gains where a question asks for one, and loses where it asks for a moment."""
NEAR_S = 60.0
"""Passages are compared with those of the same minutes only: a long item has thousands."""

K = TypeVar("K")
_NONE: Mapping[str, float] = {}


def scaled(scores: Numbers, mean: float) -> Numbers:
    """1 for the best, 0 for an average passage of the archive; those below it are negative.

    A passage that this side did not find (nan) counts as average.
    """
    best = np.nanmax(scores, initial=mean)
    found = (scores - mean) / (best - mean) if best > mean else np.zeros(len(scores))
    return np.nan_to_num(found, nan=0.0)


def fused(
    question: str,
    words: Numbers,
    meaning: Numbers,
    facts: Facts,
    *,
    days: Sequence[Days] = (),
    entitled: Mapping[str, float] = _NONE,
) -> Numbers:
    """A score for each passage that either side found, of the scaled scores of both.

    Args:
        question: As it was asked.
        words: Scaled scores, shape (len(facts),).
        meaning: The same.
        facts: Of these passages.
        days: On which items came, as the question tells; none where it tells none.
        entitled: How surely it names items by their titles.
    """
    if not len(facts):
        return np.empty(0)
    own = WEIGHT_WORDS * words + (1 - WEIGHT_WORDS) * meaning
    own += SPEAKER_GAIN * _named(question, facts) + TIME_GAIN * _then(question, facts)
    if days:
        came = facts.came(days)
        own += DAYS_GAIN * (1 - came.mean()) * came
    if entitled:
        own += TITLE_GAIN * facts.of_items(entitled)
    own += np.where(facts.summaries, SUMMARY_GAIN if whole(question) else -SUMMARY_GAIN, 0.0)
    return own


def around(scores: Numbers, facts: Facts) -> Numbers:
    """The same, where the best have a share of what their neighbours have; those below average give nothing."""
    found, some = scores.copy(), ranked(scores, facts)[:SETTLED]
    for by in (-1, 1):
        beside = facts.beside(by)[some]
        found[some] += np.where(beside < 0, 0.0, NEIGHBOUR_GAIN * np.maximum(scores[beside], 0.0))
    return found


def ranked(scores: Numbers, facts: Facts) -> Order:
    """The numbers of all passages, best first; equal ones always in the same order."""
    return np.lexsort((facts.ties, -scores))


def _named(question: str, facts: Facts) -> Numbers:
    """How surely the question names each passage's speaker."""
    numbers, which = np.unique(facts.rows["speaker"], return_inverse=True)
    labels = [facts.texts["speaker"].all[n] for n in numbers.tolist()]
    sure = named(question, [label for label in labels if label is not None])
    by_label = np.array([0.0 if label is None else sure.get(label, 0.0) for label in labels])
    found: Numbers = by_label[which]
    return found


def _then(question: str, facts: Facts) -> Numbers:
    """1 for passages that lie where the question says."""
    asked = when(question)
    if asked is None:
        return np.zeros(len(facts))
    found: Numbers = ((facts.rows["start_s"] < asked.end_s) & (facts.rows["end_s"] > asked.start_s)).astype(float)
    return found


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


def once(ranking: Iterable[K], moments: Mapping[K, Moment]) -> list[K]:
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


def spread(ranking: Sequence[int], facts: Facts) -> list[int]:
    """Direct neighbours of what stands above go behind all others, in their order."""
    before, after = facts.beside(-1).tolist(), facts.beside(1).tolist()
    first: dict[int, None] = {}
    later = []
    for n in ranking:
        if before[n] in first or after[n] in first:
            later.append(n)
        else:
            first[n] = None
    return [*first, *later]

"""Two rankings made one: by words and by meaning.

Each side's scores are scaled to (s - mean) / (best - mean) and weighted alike, which finds more than ranks alone
(docs/adr/0002). A passage gains when the person whom the question names speaks in it, when it lies where the question
says, when it has more of the question's words (covering.py), and when its neighbours are found, too; a direct neighbour
of a passage that stands above moves behind those that tell something new. docs/search.md says what each part brings.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nexus_pipeline.archive.schema import neighbours
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
SUMMARY_GAIN = 0.15
"""What a summary gains where a question asks for one, and loses where it asks for a moment."""
NEAR_S = 60.0
"""Passages are compared with those of the same minutes only: a long item has thousands."""

Scores = Mapping[str, float]
Numbers = npt.NDArray[np.float64]


def scaled(scores: Scores, mean: float) -> dict[str, float]:
    """1 for the best, 0 for an average passage of the archive; those below it are negative."""
    best = max(scores.values(), default=0.0)
    if best <= mean:
        return dict.fromkeys(scores, 0.0)
    return {id_: (score - mean) / (best - mean) for id_, score in scores.items()}


def fused(question: str, words: Scores, meaning: Scores, facts: pa.Table) -> dict[str, float]:
    """Scores of all passages that either side found; both sides scaled. What a side did not find counts as average.

    Args:
        question: As it was asked.
        words: Scaled scores by the passages' ids.
        meaning: The same.
        facts: A row for each of `ids(words, meaning)`, in their order: kind, speaker, start_s, end_s.
    """
    found = ids(words, meaning)
    if not found:
        return {}
    own = WEIGHT_WORDS * _of(words, found) + (1 - WEIGHT_WORDS) * _of(meaning, found)
    own += SPEAKER_GAIN * _named(question, facts["speaker"]) + TIME_GAIN * _then(question, facts)
    own += SUMMARY_GAIN * _kind(question, facts["kind"])
    return dict(zip(found, own.tolist(), strict=True))


def around(scores: Scores) -> dict[str, float]:
    """The same, where the best have a share of what their neighbours have; those below average give nothing."""
    found = dict(scores)
    for id_ in best(scores, SETTLED):
        found[id_] += NEIGHBOUR_GAIN * sum(max(scores.get(one, 0.0), 0.0) for one in neighbours(id_))
    return found


def best(scores: Scores, at_most: int) -> list[str]:
    """The best so many, in their order; equal ones by id."""
    return heapq.nsmallest(at_most, scores, key=lambda id_: (-scores[id_], id_))


def ids(words: Scores, meaning: Scores) -> list[str]:
    """Of all that either side found."""
    return list({**words, **meaning})


def _of(scores: Scores, found: Sequence[str]) -> Numbers:
    return np.array([scores.get(id_, 0.0) for id_ in found])


def _named(question: str, speakers: pa.ChunkedArray) -> Numbers:
    """How surely the question names each passage's speaker."""
    coded = speakers.combine_chunks().dictionary_encode()
    labels = coded.dictionary.to_pylist()
    sure = named(question, labels)
    by_code = np.array([*(sure.get(label, 0.0) for label in labels), 0.0])
    found: Numbers = by_code[coded.indices.fill_null(len(labels)).to_numpy()]
    return found


def _then(question: str, facts: pa.Table) -> Numbers:
    """1 for passages that lie where the question says."""
    asked = when(question)
    if asked is None:
        return np.zeros(facts.num_rows)
    starts, ends = facts["start_s"].to_numpy(), facts["end_s"].to_numpy()
    found: Numbers = ((starts < asked.end_s) & (ends > asked.start_s)).astype(float)
    return found


def _kind(question: str, kinds: pa.ChunkedArray) -> Numbers:
    """1 for summaries where one is asked for, -1 where a moment is; 0 for all else."""
    summaries: Numbers = pc.equal(kinds, "summary").to_numpy().astype(float)
    return summaries if whole(question) else -summaries


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

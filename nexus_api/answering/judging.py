"""Whether passages answer a question: for engines that only quote, which always find something that comes near.

A question that the archive cannot answer is near it in most of its words, and lacks the one on which it turns. So two
things are looked at: how near the nearest sentence comes by meaning, and how much of what the question
is about stands in the passages that were found, rare words counting more. Who is named and what an item is called are
left out of that: a person whom the archive knows may be asked for anything.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from nexus_api.answering.proving import same, words
from nexus_api.answering.retrieving import Passage
from nexus_pipeline.domain.asking import content
from nexus_pipeline.domain.sentences import sentences
from nexus_pipeline.domain.timeline import Segment

if TYPE_CHECKING:
    from nexus_pipeline.ports import Embedder

CALIBRATED = "minilm"
"""The embedder whose cosines were looked at; with another one words decide alone."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What retrieval says for an answer, each 0 to 1."""

    sentence: float
    """Cosine of the question, or of its subject alone, to the nearest sentence."""
    together: float
    """Of the question's subject, by the rarity of its words, what stands in the passages together."""
    unknown: float
    """What stands in no passage of the scope at all."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A logistic scale of evidence: positive is an answer. Fitted by `bench.refusals --fit`, which says how."""

    bias: float
    weights: tuple[float, float, float]

    def score(self, evidence: Evidence) -> float:
        """Log odds that the passages answer."""
        odds: float = sum(w * x for w, x in zip(self.weights, astuple(evidence), strict=True))
        return self.bias + odds


BY_BOTH = Scale(-9.04, (14.51, 2.88, 0.0))
"""Fitted on every second question of the development set of search. Of 100 random halves, the other half each time:
94 % of the questions without an answer are refused, 89 % of those with one answered (+-6 points). The nearest passage,
what stands in one passage alone and unknown words added nothing on the halves that were not fitted."""
BY_WORDS = Scale(-1.16, (0.0, 3.5, -7.06))
"""The same without vectors: 81 % and 85 %."""


def answers(evidence: Evidence, *, by_meaning: bool) -> bool:
    """Whether an answer is likelier than none."""
    return (BY_BOTH if by_meaning else BY_WORDS).score(evidence) >= 0


def evidence(
    question: str, passages: Sequence[Passage], often: Callable[[str], int], size: int, embedder: "Embedder | None"
) -> Evidence:
    """What speaks for an answer. `often`: in how many passages a word stands; `size`: of how many."""
    subject = _subject(question, passages)
    counts = {word: often(word) for word in subject}
    rarity = {word: math.log(1 + max(size, n) / (n + 0.5)) for word, n in counts.items()}
    told = [word for p in passages for word in words(f"{p.names} {p.text}")]
    return Evidence(
        sentence=_nearest(question, subject, passages, embedder) if embedder else 0.0,
        together=_share(subject, rarity, told),
        unknown=1.0 - _share(subject, rarity, [w for w, n in counts.items() if n]),
    )


def _subject(question: str, passages: Sequence[Passage]) -> list[str]:
    """What is asked about, without whom and where."""
    wanted = content(question)
    known = {word for p in passages for word in words(p.names)}
    return [w for w in wanted if not any(same(w, other) for other in known)] or wanted


def _share(subject: Sequence[str], rarity: Mapping[str, float], told: Sequence[str]) -> float:
    whole = sum(rarity[word] for word in subject)
    there = set(told)
    held = (rarity[w] for w in subject if w in there or any(same(w, other) for other in there))
    return sum(held) / whole if whole else 0.0


def _nearest(question: str, subject: Sequence[str], passages: Sequence[Passage], embedder: "Embedder") -> float:
    told = [s.text for p in passages for s in sentences([Segment(0, 0.0, 0.0, p.text)])]
    if not told:
        return 0.0
    vectors = embedder.embed([question, " ".join(subject), *told])
    return float((vectors[2:] @ vectors[:2].T).max())

"""Whether passages answer a question: for engines that only quote, which always find something that comes near.

A question that the archive cannot answer is near it in most of its words, and lacks the one on which it turns. So two
things are looked at: how near the nearest sentence comes by meaning, and how much of what the question is about stands
in the passages that were found, rare words counting more. Left out of that are who is asked for it, what an item is
called, on which days it came, and what the question tells in passing (`when discussing the budget`): whoever the
archive knows may be asked for anything.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nexus_api.answering.proving import same, words
from nexus_api.answering.retrieving import Passage
from nexus_pipeline.domain.asking import subject
from nexus_pipeline.domain.dates import dated
from nexus_pipeline.domain.questions import main
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
    """Cosine of the question to the nearest sentence."""
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


BY_BOTH = Scale(-7.06, (10.2, 3.68, 0.0))
"""Fitted on every second question of the development set of search. Of 100 random halves, the other half each time:
94 % of the questions without an answer are refused, 91 % of those with one answered (+-4 points). The nearest passage,
the subject's own vector, what stands in one passage alone and unknown words added nothing on the other halves."""
BY_WORDS = Scale(-1.54, (0.0, 3.39, -4.08))
"""The same without vectors: 93 % and 84 % of the half that it was not fitted on."""


def answers(evidence: Evidence, *, by_meaning: bool) -> bool:
    """Whether an answer is likelier than none."""
    return (BY_BOTH if by_meaning else BY_WORDS).score(evidence) >= 0


def evidence(
    question: str, passages: Sequence[Passage], often: Callable[[str], int], size: int, embedder: "Embedder | None"
) -> Evidence:
    """What speaks for an answer. `often`: in how many passages a word stands; `size`: of how many."""
    about = _about(question, passages)
    counts = {word: often(word) for word in about}
    rarity = {word: math.log(1 + max(size, n) / (n + 0.5)) for word, n in counts.items()}
    told = [word for p in passages for word in words(f"{p.names} {p.text}")]
    return Evidence(
        sentence=_nearest(question, passages, embedder) if embedder else 0.0,
        together=_share(about, rarity, told),
        unknown=1.0 - _share(about, rarity, [w for w, n in counts.items() if n]),
    )


def _about(question: str, passages: Sequence[Passage]) -> list[str]:
    """What is asked about, without whom, when and where."""
    wanted = subject(main(dated(question, datetime.now(UTC).date()).undated))
    known = {word for p in passages for word in words(p.names)}
    return [w for w in wanted if not any(same(w, other) for other in known)] or wanted


def _share(about: Sequence[str], rarity: Mapping[str, float], told: Sequence[str]) -> float:
    whole = sum(rarity[word] for word in about)
    there = set(told)
    held = (rarity[w] for w in about if w in there or any(same(w, other) for other in there))
    return sum(held) / whole if whole else 0.0


def _nearest(question: str, passages: Sequence[Passage], embedder: "Embedder") -> float:
    told = [s.text for p in passages for s in sentences([Segment(0, 0.0, 0.0, p.text)])]
    if not told:
        return 0.0
    vectors = embedder.embed([question, *told])
    return float((vectors[1:] @ vectors[0]).max())

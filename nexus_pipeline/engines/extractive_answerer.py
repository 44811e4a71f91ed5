"""Answers without a key or a download: the sentences of the passages that come nearest to the question, as they are."""

from collections.abc import Iterator, Sequence

import numpy as np

from nexus_pipeline.domain.asking import alone, content
from nexus_pipeline.domain.errors import Cancelled as Stopped
from nexus_pipeline.domain.sentences import sentences
from nexus_pipeline.domain.timeline import Segment
from nexus_pipeline.engines.over_embedder import OverEmbedder
from nexus_pipeline.ports import Cancelled, Vectors

MOST = 3
"""Sentences of an answer."""
NEAR = 0.3
"""Cosine of a sentence to the question, or to its subject, below which it does not answer it."""
BEHIND = 0.15
"""A sentence that is so much further away than the nearest one is left out, too."""
REPLY = 0.8
"""What is said right behind a question is so near as the question is, times this."""
NOD = 4
"""A sentence of fewer words is no reply: `Yes, sure.`"""
ALIKE = 0.9
"""Cosine of two sentences that say the same: passages of copies and excerpts do."""


class ExtractiveAnswerer(OverEmbedder):
    """Writes nothing of its own; every sentence has its passage's number behind it."""

    name = "extractive"
    writes = False

    def answer(self, question: str, passages: Sequence[str], cancelled: Cancelled) -> Iterator[str]:
        """The sentences nearest to the question or to its subject, the nearest first; nothing where none is near.

        Raises ModelMissing, Cancelled.
        """
        told = [(text, n) for n, passage in enumerate(passages, 1) for text in _sentences(passage)]
        if not told or not question.strip():
            return
        vectors = self._embedder().embed([question, " ".join(content(question)), *(text for text, _ in told)])
        near = _answering((vectors[2:] @ vectors[:2].T).max(axis=1), told)
        floor = max(NEAR, float(near.max()) - BEHIND)
        chosen: list[int] = []
        for at in (int(i) for i in np.argsort(-near, kind="stable")):
            if near[at] < floor or len(chosen) == MOST:
                break
            if all(float(vectors[2 + at] @ vectors[2 + other]) < ALIKE for other in chosen):
                chosen.append(at)
        for place, at in enumerate(chosen):
            if cancelled():
                raise Stopped("stopped while answering")
            text, n = told[at]
            yield f"{' ' if place else ''}{text} [{n}]"

    def alone(self, question: str, said: Sequence[tuple[str, str]], cancelled: Cancelled) -> str:  # noqa: ARG002 - it takes no time
        """The words of earlier questions behind one that leans on them."""
        return alone(question, [earlier for earlier, _ in said])


def _answering(near: Vectors, told: Sequence[tuple[str, int]]) -> Vectors:
    """How near each sentence is, where what somebody replied is nearly as near as what was asked; a question is not."""
    found = near.copy()
    for at, (text, n) in enumerate(told):
        if text.endswith("?"):
            found[at] = 0.0
            reply = next((i for i in range(at + 1, len(told)) if told[i][1] == n and _says(told[i][0])), None)
            if reply is not None:
                found[reply] = max(found[reply], REPLY * near[at])
    return found


def _says(text: str) -> bool:
    """Whether it is more than a nod."""
    return not text.endswith("?") and len(text.split()) >= NOD


def _sentences(passage: str) -> Iterator[str]:
    return (one.text for one in sentences([Segment(0, 0.0, 0.0, passage)]) if any(c.isalnum() for c in one.text))

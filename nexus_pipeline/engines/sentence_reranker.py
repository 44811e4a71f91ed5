"""Passages graded without a key or a download: by the sentence of theirs that comes nearest to the question."""

from collections.abc import Sequence

import numpy as np

from nexus_pipeline.domain.errors import Cancelled as Stopped
from nexus_pipeline.domain.sentences import sentences
from nexus_pipeline.domain.timeline import Segment
from nexus_pipeline.engines.over_embedder import OverEmbedder
from nexus_pipeline.ports import Cancelled

LEAST_WORDS = 4
"""Shorter sentences (`Yeah, right.`) are near to much and say little."""


class SentenceReranker(OverEmbedder):
    """A passage of several thoughts is as near as its nearest one, which the passage's own vector blurs."""

    name = "sentences"
    depth = 10
    trust = 0.3

    def grade(self, question: str, passages: Sequence[str], cancelled: Cancelled) -> tuple[float, ...]:
        """The cosine of the nearest sentence; 0 for a passage without one. Raises ModelMissing, Cancelled."""
        if cancelled():
            raise Stopped("stopped while reading what was found")
        told = [(text, at) for at, passage in enumerate(passages) for text in _sentences(passage)]
        grades = np.zeros(len(passages))
        if told and question.strip():
            vectors = self._embedder().embed([question, *(text for text, _ in told)])
            np.maximum.at(grades, [at for _, at in told], vectors[1:] @ vectors[0])
        return tuple(float(grade) for grade in np.clip(grades, 0.0, 1.0))


def _sentences(passage: str) -> list[str]:
    found = [one.text for one in sentences([Segment(0, 0.0, 0.0, passage)])]
    return [text for text in found if len(text.split()) >= LEAST_WORDS] or found

"""Where one subject ends and another begins: drops of similarity between neighbouring sentences. Pure."""

from collections.abc import Sequence

import numpy as np

from nexus_pipeline.ports import Vectors

SHORTEST_ITEM_S = 300.0
"""Shorter items have no chapters."""
MOST = 15
"""Chapters of one item at most."""

_BLOCK = 6  # sentences on each side that are compared
_FEWEST = 3 * _BLOCK


def breaks(starts_s: Sequence[float], vectors: Vectors, ends_s: float) -> list[int]:
    """The sentences with which a new chapter begins (the first one's is not told); none for short items.

    As in TextTiling (Hearst 1997): at each gap the mean of the sentences before is compared with that of those after;
    a gap is a break when it lies deeper below its surroundings than the mean gap and a standard deviation.
    """
    count = len(starts_s)
    if ends_s < SHORTEST_ITEM_S or count < _FEWEST:
        return []
    gaps = range(_BLOCK // 2, count - _BLOCK // 2)
    near = np.array([_cosine(vectors[max(0, i - _BLOCK) : i], vectors[i : i + _BLOCK]) for i in gaps])
    reach = 2 * _BLOCK
    depth = np.array(
        [near[max(0, i - reach) : i + 1].max() + near[i : i + reach + 1].max() - 2 * near[i] for i in range(len(near))]
    )
    floor = depth.mean() + depth.std()
    shortest_s = max(60.0, ends_s / (2 * MOST))
    taken: list[int] = []
    for at in np.argsort(-depth, kind="stable"):
        i = gaps[int(at)]
        edges = [0.0, ends_s, *(starts_s[t] for t in taken)]
        if depth[at] <= floor or len(taken) == MOST - 1:
            break
        if all(abs(starts_s[i] - edge) >= shortest_s for edge in edges):
            taken.append(i)
    return sorted(taken)


def _cosine(before: Vectors, after: Vectors) -> float:
    a, b = before.mean(axis=0), after.mean(axis=0)
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))

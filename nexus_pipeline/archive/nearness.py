"""Items that say the like of another one: what an item says on the whole is the mean of its passages' vectors."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nexus_pipeline.archive.filters import one_of, quoted
from nexus_pipeline.archive.schema import VECTOR
from nexus_pipeline.archive.snapshots import NPROBES, Numbers
from nexus_pipeline.domain.search import Near

NEAREST = 400
"""Passages next to an item's mean whose items are looked at."""
CANDIDATES = 50
"""So many of those items are compared as a whole."""
ROWS = 20_000
"""Passages that are read for it at most: 30 MB of vectors."""
_DIGITS = 6


def near(table: Any, item_id: str, owner: str, limit: int) -> list[Near]:
    """The owner's other items, the most alike first; none for an item without passages."""
    own = _means(table, [item_id]).get(item_id)
    if own is None:
        return []
    search = table.search(own.astype(np.float32), vector_column_name=VECTOR).distance_type("cosine")
    if any(VECTOR in index.columns for index in table.list_indices()):
        search = search.nprobes(NPROBES).refine_factor(2)
    where = f"owner = {quoted(owner)} AND item_id <> {quoted(item_id)}"
    found = search.where(where, prefilter=True).limit(NEAREST).select(["item_id", "_distance"]).to_arrow()
    others = list(dict.fromkeys(found["item_id"].to_pylist()))[:CANDIDATES]
    # rows come in any order, and sums of them differ in their last digits
    alike = [Near(other, round(float(mean @ own), _DIGITS)) for other, mean in _means(table, others).items()]
    return sorted(alike, key=lambda one: one.rank)[:limit]


def _means(table: Any, item_ids: Sequence[str]) -> dict[str, Numbers]:
    """Of each item the mean of its vectors, as a unit vector; items without any, or whose mean is 0, are left out."""
    if not item_ids:
        return {}
    rows = table.search().where(one_of("item_id", item_ids)).select(["item_id", VECTOR]).limit(ROWS).to_arrow()
    if not rows.num_rows:
        return {}
    flat = rows[VECTOR].combine_chunks().flatten().to_numpy()
    vectors = flat.reshape(rows.num_rows, -1)
    of = np.array(rows["item_id"].to_pylist())
    sums = {str(item_id): vectors[of == item_id].sum(axis=0, dtype=np.float64) for item_id in np.unique(of)}
    return {item_id: total / length for item_id, total in sums.items() if (length := float(np.linalg.norm(total))) > 0}

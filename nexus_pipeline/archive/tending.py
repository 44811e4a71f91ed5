"""Care of a table: what keeps searches and commits as quick at a million passages as at a thousand.

docs/adr/0002-care-of-the-archive.md says why in this order. Readers go on meanwhile; versions younger than a minute
stay, because a reader may still be in one.
"""

import logging
from datetime import timedelta
from typing import Any

from lancedb.index import IvfRq

from nexus_pipeline.archive.schema import VECTOR, WORDS
from nexus_pipeline.archive.tables import retried

log = logging.getLogger(__name__)

COMMITS = 50
UNINDEXED = 1000
"""Rows that an index lacks: each thousand without words costs a search 11 ms of CPU or more."""
SOON = 250
"""So many are indexed by whoever wrote them (0.02 to 0.5 s of CPU, embedding them took seconds): care may be late."""
KEPT_FOR = timedelta(seconds=60)
WORDS_SEGMENT_ROWS = 20_000
"""From here on new rows go into a segment of their own: updating one rewrites it whole (9 s of CPU at 1M rows)."""
WORDS_SEGMENTS = 8
VECTOR_SEGMENTS = 5
"""So many are merged into one: each costs every search."""
VECTORS_FROM = 25_000
"""Below, comparing with every vector is exact and costs a search at most 75 ms of CPU."""
BITS = 2
"""Of an index of vectors, for each dimension: 12 MB at 100,000 passages. With one, 78 % of the ten nearest passages to
an English question are among the hundred best by the index; with two 99 %."""
CROWDED = 4
"""Partitions so many times fuller than when the index was trained want a new one; the vendor begins with 4,096."""
_TRAINED_ROWS = 4096
_ALL = 10_000


def unindexed(table: Any) -> int:
    """Rows that some index does not have yet."""
    there = table.list_indices()
    if not any(WORDS in index.columns for index in there):
        return int(table.count_rows())
    return max(int(index.num_unindexed_rows or 0) for index in there)


def without_words(table: Any) -> int:
    """Rows that the index of words does not have yet."""
    stats = table.index_stats(f"{WORDS}_idx")
    return int(table.count_rows() if stats is None else stats.num_unindexed_rows)


def catch_up(table: Any) -> int:
    """Index the words of new rows where there are more than a few; how many there were. Vectors wait for care."""
    new = without_words(table)
    if new <= SOON:
        return 0
    segments = _segments(table, WORDS)
    _index(table, WORDS, merging=0 if not segments or segments[-1] >= WORDS_SEGMENT_ROWS else 1)
    return new


def tend(table: Any, *, full: bool) -> dict[str, float]:
    """One round; numbers of what was done."""
    done = {"rows": float(table.count_rows()), "unindexed_rows": float(unindexed(table))}
    segments = _segments(table, WORDS)
    if not full and without_words(table) and segments and segments[-1] >= WORDS_SEGMENT_ROWS:
        _index(table, WORDS, merging=0)
        done["words_segment_begun"] = 1.0
    retried(lambda: table.optimize(cleanup_older_than=KEPT_FOR), "tended")
    done["words_segments_merged"] = _merged(table, WORDS, 2 if full else WORDS_SEGMENTS)
    done.update(_vectors(table, int(done["rows"]), full=full))
    if full:
        # rows whose indexes have become one can now lie in one file; else the next round, by day, would do this
        retried(lambda: table.optimize(cleanup_older_than=KEPT_FOR), "tended")
    done["version"] = float(table.version)
    return done


def _vectors(table: Any, rows: int, *, full: bool) -> dict[str, float]:
    is_there = any(VECTOR in index.columns for index in table.list_indices())
    if not is_there and rows < VECTORS_FROM:
        return {}
    stats = _stats(table, VECTOR)
    if not is_there or _has_other_bits(stats) or (full and _is_crowded(stats)):
        config = IvfRq(distance_type="cosine", num_bits=BITS)
        retried(lambda: table.create_index(VECTOR, config=config, replace=True), "indexed")
        return {"vectors_trained": float(rows)}
    return {"vector_segments_merged": _merged(table, VECTOR, 2 if full else VECTOR_SEGMENTS)}


def merge_vectors(table: Any) -> None:
    """One segment of all vectors that are there; codes of rows that are gone go with the old ones."""
    _index(table, VECTOR, merging=_ALL)


def _merged(table: Any, column: str, at_least: int) -> float:
    segments = len(_segments(table, column))
    if segments < at_least:
        return 0.0
    _index(table, column, merging=_ALL)
    return float(segments)


def _index(table: Any, column: str, *, merging: int) -> None:
    """New rows and the newest segments become one segment; merging none, the new rows become one of their own."""
    retried(
        lambda: table.to_lance().optimize.optimize_indices(num_indices_to_merge=merging, index_names=[f"{column}_idx"]),
        "indexed",
    )
    table.checkout_latest()


def _segments(table: Any, column: str) -> list[int]:
    """Rows of each of the index's segments, oldest first."""
    stats = _stats(table, column)
    return [int(rows) for rows in stats.get("num_indexed_rows_per_delta", [])]


def _has_other_bits(stats: dict[str, Any]) -> bool:
    """Whether an older Nexus made it."""
    return any(segment["sub_index"].get("num_bits") != BITS for segment in stats.get("indices", []))


def _is_crowded(stats: dict[str, Any]) -> bool:
    partitions = sum(int(segment.get("num_partitions", 0)) for segment in stats.get("indices", [])[:1])
    return bool(partitions) and stats["num_indexed_rows"] / partitions > CROWDED * _TRAINED_ROWS


def _stats(table: Any, column: str) -> dict[str, Any]:
    name = f"{column}_idx"
    if table.index_stats(name) is None:
        return {}
    told: dict[str, Any] = table.to_lance().stats.index_stats(name)
    return told

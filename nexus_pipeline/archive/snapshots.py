"""One version of a table, as a search reads it: all of one moment, whatever others write meanwhile.

It is read through the vendor's library for data sets. LanceDB's own tables hand every read to an event loop in another
thread and back, which costs a search with others beside it more than the reads: what one asks of the table was answered
70 times a second that way, and 110 times this way (two threads, two cores, 100,000 passages).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lancedb.query import MatchQuery, PhraseQuery

from nexus_pipeline.archive.schema import VECTOR
from nexus_pipeline.archive.words import WordQuery
from nexus_pipeline.ports import Vectors

NPROBES = 40
"""Partitions of the index of vectors that are looked into: all of them up to 160,000 passages."""
COMPARED = 100
"""So many of the best by the index are compared by their vectors. Of the ten truly nearest 99 % are among them (English
questions, 100,000 passages, two bits a dimension), and 97 % of the fifty nearest are among the index's 200 best."""
COUNTS = 1000
"""Conditions whose rows are remembered, of one version."""
ROW = "_rowid"
"""Where a row stands: its file and its place therein, never another row's."""

Places = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """What one side of a search found, best first: where it stands in the table, and how well it fits."""

    places: Places
    scores: Numbers

    @classmethod
    def nothing(cls) -> "Scored":
        """No rows."""
        return cls(np.empty(0, np.int64), np.empty(0))


class Snapshot:
    """A version that is no longer written to; safe to share between threads."""

    def __init__(self, dataset: Any) -> None:
        """`dataset`: the vendor's, checked out at one version."""
        self.dataset = dataset
        self.version = int(dataset.version)
        self.rows = int(dataset.count_rows())
        self.has_vectors = any(VECTOR in index.field_names for index in dataset.describe_indices())
        """Whether an index of vectors answers; else all are compared."""
        self._counts: dict[str, int] = {}

    def count(self, where: str) -> int:
        """Rows to which a condition applies; counted once."""
        if where not in self._counts and len(self._counts) < COUNTS:
            self._counts[where] = int(self.dataset.count_rows(where))
        return self._counts[where] if where in self._counts else int(self.dataset.count_rows(where))

    def words(self, query: WordQuery, where: str | None, at_most: int) -> Scored:
        """The best rows by BM25; filters first."""
        return self._scored("_score", where, full_text_query=_told(query), limit=at_most)

    def meaning(self, vector: Vectors, where: str | None, at_most: int, *, exact: bool = False) -> Scored:
        """The best rows by cosine; filters first. `exact`: all that the filters leave are compared."""
        nearest: dict[str, Any] = {"column": VECTOR, "q": vector, "k": at_most, "metric": "cosine"}
        if exact or not self.has_vectors:
            found = self._scored("_distance", where, nearest={**nearest, "use_index": False})
            return Scored(found.places, 1.0 - found.scores)
        return self._compared(self._scored("_distance", where, nearest={**nearest, "nprobes": NPROBES}), vector)

    def _compared(self, found: Scored, vector: Vectors) -> Scored:
        """Cosines out of what the index takes for distances: the best are compared, the others scaled alike.

        Its distances are of another scale where rows without index are among them.
        """
        order = np.argsort(found.scores, kind="stable")
        places, distances = found.places[order], found.scores[order]
        rows = self.take(places[:COMPARED].tolist(), [VECTOR])[VECTOR].combine_chunks().flatten().to_numpy()
        rows = rows.reshape(-1, len(vector))
        true = (rows @ vector) / np.maximum(np.linalg.norm(rows, axis=1) * np.linalg.norm(vector), 1e-12)
        scale = np.median((1.0 - true) / np.maximum(distances[:COMPARED], 1e-6)) if len(rows) else 1.0
        return Scored(places, np.concatenate([true, 1.0 - scale * distances[COMPARED:]]))

    def take(self, places: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """These rows, in this order."""
        # the vendor's only way to rows by their places; its version is pinned
        return self.dataset._take_rows(list(places), columns=list(columns))  # noqa: SLF001

    def those(self, where: str, columns: Sequence[str], at_most: int, *, places: bool = False) -> pa.Table:
        """Rows to which a condition applies, in any order; with `places` where they stand, too."""
        return self.dataset.scanner(
            columns=list(columns), filter=where, limit=at_most, with_row_id=places, scan_in_order=False
        ).to_table()

    def _scored(self, score: str, where: str | None, **search: Any) -> Scored:
        scanner = self.dataset.scanner(columns=[score], filter=where, prefilter=True, with_row_id=True, **search)
        rows = scanner.to_table()
        return Scored(rows[ROW].to_numpy().astype(np.int64), rows[score].to_numpy().astype(np.float64))


class Snapshots:
    """The newest version of one table; what has been read of indexes is kept from one to the next."""

    def __init__(self) -> None:
        self._session: Any = None
        self._newest: tuple[Any, Snapshot] | None = None
        self._lock = Lock()

    def newest(self, table: Any) -> Snapshot:
        """As new as the table's handle sees: its own writes at once, those of others after a second."""
        version = int(table.version)
        with self._lock:
            # a table that was made anew counts its versions anew
            if self._newest is None or self._newest[0] is not table or self._newest[1].version != version:
                self._newest = table, Snapshot(self._opened(table))
            return self._newest[1]

    def _opened(self, table: Any) -> Any:
        import lance

        self._session = self._session or lance.Session()
        return table.to_lance(session=self._session)


def _told(query: WordQuery) -> Any:
    """The same query for the library for data sets."""
    from lance import query as lance

    if isinstance(query, MatchQuery):
        return lance.MatchQuery(query.query, query.column, boost=query.boost)
    if isinstance(query, PhraseQuery):
        return lance.PhraseQuery(query.query, query.column)
    occurs: Mapping[str, Any] = {one.value: one for one in lance.Occur}
    return lance.BooleanQuery([(occurs[occur.value], _told(one)) for occur, one in query.queries])

"""Searches: filters first, then words and meaning, then one ranking, then the text of what is shown.

Each side fetches ids and facts of its best passages only; text is fetched for the hits of the asked-for page.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nexus_pipeline.archive import fusing
from nexus_pipeline.archive.filters import compiled, one_of
from nexus_pipeline.archive.schema import VECTOR, WORDS
from nexus_pipeline.archive.words import Asked, Stems, asked, spoken
from nexus_pipeline.domain.errors import BadInput
from nexus_pipeline.domain.search import Found, Hit, Query
from nexus_pipeline.ports import Vectors

DEPTH = 1000
"""Passages of each side that are ranked; what total and facets count."""
DEPTH_APPROXIMATE = 200
"""By meaning, where an index of vectors answers: it reads two vectors for each."""
EXACT_ROWS = 10_000
"""So many rows that a filter leaves are compared one by one: exact, and as cheap as the index (measured at 1M)."""
EXACT_ROWS_WHERE_ALL_ARE_PROBED = 2000
"""The same where a search looks into every partition of the index anyway: then it misses next to nothing."""
PARTITION_ROWS = 4096
"""How the vendor begins an index of vectors."""
NPROBES, REFINE = 40, 2
"""Recall@10 of 0.978 at one million passages; without refining 0.4. Of 200 wanted twice as many are compared: the ten
best are among the best fifty by the index, as measured."""
FACETS = ("kind", "speaker", "language", "item_id")
"""And tags, of which a passage has several."""
FACET_VALUES = 50
_SAMPLE_ROWS = 2000
_SAMPLE_FOR_S = 300.0
_PLACE = ["start_s", "end_s"]
_FACTS = ["id", "tags", *FACETS, *_PLACE]
_ROW = "_rowid"
_SHOWN = ["id", "item_id", "kind", "start_s", "end_s", "text", "speaker", "language", "tags"]
MODES = ("hybrid", "words", "meaning")


@dataclass(slots=True)
class _Side:
    """What one side found: scores, the rows' facts, and whether there may be more."""

    scores: dict[str, float] = field(default_factory=dict)
    rows: pa.Table | None = None
    is_full: bool = False


class Searcher:
    """Searches one table; remembers stems and the archive's mean vector."""

    def __init__(self) -> None:
        self._stems: Stems | None = None
        self._mean: tuple[float, Vectors] | None = None

    def search(self, table: Any, query: Query, vector: Vectors | None) -> Found:
        """What the query finds. Raises BadInput for an unknown mode or filter and for a vector that is missing."""
        where = check(query, vector)
        told = asked(query.text)
        words = _words(table, told, where) if query.mode != "meaning" else _Side()
        meaning = _Side()
        if vector is not None and query.mode != "words" and not (query.mode == "hybrid" and told.phrases):
            meaning = _meaning(table, vector, where)
        facts = _Facts.of(words, meaning)
        scores = words.scores if query.mode == "words" else meaning.scores
        if query.mode == "hybrid":
            mean = float(self._mean_vector(table) @ vector) if vector is not None and meaning.scores else 0.0
            scores = fusing.fused(
                # nearly all passages have none of the words: their mean is next to 0
                fusing.scaled(words.scores, 0.0),
                fusing.scaled(meaning.scores, mean),
                facts.speakers(),
                told.words,
            )
        ranking = facts.once(fusing.ranked(scores)[:DEPTH])
        end = query.offset + query.limit
        shown = fusing.spread(ranking, end) if query.mode == "hybrid" else ranking
        page = shown[query.offset : end]
        return Found(
            hits=self._hits(table, page, scores, told, facts),
            total=len(ranking),
            total_is_bound=words.is_full or meaning.is_full or len(scores) > DEPTH,
            facets=facts.facets(ranking),
        )

    def _mean_vector(self, table: Any) -> Vectors:
        """Of up to 2,000 passages spread evenly: query . mean is the mean of all cosines, without computing them."""
        if self._mean is None or time.monotonic() - self._mean[0] > _SAMPLE_FOR_S:
            rows = table.count_rows()
            offsets = np.linspace(0, rows - 1, min(rows, _SAMPLE_ROWS)).astype(int)
            sample = table.take_offsets(sorted(set(offsets.tolist()))).select([VECTOR]).to_arrow()[VECTOR]
            flat = sample.combine_chunks().flatten().to_numpy()
            self._mean = (time.monotonic(), flat.reshape(len(sample), -1).mean(axis=0))
        return self._mean[1]

    def _hits(
        self, table: Any, page: Sequence[str], scores: Mapping[str, float], told: Asked, facts: "_Facts"
    ) -> tuple[Hit, ...]:
        if not page:
            return ()
        by_id = {row["id"]: row for row in _shown(table, page, facts)}
        # a passage may have been erased since it was ranked
        rows = [by_id[id_] for id_ in page if id_ in by_id]
        stems = self._stems = self._stems or Stems(_tokenizer(table))
        stems.of([*told.all_words, *(word for row in rows for word in spoken(row["text"]))])  # all in one call
        return tuple(_hit(row, scores[row["id"]], told, stems) for row in rows)


def check(query: Query, vector: Vectors | None) -> str | None:
    """The query's filters as SQL. Raises BadInput for what cannot be asked."""
    if query.mode not in MODES:
        raise BadInput(f"There is no such mode of search; the modes are {', '.join(MODES)}")
    if vector is None and query.mode != "words":
        raise BadInput(f"A search of mode {query.mode} needs the query's vector; without an embedder use mode words")
    if query.limit < 0 or query.offset < 0:
        raise BadInput("limit and offset of a search count from 0")
    return compiled(query.filters)


def _words(table: Any, told: Asked, where: str | None) -> _Side:
    words = told.query()
    return _Side() if words is None else _fetched(table.search(words, query_type="fts"), where, DEPTH, "_score")


def _meaning(table: Any, vector: Vectors, where: str | None) -> _Side:
    search = table.search(vector, vector_column_name=VECTOR).distance_type("cosine")
    depth = DEPTH
    if any(VECTOR in index.columns for index in table.list_indices()):
        if where is not None and table.count_rows(where) <= _exact_rows(table):
            search = search.bypass_vector_index()
        else:
            search, depth = search.nprobes(NPROBES).refine_factor(REFINE), DEPTH_APPROXIMATE
    side = _fetched(search, where, depth, "_distance")
    side.scores = {id_: 1.0 - distance for id_, distance in side.scores.items()}
    return side


def _exact_rows(table: Any) -> int:
    return EXACT_ROWS if table.count_rows() > NPROBES * PARTITION_ROWS else EXACT_ROWS_WHERE_ALL_ARE_PROBED


def _fetched(search: Any, where: str | None, depth: int, score: str) -> _Side:
    if where is not None:
        search = search.where(where, prefilter=True)
    # the vendor takes this argument by position only
    rows = search.limit(depth).select([*_FACTS, score]).with_row_id(True).to_arrow()  # noqa: FBT003
    scores = dict(zip(rows["id"].to_pylist(), rows[score].to_pylist(), strict=True))
    return _Side(scores, rows.select([*_FACTS, _ROW]), is_full=rows.num_rows == depth)


def _shown(table: Any, page: Sequence[str], facts: "_Facts") -> list[dict[str, Any]]:
    """The page's rows, by their places in the table: by id it takes four times as long.

    Care may have moved rows since they were found; then they are looked up by id.
    """
    with suppress(RuntimeError, OSError, ValueError):  # a place that is no more; what follows tells any other reason
        rows = table.take_row_ids(facts.row_ids(page)).select(_SHOWN).to_arrow().to_pylist()
        if {row["id"] for row in rows} == set(page):
            return list(rows)
    return list(table.search().where(one_of("id", page)).select(_SHOWN).limit(len(page)).to_arrow().to_pylist())


@dataclass(frozen=True, slots=True)
class _Facts:
    """Facts of all rows that were found, as columns: a thousand rows as dictionaries would cost half a search."""

    rows: pa.Table | None
    places: Mapping[str, int]
    """Where a passage stands in them."""

    @classmethod
    def of(cls, *sides: _Side) -> "_Facts":
        """Of both sides; a passage that both have found stands there twice."""
        rows = [side.rows for side in sides if side.rows is not None]
        ids = [id_ for some in rows for id_ in some["id"].to_pylist()]
        return cls(pa.concat_tables(rows) if rows else None, {id_: n for n, id_ in enumerate(ids)})

    def row_ids(self, ids: Sequence[str]) -> list[int]:
        """Where these passages stood in the table when they were found."""
        return [] if self.rows is None else self.rows[_ROW].take(self._at(ids)).to_pylist()

    def speakers(self) -> dict[str, str | None]:
        """Who speaks, by passage."""
        if self.rows is None:
            return {}
        told = self.rows["speaker"].to_pylist()
        return {id_: told[n] for id_, n in self.places.items()}

    def once(self, ranking: list[str]) -> list[str]:
        """The ranking without what says in another language what stands above."""
        if self.rows is None or len(pc.unique(self.rows["language"])) == 1:
            return ranking
        names = ("item_id", "kind", "language", *_PLACE)
        columns = [self.rows[name].take(self._at(ranking)).to_pylist() for name in names]
        moments = {id_: fusing.Moment(*told) for id_, told in zip(ranking, zip(*columns, strict=True), strict=True)}
        return fusing.once(ranking, moments)

    def facets(self, ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """How often each value stands in these passages, the most frequent first."""
        if self.rows is None:
            return {name: {} for name in (*FACETS, "tags")}
        rows = self.rows.take(self._at(ids))
        columns = {name: rows[name] for name in FACETS} | {"tags": pc.list_flatten(rows["tags"])}
        return {name: _counted(column) for name, column in columns.items()}

    def _at(self, ids: Sequence[str]) -> pa.Array:
        return pa.array([self.places[id_] for id_ in ids], pa.int64())


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    found = pc.value_counts(column)
    values, counts = found.field("values").to_pylist(), found.field("counts").to_pylist()
    told = [(value, n) for value, n in zip(values, counts, strict=True) if value is not None]
    return dict(sorted(told, key=lambda pair: (-pair[1], pair[0]))[:FACET_VALUES])


def _tokenizer(table: Any) -> Callable[[str], list[tuple[int, str]]]:
    name = f"{WORDS}_idx"
    return lambda text: [(token.position, token.text) for token in table.tokenize(text, index_name=name)]


def _hit(row: Mapping[str, Any], score: float, told: Asked, stems: Stems) -> Hit:
    return Hit(
        item_id=row["item_id"],
        kind=row["kind"],
        start_s=row["start_s"],
        end_s=row["end_s"],
        text=row["text"],
        highlights=stems.highlights(told.all_words, row["text"]),
        speaker=row["speaker"],
        language=row["language"],
        tags=tuple(row["tags"]),
        score=round(score, 6),
    )

"""Searches: filters first, then words and meaning, then one ranking, then the text of what is shown.

Each side fetches ids and facts of its best passages only; text is fetched for the hits of the asked-for page.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nexus_pipeline.archive import fusing
from nexus_pipeline.archive.filters import compiled, one_of
from nexus_pipeline.archive.schema import VECTOR, WORDS
from nexus_pipeline.archive.words import Asked, Stems, asked
from nexus_pipeline.domain.errors import BadInput
from nexus_pipeline.domain.search import Found, Hit, Query
from nexus_pipeline.ports import Vectors

DEPTH = 1000
"""Passages of each side that are ranked; what total and facets count."""
DEPTH_APPROXIMATE = 200
"""By meaning, where an index of vectors answers: it reads five vectors for each."""
EXACT_ROWS = 10_000
"""So many rows that a filter leaves are compared one by one: exact, and as cheap as the index (measured at 1M)."""
NPROBES, REFINE = 40, 5
"""Recall@10 of 0.978 at one million passages; without refining 0.4."""
FACETS = ("kind", "speaker", "language", "item_id")
"""And tags, of which a passage has several."""
FACET_VALUES = 50
_SAMPLE_ROWS = 2000
_SAMPLE_FOR_S = 300.0
_FACTS = ("id", "tags", *FACETS)
_SHOWN = ("id", "item_id", "kind", "start_s", "end_s", "text", "speaker", "language", "tags")
MODES = ("hybrid", "words", "meaning")


@dataclass(slots=True)
class _Side:
    """What one side found: scores, and whether there may be more."""

    scores: dict[str, float] = field(default_factory=dict)
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
        facts: dict[str, dict[str, Any]] = {}
        words = self._words(table, told, where, facts) if query.mode != "meaning" else _Side()
        meaning = _Side()
        if vector is not None and query.mode != "words" and not (query.mode == "hybrid" and told.phrases):
            meaning = _meaning(table, vector, where, facts)
        scores = words.scores if query.mode == "words" else meaning.scores
        if query.mode == "hybrid":
            mean = float(self._mean_vector(table) @ vector) if vector is not None and meaning.scores else 0.0
            scores = fusing.fused(
                # nearly all passages have none of the words: their mean is next to 0
                fusing.scaled(words.scores, 0.0),
                fusing.scaled(meaning.scores, mean),
                {id_: fact["speaker"] for id_, fact in facts.items()},
                told.words,
            )
        ranking = fusing.ranked(scores)[:DEPTH]
        if query.mode == "hybrid":
            ranking = fusing.spread(ranking)
        page = ranking[query.offset : query.offset + query.limit]
        return Found(
            hits=self._hits(table, page, scores, told),
            total=len(ranking),
            total_is_bound=words.is_full or meaning.is_full or len(scores) > DEPTH,
            facets=_facets([facts[id_] for id_ in ranking]),
        )

    def _words(self, table: Any, told: Asked, where: str | None, facts: dict[str, dict[str, Any]]) -> _Side:
        words = told.query()
        if words is None:
            return _Side()
        return _fetched(table.search(words, query_type="fts"), where, DEPTH, "_score", facts)

    def _mean_vector(self, table: Any) -> Vectors:
        """Of up to 2,000 passages spread evenly: query . mean is the mean of all cosines, without computing them."""
        if self._mean is None or time.monotonic() - self._mean[0] > _SAMPLE_FOR_S:
            rows = table.count_rows()
            offsets = np.linspace(0, rows - 1, min(rows, _SAMPLE_ROWS)).astype(int)
            sample = table.take_offsets(sorted(set(offsets.tolist()))).select([VECTOR]).to_arrow()[VECTOR]
            flat = sample.combine_chunks().flatten().to_numpy()
            self._mean = (time.monotonic(), flat.reshape(len(sample), -1).mean(axis=0))
        return self._mean[1]

    def _hits(self, table: Any, page: Sequence[str], scores: Mapping[str, float], told: Asked) -> tuple[Hit, ...]:
        if not page:
            return ()
        rows = table.search().where(one_of("id", page)).select(list(_SHOWN)).limit(len(page)).to_arrow().to_pylist()
        by_id = {row["id"]: row for row in rows}
        stems = self._stems = self._stems or Stems(_tokenizer(table))
        # a passage may have been erased since it was ranked
        return tuple(_hit(by_id[id_], scores[id_], told, stems) for id_ in page if id_ in by_id)


def check(query: Query, vector: Vectors | None) -> str | None:
    """The query's filters as SQL. Raises BadInput for what cannot be asked."""
    if query.mode not in MODES:
        raise BadInput(f"There is no such mode of search; the modes are {', '.join(MODES)}")
    if vector is None and query.mode != "words":
        raise BadInput(f"A search of mode {query.mode} needs the query's vector; without an embedder use mode words")
    if query.limit < 0 or query.offset < 0:
        raise BadInput("limit and offset of a search count from 0")
    return compiled(query.filters)


def _meaning(table: Any, vector: Vectors, where: str | None, facts: dict[str, dict[str, Any]]) -> _Side:
    search = table.search(vector, vector_column_name=VECTOR).distance_type("cosine")
    depth = DEPTH
    if any(VECTOR in index.columns for index in table.list_indices()):
        if where is not None and table.count_rows(where) <= EXACT_ROWS:
            search = search.bypass_vector_index()
        else:
            search, depth = search.nprobes(NPROBES).refine_factor(REFINE), DEPTH_APPROXIMATE
    side = _fetched(search, where, depth, "_distance", facts)
    side.scores = {id_: 1.0 - distance for id_, distance in side.scores.items()}
    return side


def _fetched(search: Any, where: str | None, depth: int, score: str, facts: dict[str, dict[str, Any]]) -> _Side:
    if where is not None:
        search = search.where(where, prefilter=True)
    rows = search.limit(depth).select([*_FACTS, score]).to_arrow().to_pylist()
    side = _Side(is_full=len(rows) == depth)
    for row in rows:
        side.scores[row["id"]] = row.pop(score)
        facts[row["id"]] = row
    return side


def _facets(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    counted = {name: Counter(row[name] for row in rows if row[name] is not None) for name in FACETS}
    counted["tags"] = Counter(tag for row in rows for tag in row["tags"])
    return {
        name: dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:FACET_VALUES])
        for name, counts in counted.items()
    }


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

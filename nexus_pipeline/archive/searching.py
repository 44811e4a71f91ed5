"""Searches: filters first, then words and meaning, then one ranking, then the text of what is shown.

Each side fetches the places and scores of its best passages only, then the facts of both are read at once (38 ms of CPU
a search where reading them by each side took 41); text is read for the hits of the asked-for page, which is cut from
the ranking that the search's first page made (paging.py).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nexus_pipeline.archive import covering, fusing, gathering
from nexus_pipeline.archive.filters import compiled, one_of
from nexus_pipeline.archive.fusing import Scores
from nexus_pipeline.archive.paging import Rankings
from nexus_pipeline.archive.schema import VECTOR, WORDS
from nexus_pipeline.archive.stems import families, stemmed
from nexus_pipeline.archive.vocabulary import Vocabulary
from nexus_pipeline.archive.words import Stems, WordQuery, asked, forms, spoken
from nexus_pipeline.domain.errors import BadInput
from nexus_pipeline.domain.questions import whole
from nexus_pipeline.domain.search import Found, Group, Hit, Query
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
FACETS = ("kind", "source", "speaker", "language", "item_id")
"""And tags, of which a passage has several, and the month in which its item came."""
FACET_VALUES = 50
_SAMPLE_ROWS = 2000
_SAMPLE_FOR_S = 300.0
_PLACE = ["start_s", "end_s"]
_FACTS = ["id", "tags", "item_created_at", *FACETS, *_PLACE]
_ROW = "_rowid"
_TRIES = 3
_SHOWN = ["id", "item_id", "kind", "start_s", "end_s", "text", "speaker", "language", "tags"]
MODES = ("hybrid", "words", "meaning")
GROUPS = (None, "item")
_LANGUAGES_AT_MOST = 100


@dataclass(slots=True)
class _Side:
    """What one side found: scores by the passages' places in the table, and whether there may be more."""

    scores: dict[int, float] = field(default_factory=dict)
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class _Ranked:
    """All that a search finds but for the texts: what its pages are cut from. A hit is one passage or several."""

    version: int
    ranking: list[str]
    hits: list[tuple[str, ...]]
    groups: list[gathering.Gathered] | None
    scores: Mapping[str, float]
    terms: tuple[str, ...]
    facts: "_Facts"
    is_bound: bool

    def among(self, there: set[str], version: int) -> "_Ranked":
        """Without the passages that are no more; what is left keeps its place, so that no page skips any of it."""

        def left(hits: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
            return [tuple(id_ for id_ in hit if id_ in there) for hit in hits]

        groups = self.groups and [replace(group, hits=tuple(left(group.hits))) for group in self.groups]
        ranking = [id_ for id_ in self.ranking if id_ in there]
        return replace(self, version=version, ranking=ranking, hits=left(self.hits), groups=groups)


class Searcher:
    """Searches one table; remembers stems, languages, the archive's mean vector and the last rankings."""

    def __init__(self, storage_options: Mapping[str, str] | None = None) -> None:
        self._stems: Stems | None = None
        self._mean: tuple[float, Vectors] | None = None
        self._languages: tuple[int, frozenset[str]] = (-1, frozenset())
        self._vocabulary = Vocabulary(storage_options)
        self._rankings: Rankings[_Ranked] = Rankings()

    def search(self, table: Any, query: Query, vector: Vectors | None) -> Found:
        """What the query finds. Raises BadInput for an unknown mode or filter and for a vector that is missing."""
        where = check(query, vector)
        what = (where, query.text, query.mode, query.merge, query.group, None if vector is None else vector.tobytes())
        ranked = self._rankings.of(what) if query.offset else None
        ranked = _still(table, ranked) if ranked else self._ranked(table, query, vector, where)
        self._rankings.keep(what, ranked)
        return self._page(table, query, ranked)

    def _ranked(self, table: Any, query: Query, vector: Vectors | None, where: str | None) -> _Ranked:
        version = int(table.version)
        told, languages = asked(query.text), self._families(table, version)
        endings: tuple[str, ...] = ()
        if told.typed and query.mode != "meaning":
            endings = self._vocabulary.endings(table, told.typed, languages, self._stemming(table))
        by_words = query.mode != "meaning"
        by_meaning = query.mode != "words" and not (query.mode == "hybrid" and told.phrases)

        def look() -> tuple[_Side, _Side]:
            words = _words(table, told.query(languages, endings), query.text, where) if by_words else _Side()
            return words, _meaning(table, vector, where) if vector is not None and by_meaning else _Side()

        words, meaning, facts = _with_facts(table, look)
        said, meant = facts.by_id(words), _without(table, facts.by_id(meaning), told.left_out(languages))
        scores = said if query.mode == "words" else meant
        if query.mode == "hybrid":
            mean = float(self._mean_vector(table) @ vector) if vector is not None and meant else 0.0
            # nearly all passages have none of the words: their mean is next to 0
            sides = fusing.scaled(said, 0.0), fusing.scaled(meant, mean)
            own = fusing.fused(query.text, *sides, facts.told(fusing.ids(*sides)))
            scores = fusing.around(self._read(table, own, (told.words, languages), said, facts))
        ranking = facts.once(fusing.ranked(scores)[:DEPTH])
        if not whole(query.text):
            ranking = gathering.moments_first(ranking)
        hits = gathering.merged(ranking, scores, facts.times(ranking)) if query.merge else gathering.alone(ranking)
        if query.mode == "hybrid":
            by_best = {max(hit, key=scores.__getitem__): hit for hit in hits}
            hits = [by_best[id_] for id_ in fusing.spread(list(by_best), len(by_best))]
        groups = gathering.grouped(hits) if query.group else None
        is_bound = words.is_full or meaning.is_full or len(scores) > DEPTH
        terms = (*forms(told.all_words, languages), *endings)
        return _Ranked(version, ranking, hits, groups, scores, terms, facts, is_bound)

    def _page(self, table: Any, query: Query, ranked: _Ranked) -> Found:
        page = slice(query.offset, query.offset + query.limit)
        gathered = None if ranked.groups is None else ranked.groups[page]
        shown = ranked.hits[page] if gathered is None else [hit for group in gathered for hit in group.hits]
        hits = self._hits(table, shown, ranked)
        groups = None
        if gathered is not None:
            told = ((g, tuple(hits[hit] for hit in g.hits if hit in hits)) for g in gathered)
            groups = tuple(Group(g.item_id, own, g.more) for g, own in told if own)
        return Found(
            hits=tuple(hits[hit] for hit in shown if hit in hits)
            if groups is None
            else tuple(g.hits[0] for g in groups),
            total=len(ranked.ranking),
            total_is_bound=ranked.is_bound,
            facets=ranked.facts.facets(ranked.ranking),
            groups=groups,
        )

    def _read(
        self, table: Any, own: Scores, asked_for: tuple[Sequence[str], Sequence[str]], found: Scores, facts: "_Facts"
    ) -> Scores:
        """The scores once the texts of the best passages, and of those around them, have been read."""
        best = fusing.best(own, covering.READ)
        wanted = covering.near(best, found)
        texts = {row["id"]: row[WORDS] for row in _shown(table, wanted, facts, ["id", WORDS])} if wanted else {}
        return covering.gained(own, best, asked_for, texts, self._stemming(table))

    def _families(self, table: Any, version: int) -> tuple[str, ...]:
        """Languages with stems of their own that some passage is in; one look for a new one at each new version."""
        before, known = self._languages
        while before != version and len(known) < _LANGUAGES_AT_MOST:
            others = f"language IS NOT NULL AND NOT ({one_of('language', known)})" if known else "language IS NOT NULL"
            found = table.search().where(others).select(["language"]).limit(1).to_arrow()["language"].to_pylist()
            if not found:
                break
            known = known.union(found)
        self._languages = (version, known)
        return families(known)

    def _stemming(self, table: Any) -> Stems:
        self._stems = self._stems or Stems(_tokenizer(table))
        return self._stems

    def _mean_vector(self, table: Any) -> Vectors:
        """Of up to 2,000 passages spread evenly: query . mean is the mean of all cosines, without computing them."""
        if self._mean is None or time.monotonic() - self._mean[0] > _SAMPLE_FOR_S:
            rows = table.count_rows()
            offsets = np.linspace(0, rows - 1, min(rows, _SAMPLE_ROWS)).astype(int)
            sample = table.take_offsets(sorted(set(offsets.tolist()))).select([VECTOR]).to_arrow()[VECTOR]
            flat = sample.combine_chunks().flatten().to_numpy()
            self._mean = (time.monotonic(), flat.reshape(len(sample), -1).mean(axis=0))
        return self._mean[1]

    def _hits(self, table: Any, shown: Sequence[tuple[str, ...]], ranked: _Ranked) -> dict[tuple[str, ...], Hit]:
        ids = [id_ for hit in shown for id_ in hit]
        if not ids:
            return {}
        by_id = {row["id"]: row for row in _shown(table, ids, ranked.facts)}
        stems = self._stemming(table)
        said = (word for row in by_id.values() for word in stemmed(spoken(row["text"]), row["language"]))
        stems.of([*ranked.terms, *said])  # all in one call
        # a passage may have been erased since it was ranked
        there = ((hit, [by_id[id_] for id_ in hit if id_ in by_id]) for hit in shown)
        return {hit: _hit(rows, ranked, stems) for hit, rows in there if rows}


def check(query: Query, vector: Vectors | None) -> str | None:
    """The query's filters as SQL. Raises BadInput for what cannot be asked."""
    if query.mode not in MODES:
        raise BadInput(f"There is no such mode of search; the modes are {', '.join(MODES)}")
    if query.group not in GROUPS:
        raise BadInput("Hits are grouped by item only")
    if vector is None and query.mode != "words":
        raise BadInput(f"A search of mode {query.mode} needs the query's vector; without an embedder use mode words")
    if query.limit < 0 or query.offset < 0:
        raise BadInput("limit and offset of a search count from 0")
    asked(query.text)
    return compiled(query.filters)


def _still(table: Any, ranked: _Ranked) -> _Ranked:
    """A ranking of before, without what has been removed since."""
    version = int(table.version)
    if version == ranked.version:
        return ranked
    where = one_of("id", ranked.ranking)
    there = (
        table.search().where(where).select(["id"]).limit(DEPTH).to_arrow()["id"].to_pylist() if ranked.ranking else []
    )
    return ranked.among(set(there), version)


def _words(table: Any, words: WordQuery | None, text: str, where: str | None) -> _Side:
    if words is None:
        return _Side()
    return _fetched(table.search(covering.softened(words, text), query_type="fts"), where, DEPTH, "_score")


def _without(table: Any, scores: dict[str, float], out: WordQuery | None) -> dict[str, float]:
    """What a side found, without the passages that have what is to be left out."""
    if out is None or not scores:
        return scores
    among = table.search(out, query_type="fts").where(one_of("id", scores), prefilter=True)
    gone = set(among.limit(len(scores)).select(["id", "_score"]).to_arrow()["id"].to_pylist())
    return {id_: score for id_, score in scores.items() if id_ not in gone}


def _meaning(table: Any, vector: Vectors, where: str | None) -> _Side:
    search = table.search(vector, vector_column_name=VECTOR).distance_type("cosine")
    depth = DEPTH
    if any(VECTOR in index.columns for index in table.list_indices()):
        if where is not None and table.count_rows(where) <= _exact_rows(table):
            search = search.bypass_vector_index()
        else:
            search, depth = search.nprobes(NPROBES).refine_factor(REFINE), DEPTH_APPROXIMATE
    side = _fetched(search, where, depth, "_distance")
    side.scores = {place: 1.0 - distance for place, distance in side.scores.items()}
    return side


def _exact_rows(table: Any) -> int:
    return EXACT_ROWS if table.count_rows() > NPROBES * PARTITION_ROWS else EXACT_ROWS_WHERE_ALL_ARE_PROBED


def _fetched(search: Any, where: str | None, depth: int, score: str) -> _Side:
    if where is not None:
        search = search.where(where, prefilter=True)
    # the vendor takes this argument by position only
    rows = search.limit(depth).select([score]).with_row_id(True).to_arrow()  # noqa: FBT003
    scores = dict(zip(rows[_ROW].to_pylist(), rows[score].to_pylist(), strict=True))
    return _Side(scores, is_full=rows.num_rows == depth)


def _with_facts(table: Any, look: Callable[[], tuple[_Side, _Side]]) -> "tuple[_Side, _Side, _Facts]":
    """Both sides and the facts of all that they found.

    A place is never another row's. Where the handle has come to a newer version in between, rows may have been moved:
    both are looked for again then. What is missing at last has been removed.
    """
    for _ in range(_TRIES):
        words, meaning = look()
        places = sorted({*words.scores, *meaning.scores})
        facts = _Facts.at(table, places)
        if len(facts.places) == len(places):
            break
    return words, meaning, facts


def _shown(table: Any, page: Sequence[str], facts: "_Facts", columns: Sequence[str] = _SHOWN) -> list[dict[str, Any]]:
    """These passages' rows, by their places in the table: by id it takes four times as long.

    Care may have moved rows since they were found; then they are looked up by id.
    """
    with suppress(RuntimeError, OSError, ValueError):  # a place that is no more; what follows tells any other reason
        rows = table.take_row_ids(facts.row_ids(page)).select(list(columns)).to_arrow().to_pylist()
        if {row["id"] for row in rows} == set(page):
            return list(rows)
    return list(table.search().where(one_of("id", page)).select(list(columns)).limit(len(page)).to_arrow().to_pylist())


@dataclass(frozen=True, slots=True)
class _Facts:
    """Facts of all rows that were found, as columns: a thousand rows as dictionaries would cost half a search."""

    rows: pa.Table | None
    places: Mapping[str, int]
    """Where a passage stands in them."""

    @classmethod
    def at(cls, table: Any, places: Sequence[int]) -> "_Facts":
        """Of what stands there; of a place that is no more there is nothing."""
        if not places:
            return cls(None, {})
        rows = table.take_row_ids(places).select(_FACTS).with_row_id().to_arrow()
        return cls(rows, {id_: n for n, id_ in enumerate(rows["id"].to_pylist())})

    def by_id(self, side: _Side) -> dict[str, float]:
        """A side's scores by the passages' ids, in its order."""
        if self.rows is None:
            return {}
        ids = dict(zip(self.rows[_ROW].to_pylist(), self.places, strict=True))
        return {ids[place]: score for place, score in side.scores.items() if place in ids}

    def row_ids(self, ids: Sequence[str]) -> list[int]:
        """Where these passages stood in the table when they were found."""
        return [] if self.rows is None else self.rows[_ROW].take(self._at(ids)).to_pylist()

    def told(self, ids: Sequence[str]) -> pa.Table:
        """What ranking asks of these passages, in their order."""
        return pa.table({}) if self.rows is None else self.rows.select(["kind", "speaker", *_PLACE]).take(self._at(ids))

    def times(self, ids: Sequence[str]) -> dict[str, tuple[float, float]]:
        """From which to which second each of these passages lasts."""
        if self.rows is None:
            return {}
        starts, ends = (self.rows[name].take(self._at(ids)).to_pylist() for name in _PLACE)
        return dict(zip(ids, zip(starts, ends, strict=True), strict=True))

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
            return {name: {} for name in (*FACETS, "tags", "month")}
        rows = self.rows.take(self._at(ids))
        columns = {name: rows[name] for name in FACETS} | {"tags": pc.list_flatten(rows["tags"])}
        columns["month"] = _months(rows["item_created_at"])
        return {name: _counted(column) for name, column in columns.items()}

    def _at(self, ids: Sequence[str]) -> pa.Array:
        return pa.array([self.places[id_] for id_ in ids], pa.int64())


def _months(instants: pa.ChunkedArray) -> pa.Array:
    """`2026-03`, in UTC."""
    months = instants.cast(pa.timestamp("us")).to_numpy().astype("datetime64[M]")
    return pa.array(np.datetime_as_string(months), pa.utf8())


def _counted(column: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    found = pc.value_counts(column)
    values, counts = found.field("values").to_pylist(), found.field("counts").to_pylist()
    told = [(value, n) for value, n in zip(values, counts, strict=True) if value is not None]
    return dict(sorted(told, key=lambda pair: (-pair[1], pair[0]))[:FACET_VALUES])


def _tokenizer(table: Any) -> Callable[[str], list[tuple[int, str]]]:
    name = f"{WORDS}_idx"
    return lambda text: [(token.position, token.text) for token in table.tokenize(text, index_name=name)]


def _hit(rows: Sequence[Mapping[str, Any]], ranked: _Ranked, stems: Stems) -> Hit:
    """One of one passage, or of several that follow one another: who speaks and how good it is says the best one."""
    best = max(rows, key=lambda row: ranked.scores[row["id"]])
    text, _ = gathering.joined([row["text"] for row in rows])
    return Hit(
        item_id=best["item_id"],
        kind=best["kind"],
        start_s=min(row["start_s"] for row in rows),
        end_s=max(row["end_s"] for row in rows),
        text=text,
        highlights=stems.highlights(ranked.terms, text, best["language"]),
        speaker=best["speaker"],
        language=best["language"],
        tags=tuple(best["tags"]),
        score=round(ranked.scores[best["id"]], 6),
    )

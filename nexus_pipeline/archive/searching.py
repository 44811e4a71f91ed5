"""Searches: filters first, then words and meaning, then one ranking, then the text of what is shown.

Each side finds the places and scores of its best passages; all that follows works on the facts of these (facts.py), by
their numbers. Text is read for the passages that are looked into and for the hits of the asked-for page, which is cut
from the ranking that the search's first page made (paging.py).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nexus_pipeline.archive import covering, fusing, gathering
from nexus_pipeline.archive.facts import Facts, Known
from nexus_pipeline.archive.filters import compiled, one_of
from nexus_pipeline.archive.gathering import Gathered, Together
from nexus_pipeline.archive.paging import Rankings
from nexus_pipeline.archive.schema import VECTOR, WORDS
from nexus_pipeline.archive.snapshots import NPROBES, ROW, Numbers, Places, Scored, Snapshot, Snapshots
from nexus_pipeline.archive.stems import families, stemmed
from nexus_pipeline.archive.vocabulary import Vocabulary
from nexus_pipeline.archive.words import Stems, WordQuery, asked, forms, spoken
from nexus_pipeline.domain.dates import Dated, dated
from nexus_pipeline.domain.errors import BadInput
from nexus_pipeline.domain.questions import whole
from nexus_pipeline.domain.search import Found, Group, Hit, Query
from nexus_pipeline.ports import Vectors

DEPTH = 1000
"""Passages of each side that are ranked; what total and facets count."""
DEPTH_APPROXIMATE = 400
"""By meaning, where an index of vectors answers: what it takes for the thousandth nearest says little."""
EXACT_ROWS = 10_000
"""So many rows that a filter leaves are compared one by one: exact, and as cheap as the index (measured at 1M)."""
EXACT_ROWS_WHERE_ALL_ARE_PROBED = 2000
"""The same where a search looks into every partition of the index anyway: then it misses next to nothing."""
PARTITION_ROWS = 4096
"""How the vendor begins an index of vectors."""
_SAMPLE_ROWS = 2000
_SAMPLE_FOR_S = 300.0
_GONE = -1
MODES = ("hybrid", "words", "meaning")
GROUPS = (None, "item")
_LANGUAGES_AT_MOST = 100


@dataclass(frozen=True, slots=True)
class _Ranked:
    """All that a search finds but for the texts: what its pages are cut from.

    Passages are numbers, of `facts` and `scores`; `places` say where they stand in the table's version.
    """

    version: int
    places: Places
    facts: Facts
    scores: Numbers
    ranking: list[int]
    hits: list[Together]
    groups: list[Gathered] | None
    terms: tuple[str, ...]
    is_bound: bool

    def at(self, places: Places, version: int) -> "_Ranked":
        """Where they stand in a newer version, without those that are no more.

        What is left keeps its place in the ranking, so that no page skips any of it.
        """
        there = places != _GONE

        def left(hits: Sequence[Together]) -> list[Together]:
            return [tuple(n for n in hit if there[n]) for hit in hits]

        groups = self.groups and [replace(group, hits=tuple(left(group.hits))) for group in self.groups]
        ranking = [n for n in self.ranking if there[n]]
        return replace(self, version=version, places=places, ranking=ranking, hits=left(self.hits), groups=groups)


class Searcher:
    """Searches one table; remembers facts, stems, languages, the archive's mean vector and the last rankings."""

    def __init__(self, storage_options: Mapping[str, str] | None = None) -> None:
        self._snapshots = Snapshots()
        self._known = Known()
        self._stems: Stems | None = None
        self._mean: tuple[float, Vectors] | None = None
        self._languages: tuple[int, frozenset[str]] = (-1, frozenset())
        self._vocabulary = Vocabulary(storage_options)
        self._rankings: Rankings[_Ranked] = Rankings()

    def search(self, table: Any, query: Query, vector: Vectors | None) -> Found:
        """What the query finds. Raises BadInput for an unknown mode or filter and for a vector that is missing."""
        where = check(query, vector)
        snapshot = self._snapshots.newest(table)
        stems = self._stemming(table)
        when = dated(query.text, query.today if query.mode == "hybrid" else None)
        how = (query.mode, query.merge, query.group, *sorted(query.entitled.items()))
        what = (where, query.text, when.days, *how, None if vector is None else vector.tobytes())
        ranked = self._rankings.of(what) if query.offset else None
        ranked = _still(snapshot, ranked) if ranked else self._ranked(snapshot, query, when, vector, where, stems=stems)
        self._rankings.keep(what, ranked)
        return _page(snapshot, query, ranked, stems)

    def _ranked(
        self, snapshot: Snapshot, query: Query, when: Dated, vector: Vectors | None, where: str | None, *, stems: Stems
    ) -> _Ranked:
        text = when.rest
        told, languages = asked(text), self._families(snapshot)
        endings: tuple[str, ...] = ()
        if told.typed and query.mode != "meaning":
            endings = self._vocabulary.endings(snapshot, told.typed, languages, stems)
        if where is not None and snapshot.count(where) == snapshot.rows:
            where = None  # as with one owner: looking through it costs a tenth of the search
        words = meaning = Scored.nothing()
        if query.mode != "meaning":
            words = _words(snapshot, told.query(languages, endings), text, where)
        if vector is not None and query.mode != "words" and not (query.mode == "hybrid" and told.phrases):
            meaning = _meaning(snapshot, vector, where)
        is_full = words.places.size == DEPTH or meaning.places.size in {DEPTH, DEPTH_APPROXIMATE}
        meaning = _without(snapshot, meaning, told.left_out(languages))
        places = np.union1d(words.places, meaning.places)
        facts = self._known.of(snapshot, places)
        said, meant = _at(places, words), _at(places, meaning)
        scores = said if query.mode == "words" else meant
        if query.mode == "hybrid":
            mean = float(self._mean_vector(snapshot) @ vector) if vector is not None and meaning.places.size else 0.0
            # nearly all passages have none of the words: their mean is next to 0
            sides = fusing.scaled(said, 0.0), fusing.scaled(meant, mean)
            own = fusing.fused(text, *sides, facts, days=when.days, entitled=query.entitled)
            best = fusing.ranked(own, facts)[: covering.READ].tolist()
            texts = _texts(snapshot, places, covering.near(best, ~np.isnan(said), facts))
            own = covering.gained(own, best, (told.words, languages), texts, stems=stems, facts=facts)
            scores = fusing.around(own, facts)
        ranking = _once(fusing.ranked(scores, facts)[:DEPTH].tolist(), facts)
        if not whole(text):
            ranking = gathering.moments_first(ranking, facts)
        hits = gathering.merged(ranking, scores, facts) if query.merge else gathering.alone(ranking)
        if query.mode == "hybrid":
            by_best = {max(hit, key=scores.__getitem__): hit for hit in hits}
            hits = [by_best[n] for n in fusing.spread(list(by_best), facts)]
        groups = gathering.grouped(hits, facts) if query.group else None
        terms = (*forms(told.all_words, languages), *endings)
        is_bound = is_full or len(scores) > DEPTH
        return _Ranked(snapshot.version, places, facts, scores, ranking, hits, groups, terms, is_bound)

    def _families(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Languages with stems of their own that some passage is in; one look for a new one at each new version."""
        before, known = self._languages
        while before != snapshot.version and len(known) < _LANGUAGES_AT_MOST:
            others = f"language IS NOT NULL AND NOT ({one_of('language', known)})" if known else "language IS NOT NULL"
            found = snapshot.those(others, ["language"], 1)["language"].to_pylist()
            if not found:
                break
            known = known.union(found)
        self._languages = (snapshot.version, known)
        return families(known)

    def _stemming(self, table: Any) -> Stems:
        self._stems = self._stems or Stems(_tokenizer(table))
        return self._stems

    def _mean_vector(self, snapshot: Snapshot) -> Vectors:
        """Of up to 2,000 passages spread evenly: query . mean is the mean of all cosines, without computing them."""
        if self._mean is None or time.monotonic() - self._mean[0] > _SAMPLE_FOR_S:
            offsets = np.linspace(0, snapshot.rows - 1, min(snapshot.rows, _SAMPLE_ROWS)).astype(int)
            sample = snapshot.dataset.take(sorted(set(offsets.tolist())), columns=[VECTOR])[VECTOR]
            flat = sample.combine_chunks().flatten().to_numpy()
            self._mean = (time.monotonic(), flat.reshape(len(sample), -1).mean(axis=0))
        return self._mean[1]


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


def _words(snapshot: Snapshot, words: WordQuery | None, text: str, where: str | None) -> Scored:
    return Scored.nothing() if words is None else snapshot.words(covering.softened(words, text), where, DEPTH)


def _meaning(snapshot: Snapshot, vector: Vectors, where: str | None) -> Scored:
    if not snapshot.has_vectors:
        return snapshot.meaning(vector, where, DEPTH)
    few = EXACT_ROWS if snapshot.rows > NPROBES * PARTITION_ROWS else EXACT_ROWS_WHERE_ALL_ARE_PROBED
    if where is not None and snapshot.count(where) <= few:
        return snapshot.meaning(vector, where, DEPTH, exact=True)
    return snapshot.meaning(vector, where, DEPTH_APPROXIMATE)


def _without(snapshot: Snapshot, found: Scored, out: WordQuery | None) -> Scored:
    """What a side found, without the passages that have what is to be left out."""
    if out is None or not found.places.size:
        return found
    among = f"{ROW} IN ({', '.join(map(str, found.places.tolist()))})"
    kept = ~np.isin(found.places, snapshot.words(out, among, found.places.size).places)
    return Scored(found.places[kept], found.scores[kept])


def _at(places: Places, side: Scored) -> Numbers:
    """A side's scores at these places; nan where it found nothing."""
    scores = np.full(len(places), np.nan)
    scores[np.searchsorted(places, side.places)] = side.scores
    return scores


def _texts(snapshot: Snapshot, places: Places, numbers: Sequence[int]) -> dict[int, str]:
    if not numbers:
        return {}
    told = snapshot.take(places[numbers].tolist(), [WORDS])[WORDS].to_pylist()
    return dict(zip(numbers, told, strict=True))


def _still(snapshot: Snapshot, ranked: _Ranked) -> _Ranked:
    """A ranking of before, where its passages stand now, without what has been removed since."""
    if snapshot.version == ranked.version or not ranked.ranking:
        return ranked
    ids = {ranked.facts.id(n): n for n in ranked.ranking}
    rows = snapshot.those(one_of("id", ids), ["id"], len(ids), places=True)
    places = np.full(len(ranked.places), _GONE)
    places[[ids[id_] for id_ in rows["id"].to_pylist()]] = rows[ROW].to_numpy()
    return ranked.at(places, snapshot.version)


def _page(snapshot: Snapshot, query: Query, ranked: _Ranked, stems: Stems) -> Found:
    page = slice(query.offset, query.offset + query.limit)
    gathered = None if ranked.groups is None else ranked.groups[page]
    shown = ranked.hits[page] if gathered is None else [hit for group in gathered for hit in group.hits]
    hits = _hits(snapshot, shown, ranked, stems)
    groups = None
    if gathered is not None:
        told = ((g.more, tuple(hits[hit] for hit in g.hits if hit in hits)) for g in gathered)
        groups = tuple(Group(own[0].item_id, own, more) for more, own in told if own)
    return Found(
        hits=tuple(hits[hit] for hit in shown if hit in hits) if groups is None else tuple(g.hits[0] for g in groups),
        total=len(ranked.ranking),
        total_is_bound=ranked.is_bound,
        facets=ranked.facts.facets(ranked.ranking),
        groups=groups,
    )


def _hits(snapshot: Snapshot, shown: Sequence[Together], ranked: _Ranked, stems: Stems) -> dict[Together, Hit]:
    numbers = [n for hit in shown for n in hit]
    if not numbers:
        return {}
    told = snapshot.take(ranked.places[numbers].tolist(), ["text"])["text"].to_pylist()
    texts = dict(zip(numbers, told, strict=True))
    said = (word for n in numbers for word in stemmed(spoken(texts[n]), ranked.facts.text("language", n)))
    stems.alike(ranked.terms, said)  # all in one call
    # a passage may have been erased since it was ranked
    return {hit: _hit(hit, [texts[n] for n in hit], ranked, stems) for hit in shown if hit}


def _hit(hit: Together, texts: Sequence[str], ranked: _Ranked, stems: Stems) -> Hit:
    """One of one passage, or of several that follow one another: who speaks and how good it is says the best one."""
    facts, best = ranked.facts, max(hit, key=ranked.scores.__getitem__)
    text, _ = gathering.joined(texts)
    language = facts.text("language", best)
    return Hit(
        item_id=str(facts.text("item_id", best)),
        kind=str(facts.text("kind", best)),
        start_s=min(facts.times(n)[0] for n in hit),
        end_s=max(facts.times(n)[1] for n in hit),
        text=text,
        highlights=stems.highlights(ranked.terms, text, language),
        speaker=facts.text("speaker", best),
        language=language,
        tags=facts.tags(best),
        score=round(float(ranked.scores[best]), 6),
    )


def _once(ranking: list[int], facts: Facts) -> list[int]:
    """The ranking without what says in another language what stands above."""
    if len(np.unique(facts.rows["language"])) < 2:  # noqa: PLR2004 - two languages are the least
        return ranking
    moments = {
        n: fusing.Moment(
            str(facts.text("item_id", n)), str(facts.text("kind", n)), facts.text("language", n), *facts.times(n)
        )
        for n in ranking
    }
    return fusing.once(ranking, moments)


def _tokenizer(table: Any) -> Callable[[str], list[tuple[int, str]]]:
    name = f"{WORDS}_idx"
    return lambda text: [(token.position, token.text) for token in table.tokenize(text, index_name=name)]

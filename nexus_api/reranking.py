"""What a search found, read once more by the reranker that a person has chosen; and a question's vector."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from nexus_pipeline.domain.dates import dated
from nexus_pipeline.domain.errors import EngineError
from nexus_pipeline.domain.questions import main
from nexus_pipeline.domain.search import Found, Hit, Query
from nexus_pipeline.ports import Embedder, Reranker
from nexus_pipeline.wiring import Parts

if TYPE_CHECKING:
    from nexus_pipeline.ports import Vectors

log = logging.getLogger(__name__)


def vector_of(words: str, embedder: Embedder, today: date | None = None) -> "Vectors":
    """A question's vector: of all its words and of those that matter most, which point to different passages.

    One unit-length row. `today`, in UTC: where it is told, `last week` does not matter. Raises ModelMissing and what
    the embedder raises.
    """
    from nexus_pipeline.archive import cut

    short = cut(main(dated(words, today).rest))
    both = embedder.embed([words, short] if short and short != words else [words]).sum(axis=0)
    length = float(np.linalg.norm(both))
    found: Vectors = (both / length if length else both).astype(np.float32)
    return found


def searched(parts: Parts, query: Query, vector: "Vectors | None", warn: Callable[[str], None]) -> Found:
    """What the archive finds, its best hits in the reranker's order; in the archive's own where none is chosen.

    A search by words alone keeps its order: who writes words wants those; so do hits in groups. Pages follow each
    other, for the same best hits are read for every page. `warn` is told when no reranker could read them.
    """
    rerankers = parts.engines.rerankers() if query.mode != "words" and query.group is None else ()
    depth = max((one.depth for one in rerankers), default=0)
    if query.offset >= depth or not query.text.strip():
        return parts.archive.search(query, vector)
    end = query.offset + query.limit
    found = parts.archive.search(replace(query, offset=0, limit=max(depth, end)), vector)
    return replace(found, hits=_reranked(rerankers, query.text, found.hits, warn)[query.offset : end])


def _reranked(
    rerankers: tuple[Reranker, ...], question: str, hits: tuple[Hit, ...], warn: Callable[[str], None]
) -> tuple[Hit, ...]:
    failed: list[str] = []
    for reranker in rerankers:
        best, rest = hits[: reranker.depth], hits[reranker.depth :]
        try:
            grades = reranker.grade(question, [_told(hit) for hit in best], lambda: False)
        except EngineError as error:
            log.warning("not reranked engine=%s code=%s", reranker.name, error.code)
            failed.append(f"{reranker.name}: {error}")
            continue
        order = sorted(range(len(best)), key=lambda at: (-best[at].score - reranker.trust * grades[at], at))
        return (*(best[at] for at in order), *rest)
    if failed:
        warn(f"What was found stands in the search's own order ({'; '.join(failed)})")
    return hits


def _told(hit: Hit) -> str:
    return f"{hit.speaker}: {hit.text}" if hit.speaker else hit.text

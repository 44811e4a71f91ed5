"""embedding: passages and their vectors, computed and written for gathered items together."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from nexus_pipeline import results
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.passages import Passage, is_named
from nexus_pipeline.domain.usage import Meter, Usage, shares
from nexus_pipeline.ports import ItemPassages, Vectors, metered
from nexus_pipeline.steps.step import Landed, Step, Work, silent
from nexus_pipeline.wiring import Parts


def embedding(works: Sequence[Work], parts: Parts) -> Iterator[Landed]:
    """Cut, embed all texts in one call, keep the vectors, replace the rows in one commit, then land each item."""
    cut = [results.cut(work.item, parts) for work in works]
    vectors, took = _vectors(works, cut, parts)
    rows = [results.rows(w.item, found, own, parts) for w, found, own in zip(works, cut, vectors, strict=True)]
    parts.archive.replace(rows)
    _leave_out_copies(works, parts)
    name = parts.engines.embedder().name
    for work, found, row, own in zip(works, cut, rows, took, strict=True):
        parts.blobs.delete(work.item.key("transcript", "partial", ""))
        numbers = {"passages": len(found), **own.numbers}
        facts = {"suggested": _suggested(row)}
        yield Landed(work, result={"passages": len(found)}, facts=facts, numbers=numbers, engine=name)


def _suggested(row: ItemPassages) -> dict[str, list[str]]:
    """What people may be offered while they type: who speaks in the item, and what it is about."""
    speakers = dict.fromkeys(p.speaker for p in row.passages if p.speaker and is_named(p.speaker))
    return {"speaker": list(speakers), "inferred": [tag for tag in row.tags if tag not in row.item.tags]}


def _leave_out_copies(works: Sequence[Work], parts: Parts) -> None:
    """An older item may have found meanwhile that one of these is its copy: it links first and removes rows then.

    One that was erased meanwhile is not there any more: its rows were taken out before these came.
    """
    now = parts.catalog.find([work.item.id for work in works])
    out = [w.item.id for w in works if w.item.id not in now or now[w.item.id].duplicate_of]
    if out:
        parts.archive.remove(out)


def _vectors(
    works: Sequence[Work], cut: Sequence[Sequence[Passage]], parts: Parts
) -> tuple[list[Vectors], list[Usage]]:
    """Each item's vectors, kept ones where they are, the rest computed together; and its share of what that took."""
    meter = Meter()
    embedder = metered(parts.engines.embedder(), meter)
    kept = [None if work.redo else _kept(work, len(found), parts) for work, found in zip(works, cut, strict=True)]
    texts = [p.indexed_text for found, own in zip(cut, kept, strict=True) if own is None for p in found]
    fresh = embedder.embed(texts) if texts else np.zeros((0, embedder.dimensions), np.float32)
    letters = [
        0 if own is not None else sum(len(p.indexed_text) for p in found) for found, own in zip(cut, kept, strict=True)
    ]
    out, at = [], 0
    for work, found, own in zip(works, cut, kept, strict=True):
        if own is not None:
            out.append(own)
            continue
        out.append(fresh[at : at + len(found)])
        at += len(found)
        parts.blobs.put(results.vectors_key(work.item, work.version_key), results.arrow(out[-1]))
    return out, shares(meter.usage, letters)


def _kept(work: Work, n: int, parts: Parts) -> Vectors | None:
    key = results.vectors_key(work.item, work.version_key)
    if not parts.blobs.exists(key):
        return None
    own = results.vectors_of(parts.blobs.read(key))
    return own if len(own) == n else None


def _parameters(item: Item, parts: Parts) -> Mapping[str, str]:
    embedder = parts.engines.embedder()
    # Title, tags, names and edits stand in the rows, so a change of theirs makes the rows stale.
    names = (f"{label}\1{name}" for label, name in sorted(item.speakers.items()))
    edits = (f"\2{item.edited}",) if item.edited else ()
    told = hashlib.sha256("\0".join((item.title, *item.tags, *names, *edits)).encode()).hexdigest()[:16]
    return {"engine": embedder.name, **embedder.parameters(), "told": told}


EMBEDDING = Step(
    name="embedding",
    code_version="2",
    run=embedding,
    needs=("transcript",),
    wants=("speakers", "translation", "enrichment"),
    parameters=_parameters,
    skip=silent,
    gathers=True,
    adopts=False,  # rows of the archive must be written, too
    follows=True,
    description="Passages with vectors in the archive: from here on the item can be searched.",
    kinds=("lancedb",),
)

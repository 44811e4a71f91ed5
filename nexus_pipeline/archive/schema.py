"""The table of passages: its columns, its indexes, and items as rows.

A row's id is `item_id:kind:position`, so writing an item twice replaces its rows.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from lancedb.index import FTS, Bitmap, BTree, LabelList

from nexus_pipeline.archive.stems import indexed
from nexus_pipeline.ports import ItemPassages

WORDS = "indexed_text"
"""Column searched by words: title, speakers and text, in the stems of their language (stems.py)."""
VECTOR = "vector"
"""Column searched by meaning."""
SUMMARY = "summary"
"""The kind of passages that tell what an item says on the whole."""
INDEXES = {
    # stop words stay in, so that "the who" and phrases are found; queries leave them out (words.py)
    WORDS: FTS(with_position=True, language="English", stem=True, ascii_folding=True, remove_stop_words=False),
    "id": BTree(),
    "item_id": BTree(),
    "item_created_at": BTree(),
    "owner": Bitmap(),
    "source": Bitmap(),
    "kind": Bitmap(),
    "language": Bitmap(),
    "tags": LabelList(),
}
"""Made with the table. The vectors' index comes when it begins to pay (tending.py)."""


PREFIX = "passages__"
"""Tables of passages begin so."""
VOICES = "voices__"
"""And those of voices."""


def table_name(embedder: str) -> str:
    """`passages__minilm`: what LanceDB takes as a name."""
    return f"{PREFIX}{re.sub(r'[^A-Za-z0-9.-]+', '_', embedder)}"


def schema(dimensions: int) -> pa.Schema:
    """One row a passage."""
    return pa.schema(
        [
            pa.field("id", pa.utf8(), nullable=False),
            pa.field("item_id", pa.utf8(), nullable=False),
            pa.field("gen", pa.int64(), nullable=False),
            pa.field("partial", pa.bool_(), nullable=False),
            pa.field("owner", pa.utf8(), nullable=False),
            pa.field("source", pa.utf8(), nullable=False),
            pa.field("kind", pa.utf8(), nullable=False),
            pa.field("position", pa.int32(), nullable=False),
            pa.field("start_s", pa.float64(), nullable=False),
            pa.field("end_s", pa.float64(), nullable=False),
            pa.field("text", pa.utf8(), nullable=False),
            pa.field("indexed_text", pa.utf8(), nullable=False),
            pa.field("speaker", pa.utf8()),
            pa.field("language", pa.utf8()),
            pa.field("tags", pa.list_(pa.utf8()), nullable=False),
            pa.field("item_created_at", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), dimensions), nullable=False),
        ]
    )


def row_id(item_id: str, kind: str, position: int) -> str:
    """Stable for a passage of an item."""
    return f"{item_id}:{kind}:{position}"


def rows(items: Sequence[ItemPassages], dimensions: int) -> pa.Table:
    """All passages of some items.

    Raises ValueError where the vectors are not finite or not of shape (passages, dimensions).
    """
    for one in items:
        if one.vectors.shape != (len(one.passages), dimensions) and len(one.passages):
            raise ValueError(
                f"Item {one.item.id} has {len(one.passages)} passages and vectors of shape {one.vectors.shape}; "
                f"the table's vectors have {dimensions} dimensions"
            )
    full = [one for one in items if one.passages]
    none = np.zeros((0, dimensions), np.float32)
    vectors = np.concatenate([none, *(one.vectors for one in full)]).astype(np.float32, copy=False)
    if not np.isfinite(vectors).all():
        raise ValueError("A vector has numbers that are not finite: no search could place it")
    columns = [_row(one, i) for one in full for i in range(len(one.passages))]
    wanted = schema(dimensions)
    arrays = [pa.array([row[name] for row in columns], wanted.field(name).type) for name in wanted.names[:-1]]
    arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimensions))
    return pa.Table.from_arrays(arrays, schema=wanted)


def _row(one: ItemPassages, i: int) -> dict[str, Any]:
    item, passage = one.item, one.passages[i]
    language = passage.language or one.language
    return {
        "id": row_id(item.id, passage.kind, passage.position),
        "item_id": item.id,
        "gen": item.gen,
        "partial": one.partial,
        "owner": item.owner,
        "source": item.source,
        "kind": passage.kind,
        "position": passage.position,
        "start_s": passage.start_s,
        "end_s": passage.end_s,
        "text": passage.text,
        "indexed_text": indexed(passage.indexed_text, language),
        "speaker": passage.speaker,
        "language": language,
        "tags": list(one.tags),
        "item_created_at": item.created_at,
    }

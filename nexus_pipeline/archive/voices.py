"""Voices of speakers, so that the same voice is known again in other items of its owner; one table for each model.

They leave with their item as passages do: `LanceArchive.remove` and `purge` go through these tables, too.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from lancedb.index import BTree

from nexus_pipeline.archive.filters import one_of, quoted
from nexus_pipeline.archive.schema import VECTOR, VOICES
from nexus_pipeline.archive.tables import Tables, read, retried
from nexus_pipeline.archive.tending import COMMITS, KEPT_FOR
from nexus_pipeline.domain.items import Item
from nexus_pipeline.ports import Alike

_INDEXES = {"item_id": BTree()}


class Voices:
    """Writes and finds them; `alone` gives a writer its turn at the table of a name."""

    def __init__(
        self,
        path: str,
        storage_options: Mapping[str, str] | None,
        alone: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        """Opens nothing yet."""
        self._path, self._options, self._alone = path, storage_options, alone

    def know(self, item: Item, voices: Mapping[str, Sequence[float]], space: str) -> None:
        """These are the item's voices in this space, where its gen is not older."""
        if not voices:
            return
        vectors = np.array(list(voices.values()), np.float32)
        tables = self._tables(space, vectors.shape[1])
        schema = _schema(vectors.shape[1])
        columns: dict[str, Sequence[object]] = {
            "id": [f"{item.id}:{label}" for label in voices],
            "item_id": [item.id] * len(voices),
            "gen": [item.gen] * len(voices),
            "owner": [item.owner] * len(voices),
            "label": list(voices),
        }
        arrays = [pa.array(columns[name], schema.field(name).type) for name in schema.names[:-1]]
        arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]))
        rows = pa.Table.from_arrays(arrays, schema=schema)
        surplus = f"item_id = {quoted(item.id)} AND gen <= {item.gen} AND NOT ({one_of('label', voices)})"
        with self._alone(tables.name):
            table = tables.made()
            retried(partial(_merge, table, rows), "written")
            retried(partial(table.delete, surplus), "written")

    def alike(
        self, vector: Sequence[float], space: str, *, owner: str, but: str, least: float, limit: int
    ) -> list[Alike]:
        """Voices of the owner's other items that are at least so much alike, the most alike first."""
        table = self._tables(space, len(vector)).existing()
        if table is None:
            return []
        where = f"owner = {quoted(owner)} AND item_id <> {quoted(but)}"

        def look(t: Any) -> list[dict[str, Any]]:
            asked = t.search(np.array(vector, np.float32), vector_column_name=VECTOR).distance_type("cosine")
            found: list[dict[str, Any]] = asked.where(where, prefilter=True).limit(limit).to_list()
            return found

        found = [Alike(row["item_id"], row["label"], 1.0 - float(row["_distance"])) for row in read(table, look)]
        return [one for one in found if one.likeness >= least]

    def _tables(self, space: str, dimensions: int) -> Tables:
        return Tables(self._path, voices_table(space), _schema(dimensions), self._options, _INDEXES)


def voices_table(space: str) -> str:
    """`voices__titanet-small`: what LanceDB takes as a name."""
    return f"{VOICES}{re.sub(r'[^A-Za-z0-9.-]+', '_', space)}"


def tend(table: Any) -> None:
    """Put what many small writes have left into one file, and clean old versions."""
    if len(table.list_versions()) > COMMITS:
        retried(partial(table.optimize, cleanup_older_than=KEPT_FOR), "tended")


def _merge(table: Any, rows: pa.Table) -> None:
    new = table.merge_insert("id").when_matched_update_all(where="source.gen >= target.gen")
    new.when_not_matched_insert_all().execute(rows)


def _schema(dimensions: int) -> pa.Schema:
    texts = [pa.field(name, pa.utf8(), nullable=False) for name in ("id", "item_id", "owner", "label")]
    gen = pa.field("gen", pa.int64(), nullable=False)
    vector = pa.field(VECTOR, pa.list_(pa.float32(), dimensions), nullable=False)
    return pa.schema([*texts, gen, vector])

"""The archive's table of passages for one embedding model.

Rows of an item are replaced by one merge, where the new gen is not older, and then one delete of what is left of
before. In this order the item is never absent, and a repeat heals what a killed process left between the two.
"""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

from nexus_pipeline.archive import erasing, tending
from nexus_pipeline.archive.filters import one_of, quoted
from nexus_pipeline.archive.locks import turn
from nexus_pipeline.archive.nearness import near
from nexus_pipeline.archive.schema import VOICES, row_id, rows, schema, table_name
from nexus_pipeline.archive.searching import Searcher, check
from nexus_pipeline.archive.tables import PATIENCE_S, Tables, read, retried
from nexus_pipeline.archive.voices import Voices, voices_table
from nexus_pipeline.archive.voices import tend as tend_voices
from nexus_pipeline.domain.errors import Conflict
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.search import Found, Near, Query
from nexus_pipeline.ports import Alike, ItemPassages, Purged, Vectors

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 20_000
"""Of one merge: a gathered batch is a few hundred, and of many long items some 60 MB."""
ITEMS_AT_ONCE = 500
"""In one condition."""
T = TypeVar("T")
_NOTHING = Found(hits=(), total=0, total_is_bound=False, facets={})
_TOLD = ("gen", "partial", "owner", "kind", "position", "start_s", "end_s", "text", "indexed_text", "speaker")


class LanceArchive:
    """Passages in LanceDB, in a folder or on S3; safe to share between threads."""

    def __init__(
        self,
        path: str,
        embedder: str,
        dimensions: int,
        *,
        storage_options: Mapping[str, str] | None = None,
    ) -> None:
        """Opens nothing yet. `path`: an absolute folder or an `s3://` URL."""
        self._dimensions = dimensions
        self._tables = Tables(path, table_name(embedder), schema(dimensions), storage_options)
        self._voices = Voices(path, storage_options, self._alone)
        self._searcher = Searcher(storage_options)
        self._writing = threading.Lock()
        self._tended_version = 0

    # ---------------------------------------------------------------- reading

    def search(self, query: Query, vector: Vectors | None = None) -> Found:
        """Filters before search; an empty archive finds nothing. Raises BadInput for what cannot be asked."""
        check(query, vector)
        table = self._tables.existing()
        if table is None:
            return _NOTHING
        return read(table, lambda t: self._searcher.search(t, query, vector))

    def count(self, item_id: str | None = None) -> int:
        """Passages of an item, or of all."""
        table = self._tables.existing()
        if table is None:
            return 0
        where = None if item_id is None else one_of("item_id", [item_id])
        return read(table, lambda t: int(t.count_rows(where)))

    def counts(self, item_ids: Sequence[str]) -> dict[str, int]:
        """Passages of each of these items; items without any are left out."""
        table = self._tables.existing()
        found: dict[str, int] = {}
        if table is None:
            return found
        for some in _some(list(dict.fromkeys(item_ids)), ITEMS_AT_ONCE):
            ids = read(table, partial(_rows_of, item_ids=some, columns=["item_id"]))
            for pair in ids["item_id"].value_counts().to_pylist():
                found[pair["values"]] = pair["counts"]
        return found

    def passages(self, item_id: str) -> list[Mapping[str, Any]]:
        """An item's rows without vectors, in order of time."""
        table = self._tables.existing()
        if table is None:
            return []
        columns = ["id", "item_id", *_TOLD, "language", "tags", "item_created_at"]
        found = read(table, lambda t: _rows_of(t, [item_id], columns)).to_pylist()
        return sorted(found, key=lambda row: (row["start_s"], row["kind"], row["position"]))

    def near(self, item_id: str, *, owner: str, limit: int = 50) -> list[Near]:
        """The owner's other items that say the like of this one, the most alike first: 50 at most."""
        table = self._tables.existing()
        return [] if table is None else read(table, lambda t: near(t, item_id, owner, limit))

    # ---------------------------------------------------------------- writing

    def renew(self) -> bool:
        """A table of another layout, of a Nexus before this one, goes: what is written next makes it anew."""
        with self._alone():
            return self._tables.renew()

    def replace(self, items: Sequence[ItemPassages]) -> None:
        """Merge these items' passages, then delete what is older or surplus. Raises Conflict, StoreFull, StoreError."""
        wanted = _newest(items)
        if not any(one.passages for one in wanted) and self._tables.existing() is None:
            return
        with self._alone():
            table = self._tables.made()
            for group in _groups(wanted):
                self._replace(table, group)
        self._catch_up(table)
        log.info("replaced items=%d passages=%d", len(wanted), sum(len(one.passages) for one in wanted))

    def remove(self, item_ids: Sequence[str]) -> None:
        """No row of these items is left, nor in tables of other embedders. Raises Conflict, StoreFull, StoreError.

        Their words are still in the files until `purge`.
        """
        if not item_ids:
            return
        for name, table in self._tables.all().items():
            with self._alone(name):
                for some in _some(list(item_ids), ITEMS_AT_ONCE):
                    retried(partial(table.delete, one_of("item_id", some)), "written")

    def know(self, item: Item, voices: Mapping[str, Sequence[float]], space: str) -> None:
        """These are the item's voices and no others: unit vectors by label. Raises Conflict, StoreFull, StoreError."""
        own = voices_table(space) if voices else None
        for name, table in self._tables.all().items():
            if name.startswith(VOICES) and name != own:
                with self._alone(name):
                    retried(partial(table.delete, one_of("item_id", [item.id])), "written")
        self._voices.know(item, voices, space)

    def alike(
        self, vector: Sequence[float], space: str, *, owner: str, but: str, least: float, limit: int = 20
    ) -> list[Alike]:
        """Voices of the owner's other items that are at least so much alike, the most alike first."""
        return self._voices.alike(vector, space, owner=owner, but=but, least=least, limit=limit)

    def _replace(self, table: Any, group: Sequence[ItemPassages]) -> None:
        new = rows(group, self._dimensions)
        if new.num_rows:
            retried(
                lambda: (
                    table.merge_insert("id")
                    .when_matched_update_all(where="source.gen >= target.gen")
                    .when_not_matched_insert_all()
                    .execute(new)
                ),
                "written",
            )
        for some in _some(list(group), ITEMS_AT_ONCE):
            stale = read(table, partial(_stale, group=some))
            if stale:
                retried(partial(table.delete, stale), "written")

    def _catch_up(self, table: Any) -> None:
        folder = self._tables.folder
        if folder is None:  # where there are no turns, whoever schedules care indexes
            return
        with turn(folder / f"{self._tables.name}.tended", 0.0) as file:
            if file is not None:
                read(table, tending.catch_up)

    # ---------------------------------------------------------------- care

    def needs_tending(self) -> bool:
        """Whether 50 commits or 1,000 rows without index have come since the last care; a few milliseconds."""
        table = self._tables.existing()
        if table is None:
            return False
        commits = read(table, lambda t: int(t.version)) - self._tended()
        if commits >= tending.COMMITS or commits < 0:  # fewer than none: the table was made anew
            return True
        return read(table, tending.unindexed) > tending.UNINDEXED

    def tend(self, *, full: bool = False) -> Mapping[str, float]:
        """One round of care, by one process at a time; `{"busy": 1}` where another one is at it.

        On S3 the caller sees to it that only one does. `full` merges all segments: for a quiet hour.
        """
        table = self._tables.existing()
        if table is None:
            return {}
        folder = self._tables.folder
        if folder is None:
            done = self._tend(table, full=full)
        else:
            with turn(folder / f"{self._tables.name}.tended", 0.0) as file:
                if file is None:
                    return {"busy": 1.0}
                done = self._tend(table, full=full)
                (folder / f"{self._tables.name}.tended").write_text(str(self._tended_version))
        log.info("tended %s", " ".join(f"{name}={number:g}" for name, number in done.items()))
        return done

    def purge(self) -> Purged:
        """Write every table anew without what was removed before. Raises Conflict while care takes over a minute."""
        marks: dict[str, int] = {}
        versions = 0
        for name, table in self._tables.all().items():
            with self._caring(name):
                marks[name] = read(table, erasing.purge)
            versions += read(table, partial(erasing.older, version=marks[name]))
        log.info("purged tables=%d versions=%d", len(marks), versions)
        return Purged(marks, versions)

    def held(self, marks: Mapping[str, int]) -> int:
        """How many versions older than these are left, once those older than a minute are gone."""
        left = 0
        for name, table in self._tables.all().items():
            if name in marks:
                with self._caring(name), self._alone(name):
                    erasing.clean(table, alone=self._tables.folder is not None)
                left += read(table, partial(erasing.older, version=marks[name]))
        return left

    @contextmanager
    def _caring(self, name: str) -> Iterator[None]:
        """Nobody else cares for the table meanwhile. On S3 whoever schedules care sees to it."""
        folder = self._tables.folder
        if folder is None:
            yield
            return
        with turn(folder / f"{name}.tended", PATIENCE_S) as file:
            if file is None:
                raise Conflict("Care of the archive has taken over a minute: try again when it is done")
            yield

    def _tend(self, table: Any, *, full: bool) -> dict[str, float]:
        for name, other in self._tables.all().items():
            if name.startswith(VOICES):
                tend_voices(other)
        made = self._tables.index(table)
        done = read(table, lambda t: tending.tend(t, full=full))
        self._tended_version = int(done["version"])
        return {**done, "indexes_made": float(made)}

    def _tended(self) -> int:
        """The version that the last care left, whoever cared; on S3 only this process's own care is known."""
        folder = self._tables.folder
        if folder is not None:
            try:
                return int((folder / f"{self._tables.name}.tended").read_text() or 0)
            except FileNotFoundError:
                return 0
        return self._tended_version

    @contextmanager
    def _alone(self, name: str | None = None) -> Iterator[None]:
        """Writers of one machine take turns: their commits would conflict, and their deletes cross.

        Raises Conflict when the turn does not come. Writers elsewhere meet in the vendor's commits, which are retried.
        """
        folder = self._tables.folder
        if folder is None:
            with self._writing:
                yield
            return
        with turn(folder / f"{name or self._tables.name}.writing", PATIENCE_S) as file:
            if file is None:
                raise Conflict("Another process has been writing to the archive for a minute: is it hanging?")
            yield


def _newest(items: Sequence[ItemPassages]) -> list[ItemPassages]:
    """One of each item: the last one with the highest gen."""
    found: dict[str, ItemPassages] = {}
    for one in items:
        before = found.get(one.item.id)
        if before is None or one.item.gen >= before.item.gen:
            found[one.item.id] = one
    return list(found.values())


def _groups(items: Sequence[ItemPassages]) -> Iterator[list[ItemPassages]]:
    group: list[ItemPassages] = []
    size = 0
    for one in items:
        if group and size + len(one.passages) > ROWS_AT_ONCE:
            yield group
            group, size = [], 0
        group.append(one)
        size += len(one.passages)
    if group:
        yield group


def _some(all_: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (all_[i : i + size] for i in range(0, len(all_), size))


def _rows_of(table: Any, item_ids: Sequence[str], columns: list[str]) -> Any:
    return table.search().where(one_of("item_id", item_ids)).select(columns).to_arrow()


def _stale(table: Any, group: Sequence[ItemPassages]) -> str | None:
    """What the merge leaves to be deleted, as SQL; None for nothing, as for every first write.

    Where a newer gen is there, this writer came too late and what it inserted goes.
    """
    there = _rows_of(table, [one.item.id for one in group], ["id", "item_id", "gen"]).to_pylist()
    of: dict[str, list[Mapping[str, Any]]] = {}
    for row in there:
        of.setdefault(row["item_id"], []).append(row)
    conditions = []
    for one in group:
        own = {row_id(one.item.id, p.kind, p.position) for p in one.passages}
        newest = max((row["gen"] for row in of.get(one.item.id, [])), default=one.item.gen)
        item = f"item_id = {quoted(one.item.id)}"
        if newest > one.item.gen:
            if any(row["gen"] < newest for row in of[one.item.id]):
                conditions.append(f"({item} AND gen < {newest})")
        elif any(row["id"] not in own for row in of.get(one.item.id, [])):
            conditions.append(f"({item} AND gen <= {one.item.gen} AND NOT ({_kept(one)}))")
    return " OR ".join(conditions) or None


def _kept(one: ItemPassages) -> str:
    """The item's own rows, in a few words of SQL: positions of a kind follow one another, in each language."""
    positions: dict[str, list[int]] = {}
    for passage in one.passages:
        positions.setdefault(passage.kind, []).append(passage.position)
    conditions = []
    for kind, own in positions.items():
        where = " OR ".join(f"position BETWEEN {first} AND {last}" for first, last in _runs(own))
        conditions.append(f"(kind = {quoted(kind)} AND ({where}))")
    return " OR ".join(conditions) or "false"


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of those that follow one another without a gap."""
    ordered = sorted(set(numbers))
    gaps = [(before, after) for before, after in pairwise(ordered) if after != before + 1]
    firsts, lasts = [after for _, after in gaps], [before for before, _ in gaps]
    return zip([*ordered[:1], *firsts], [*lasts, *ordered[-1:]], strict=True)

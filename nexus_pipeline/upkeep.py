"""What keeps the stores true, without Dagster: erase, rebuild, compact, check."""

from collections.abc import Callable, Iterator, Mapping

from nexus_pipeline import results
from nexus_pipeline.domain import errors
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.listing import ItemQuery
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.ports import ItemPassages
from nexus_pipeline.wiring import Parts

TOGETHER = 64
"""Items written in one commit."""


def all_items(parts: Parts, **filters: object) -> Iterator[Item]:
    """Every item of the catalog, a page at a time."""
    cursor: str | None = None
    while True:
        page = parts.catalog.page(ItemQuery(limit=200, cursor=cursor, **filters))  # type: ignore[arg-type]
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def erase(parts: Parts, item_id: str) -> dict[str, object]:
    """Everything of the item goes: tombstone first, then archive, blobs, rows. Its oldest copy is the first then.

    That copy takes over the transcript, so nothing is heard again. Raises NotFound. What a crash leaves is finished
    by doing it again, and by `finish_erasing`.
    """
    buried = {item.id: item for item in parts.catalog.buried()}
    if item_id not in buried:
        _hand_over(parts, parts.catalog.get(item_id))
        buried[item_id] = parts.catalog.bury(item_id)
    return _erase(parts, buried[item_id])


def finish_erasing(parts: Parts) -> int:
    """Erase what is buried and not gone yet; how many items."""
    buried = parts.catalog.buried()
    for item in buried:
        _erase(parts, item)
    return len(buried)


def _erase(parts: Parts, item: Item) -> dict[str, object]:
    passages = parts.archive.count(item.id)
    parts.archive.remove([item.id])
    blobs = parts.blobs.delete(item.key(""))
    for key in (item.inbox_key, item.sidecar_key):
        if key:
            blobs += parts.inbox.delete(key)
    rows = parts.catalog.forget(item.id)
    return {"item_id": item.id, "erased": {"blobs": blobs, "rows": rows, "passages": passages}}


def _hand_over(parts: Parts, item: Item) -> None:
    """Keep the transcript for the oldest copy, shifted to its own seconds."""
    copies = parts.catalog.copies_of(item.id)
    if not copies:
        return
    heir = min(copies, key=lambda copy: (copy.created_at, copy.id))
    transcript = results.transcript_of(heir, parts)
    if transcript is not None:
        parts.blobs.put(heir.key("transcript", results.INHERITED), results.dumped(transcript))


def tend(parts: Parts, *, full: bool = False) -> Mapping[str, float]:
    """Compact, index and clean the archive; in full also what is costly. Returns numbers of what was done."""
    return parts.archive.tend(full=full)


def rebuild(parts: Parts, progress: Callable[[int], None] = lambda _done: None) -> dict[str, int]:
    """Write the archive anew from blobs and catalog; nothing is computed again. `progress` is told items done.

    Items whose vectors are not kept for the embedder in use are counted as `stale`: they need a run, not a rebuild.
    """
    counts = {"items": 0, "passages": 0, "stale": 0}
    together: list[ItemPassages] = []
    for item in all_items(parts):
        status = item.step("embedding")
        if status.state is not State.DONE or not status.version_key:
            continue
        key = results.vectors_key(item, status.version_key)
        if status.engine != parts.engines.embedder().name or not parts.blobs.exists(key):
            counts["stale"] += 1
            continue
        found = results.cut(item, parts)
        together.append(results.rows(item, found, results.vectors_of(parts.blobs.read(key)), parts))
        counts["items"] += 1
        counts["passages"] += len(found)
        if len(together) >= TOGETHER:
            parts.archive.replace(together)
            together = []
            progress(counts["items"])
    if together:
        parts.archive.replace(together)
    progress(counts["items"])
    return counts


def check(parts: Parts) -> list[str]:
    """What disagrees between blobs, archive and catalog: one line each, saying what mends it."""
    wrong: list[str] = []
    for item in all_items(parts, states=(ItemState.DONE, ItemState.DUPLICATE, ItemState.FAILED)):
        for status in item.steps:
            if status.state is State.DONE and status.blob and not parts.blobs.exists(status.blob):
                wrong.append(
                    f"item {item.id}: the result of {status.step} is gone; `nexus rerun {item.id} --from {status.step}`"
                )
        there = parts.archive.count(item.id)
        if item.step("embedding").state is State.DONE:
            try:
                due = len(results.cut(item, parts))
            except errors.NotFound:
                continue
            if there != due:
                wrong.append(f"item {item.id}: {there} passages in the archive, {due} due; `nexus rebuild`")
        elif there and item.state is not ItemState.RUNNING and item.step("embedding").state is State.SKIPPED:
            wrong.append(f"item {item.id}: {there} passages in the archive of an item that has none; `nexus rebuild`")
    return wrong

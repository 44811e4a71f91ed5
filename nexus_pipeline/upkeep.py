"""What keeps the stores true, without Dagster: erase, rebuild, compact, check."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from nexus_pipeline import results
from nexus_pipeline.domain import errors
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.listing import ItemQuery, Receipt
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.ports import ItemPassages
from nexus_pipeline.wiring import Parts, intake

log = logging.getLogger(__name__)

TOGETHER = 64
"""Items written in one commit."""
READ_FOR = timedelta(seconds=61)
"""Somebody may read a version of the archive for so long after the next one came: its care keeps them for a minute."""


def all_items(parts: Parts, **filters: object) -> Iterator[Item]:
    """Every item of the catalog, a page at a time."""
    cursor: str | None = None
    while True:
        page = parts.catalog.page(ItemQuery(limit=200, cursor=cursor, **filters))  # type: ignore[arg-type]
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


# ---------------------------------------------------------------- erasing


def bury(parts: Parts, item_id: str) -> Item:
    """The item is in no answer from now on, and what still lands of it is dropped; quick. Raises NotFound.

    Its oldest copy is the first then and takes over the transcript, so nothing is heard again. `finish_erasing` takes
    out what is left, `settle` sees to it that no file holds any of it.
    """
    _hand_over(parts, parts.catalog.get(item_id))
    buried = parts.catalog.bury(item_id)
    try:
        parts.catalog.counted(item_id, blobs=0, passages=parts.archive.counts([item_id]).get(item_id, 0))
        parts.archive.remove([item_id])  # else facets would tell of it
    except errors.StoreError as error:
        log.warning("left to care item_id=%s code=%s", item_id, error.code)
    return buried


def finish_erasing(parts: Parts) -> int:
    """Take what is buried out of archive, blobs and rows, in this order; how many items. After a crash: again."""
    buried = parts.catalog.buried()
    for item in buried:
        _take_out(parts, item)
    return len(buried)


def settle(parts: Parts, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> int:
    """Complete the receipts of items of which nothing is left in any file; how many.

    The archive's data and indexes are written anew first; a minute later, when nobody reads its older versions any
    more, these are cleaned. What a run that knew nothing of it has left meanwhile goes, and it takes another round.
    """
    finish_erasing(parts)
    fresh = [one.item_id for one in parts.catalog.open_receipts() if one.marks is None]
    if fresh:
        purged = parts.archive.purge()
        parts.catalog.purged(fresh, purged.marks, purged.versions)
    due = [one for one in parts.catalog.open_receipts() if is_due(one, now())]
    due = [one for one in due if not _left_over(parts, one)]
    if not due or not parts.catalog.scrub():
        return 0
    clean = [one.item_id for one in due if parts.archive.held(one.marks or {}) == 0]
    parts.catalog.settle(clean)
    return len(clean)


def erasing_is_due(parts: Parts) -> bool:
    """Whether `settle` has something to do now; cheap."""
    now = datetime.now(UTC)
    return any(is_due(one, now) for one in parts.catalog.open_receipts()) or bool(parts.catalog.buried(1))


def is_due(receipt: Receipt, now: datetime) -> bool:
    """Whether the archive is to be written anew for it, or its older versions may be cleaned."""
    return receipt.purged_at is None or now - receipt.purged_at > READ_FOR


def receipt(parts: Parts, item_id: str) -> dict[str, object]:
    """The contract's receipt; `at` is None until nothing is left. Raises NotFound where nothing was erased."""
    told = parts.catalog.receipt(item_id)
    numbers = {name: getattr(told, name) for name in ("blobs", "rows", "passages", "versions")}
    return {"item_id": item_id, "erased": numbers, "at": told.at.isoformat() if told.at else None}


def erase(parts: Parts, item_id: str) -> dict[str, object]:
    """Bury it and take it out of all stores; its receipt, which `settle` completes. Raises NotFound."""
    bury(parts, item_id)
    finish_erasing(parts)
    return receipt(parts, item_id)


def make_way(parts: Parts, item_ids: Iterable[str]) -> None:
    """Finish erasing those of these that are buried: what is added anew must find nothing of what it was."""
    wanted = set(item_ids)
    for item in parts.catalog.buried():
        if item.id in wanted:
            _take_out(parts, item)


def _take_out(parts: Parts, item: Item) -> None:
    kept, waiting = list(parts.blobs.under(item.key(""))), _waiting(parts, item)
    passages = parts.archive.counts([item.id]).get(item.id, 0)
    parts.catalog.counted(item.id, blobs=len(kept) + len(waiting), passages=passages)
    parts.archive.remove([item.id])
    parts.blobs.delete(item.key(""))
    for key in waiting:
        parts.inbox.delete(key)
    parts.forget_files(item.id)
    parts.catalog.forget(item.id)


def _waiting(parts: Parts, item: Item) -> list[str]:
    """What waits in the inbox for it."""
    told = (item.inbox_key, item.sidecar_key, intake.request_key(item.id))
    upload = {info.key for info in parts.inbox.under(intake.upload_folder(item.id))}
    return sorted(upload | {key for key in told if key and parts.inbox.exists(key)})


def _left_over(parts: Parts, told: Receipt) -> bool:
    """Whether a run has written something after it was taken out; that goes, too. One that is alive again keeps all."""
    if not parts.catalog.is_erased(told.item_id):
        return False
    found = parts.catalog.tombstone(told.item_id)
    blob = next(iter(parts.blobs.under(found.key(""))), None)
    if blob is None and not _waiting(parts, found) and not parts.archive.counts([found.id]):
        return False
    _take_out(parts, found)
    return True


def _hand_over(parts: Parts, item: Item) -> None:
    """Keep the transcript and its translations for the oldest copy, shifted to its own seconds."""
    copies = parts.catalog.copies_of(item.id)
    if not copies:
        return
    heir = min(copies, key=lambda copy: (copy.created_at, copy.id))
    transcript = results.transcript_of(heir, parts, as_heard=True)  # edits are handed over with the catalog's rows
    if transcript is not None:
        parts.blobs.put(heir.key("transcript", results.INHERITED), results.dumped(transcript))
    for to, told in results.translations_of(heir, parts).items():
        parts.blobs.put(heir.key("translation", to, results.INHERITED), results.handed_on(told))


# ---------------------------------------------------------------- care


def tend(parts: Parts, *, full: bool = False) -> Mapping[str, float]:
    """Compact, index and clean the archive; in full also what is costly. Returns numbers of what was done.

    Receipts of erased items are completed where that can be.
    """
    return {**parts.archive.tend(full=full), "receipts": float(settle(parts))}


def rebuild(parts: Parts, progress: Callable[[int], None] = lambda _done: None) -> dict[str, int]:
    """Write the archive anew from blobs and catalog; nothing is computed again. `progress` is told items done.

    A table that an older Nexus made, with other columns, goes first.
    Items whose vectors are not kept for the embedder in use are counted as `stale`: they need a run, not a rebuild.
    """
    counts = {"items": 0, "passages": 0, "stale": 0}
    together: list[ItemPassages] = []
    parts.archive.renew()
    for item in all_items(parts):
        status = item.step("embedding")
        if status.state is not State.DONE or not status.version_key:
            continue
        key = results.vectors_key(item, status.version_key)
        if status.engine != parts.engines.embedder().name or not parts.blobs.exists(key):
            counts["stale"] += 1
            continue
        found, vectors = results.cut(item, parts), results.vectors_of(parts.blobs.read(key))
        if len(found) != len(vectors):  # what they were cut from has been made again since
            counts["stale"] += 1
            continue
        if parts.settings.know_voices:
            speaking = results.speaking_of(item, parts)
            parts.archive.know(item, speaking.voices, speaking.space)
        together.append(results.rows(item, found, vectors, parts))
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


def check(parts: Parts, progress: Callable[[int], None] = lambda _done: None) -> list[str]:
    """What disagrees between blobs, archive and catalog: one line each, saying what mends it.

    `progress` is told items looked at.
    """
    wrong: list[str] = []
    looked_at = all_items(parts, states=(ItemState.DONE, ItemState.DUPLICATE, ItemState.FAILED))
    for done, item in enumerate(looked_at):
        progress(done)
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

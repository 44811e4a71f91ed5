"""Catalog, blobs, inbox and archive: whether they answer, and whether they agree."""

import os
from collections.abc import Iterator

from nexus_api.diagnosis.finding import Finding, fine, tried, wrong
from nexus_pipeline.domain.errors import NexusError
from nexus_pipeline.domain.states import ItemState
from nexus_pipeline.wiring import Parts

_PROBE = ".nexus-doctor"
_SHOWN = 10
"""Disagreements that are told one by one."""


def looked_at(parts: Parts, *, full: bool) -> Iterator[Finding]:
    """All of them; in full also each item."""
    catalog = tried("catalog", lambda: f"{sum(parts.catalog.counts().values())} items", "look at NEXUS_CATALOG")
    yield catalog
    yield tried("blobs", lambda: _writable(parts, "blobs"), "look at NEXUS_BLOBS, or at who may write there")
    yield tried("inbox", lambda: _writable(parts, "inbox"), "look at NEXUS_INBOX, or at who may write there")
    archive = tried(
        "archive",
        lambda: f"{parts.archive.count()} passages",
        "look at NEXUS_ARCHIVE; what is damaged is written anew from what is kept",
        "nexus rebuild",
    )
    yield archive
    if catalog.ok and archive.ok:
        yield from _agreement(parts, full=full)


def _writable(parts: Parts, name: str) -> str:
    """Writes, reads and deletes one small object."""
    store = parts.inbox if name == "inbox" else parts.blobs
    key = f"{_PROBE}/{os.getpid()}"
    store.put(key, b"nexus")
    try:
        if store.read(key) != b"nexus":
            raise NexusError("what was written is not what is read")
        return "written and read"
    finally:
        store.delete(key)


def _agreement(parts: Parts, *, full: bool) -> Iterator[Finding]:
    """Without `full` only what is seen at once: items that are done, and nothing to find."""
    if not full:
        done = parts.catalog.counts().get(ItemState.DONE, 0)
        if done and not parts.archive.count():
            yield wrong(
                "agreement",
                f"{done} items are done, and the archive has no passage",
                "write it anew from what is kept; items without speech alone have none",
                "nexus rebuild",
            )
        return
    from nexus_pipeline import upkeep

    try:
        found = upkeep.check(parts)
    except (NexusError, OSError) as error:
        yield wrong("agreement", str(error), "look at the stores above")
        return
    if not found:
        yield fine("agreement", "catalog, blobs and archive agree")
    for told in found[:_SHOWN]:
        what, _, mends = told.rpartition("; ")
        yield wrong("agreement", what, "bring them together", mends.strip("`"))
    if len(found) > _SHOWN:
        yield wrong("agreement", f"and {len(found) - _SHOWN} more", "write the archive anew first", "nexus rebuild")

"""fingerprint: byte and acoustic identity; finds the older item of which this one is a copy."""

import hashlib
from dataclasses import dataclass

import numpy as np

from nexus_pipeline.domain.items import Item
from nexus_pipeline.ports import SubFingerprints
from nexus_pipeline.results import read
from nexus_pipeline.steps.step import Landed, Step, Work, one_by_one
from nexus_pipeline.wiring import Parts

RATE = 11_025
"""Hz; what Chromaprint resamples to anyway."""


@dataclass(frozen=True)
class RawResult:
    """The part of raw's result that later steps read."""

    original: str
    files: dict[str, str]
    transcript: str | None = None


def fingerprint(work: Work, parts: Parts) -> Landed:
    """Digest, acoustic fingerprint, and the link to the first item if this is a copy of it."""
    item, made = work.item, read(work.item, "raw", RawResult, parts)
    digest = _digest(item, made.original, parts)
    work.progress(0.1)
    sub = np.zeros(0, np.uint32)
    if "speech" in made.files:
        with parts.blobs.local(made.files["speech"]) as path:
            sub = parts.fingerprinter.fingerprint(parts.media.pcm(path, RATE), RATE)
    work.progress(0.9)
    # Kept and indexed before looking: of two copies that come at once, at least one finds the other.
    parts.blobs.put(_acoustic_key(item, work.version_key), sub.astype("<u4").tobytes())
    keys = parts.fingerprinter.keys(sub)
    parts.catalog.fingerprinted(item, digest, keys)
    first = None if item.unique else _first(item, digest, sub, keys, parts)
    numbers = {"sub_fingerprints": len(sub), "keys": len(keys), "duplicate": int(first is not None)}
    # The link stands in the catalog already; landing it again could undo what an older item has found meanwhile.
    return Landed(work, result={"digest": digest}, numbers=numbers)


def _acoustic_key(item: Item, version_key: str) -> str:
    """Little-endian 32-bit sub-fingerprints, beside the step's result."""
    return item.key("fingerprint", f"{version_key}.u32")


def _digest(item: Item, original: str, parts: Parts) -> str:
    digest = hashlib.sha256()
    for chunk in parts.blobs.stream(original):
        digest.update(chunk)
    if item.sidecar_digest:
        digest.update(item.sidecar_digest.encode())
    return digest.hexdigest()


def _first(item: Item, digest: str, sub: SubFingerprints, keys: list[int], parts: Parts) -> Item | None:
    """The item of which this one is a copy, linked."""
    same = parts.catalog.first_of(item, digest)
    if same is not None:
        return _link(item, same.id, 0.0, parts)
    candidates = parts.catalog.candidates(item, keys) if keys else []
    known = parts.catalog.find([other for other, _ in candidates])
    for other_id, _ in candidates:
        theirs = _acoustic(known.get(other_id), parts)
        if theirs is None:
            continue
        match = parts.fingerprinter.compare(theirs, sub)
        if match.relation == "duplicate":
            return _link(item, other_id, match.offset_s, parts)
    return None


def _link(item: Item, other_id: str, offset_s: float, parts: Parts) -> Item | None:
    """Link the two; when this one is the older, the other is its copy and must not be found beside it."""
    first = parts.catalog.link(item, other_id, "duplicate", offset_s)
    if first is None:
        parts.archive.remove([other_id])
    return first


def _acoustic(other: Item | None, parts: Parts) -> SubFingerprints | None:
    """Another item's sub-fingerprints, if they were made as today's are."""
    if other is None or other.unique:
        return None
    key = _acoustic_key(other, FINGERPRINT.key(other, parts))
    return np.frombuffer(parts.blobs.read(key), "<u4").astype(np.uint32) if parts.blobs.exists(key) else None


FINGERPRINT = Step(
    name="fingerprint",
    code_version="1",
    run=one_by_one(fingerprint),
    needs=("raw",),
    parameters=lambda _item, parts: parts.fingerprinter.parameters(),
    description="SHA-256 and the whole item's acoustic fingerprint; copies are linked to the first item.",
    kinds=("chromaprint",),
)

"""fingerprint: byte and acoustic identity; finds whose copy it is, or with whom it shares sound."""

import hashlib

import numpy as np

from nexus_pipeline.domain import errors
from nexus_pipeline.domain.fingerprints import Match, Related
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.waveform import Peaks
from nexus_pipeline.ports import SubFingerprints
from nexus_pipeline.results import RawResult, peaks_key, read
from nexus_pipeline.steps.step import Landed, Step, Work, one_by_one
from nexus_pipeline.wiring import Parts

CANDIDATES = 100
"""So many are compared; the hour that an excerpt of 10 s was cut from was among them in all of 32 cases, of 100,000
items that hold a fiftieth of its keys (bench/fingerprint.py)."""
KNOWN = 200
"""So many of those that it was related to before are compared again."""
RATE = 11_025
"""Hz; what Chromaprint resamples to anyway."""


def fingerprint(work: Work, parts: Parts) -> Landed:
    """Digest, acoustic fingerprint, and the link to the first item if this is a copy of it; else what it shares."""
    item, made = work.item, read(work.item, "raw", RawResult, parts)
    digest = _digest(item, made.original, parts)
    work.progress(0.1)
    sub = np.zeros(0, np.uint32)
    if "speech" in made.files:
        peaks = Peaks(RATE)
        with parts.blobs.local(made.files["speech"]) as path:
            sub = parts.fingerprinter.fingerprint(peaks.passing(parts.media.pcm(path, RATE)), RATE)
        parts.blobs.put(peaks_key(item, work.version_key), peaks.made())
    work.progress(0.9)
    # Kept and indexed before looking: of two copies that come at once, at least one finds the other.
    parts.blobs.put(acoustic_key(item, work.version_key), sub.astype("<u4").tobytes())
    keys = parts.fingerprinter.keys(sub)
    parts.catalog.fingerprinted(item, digest, keys)
    first, related = look(work, digest, sub, parts)
    numbers = {
        "sub_fingerprints": len(sub),
        "keys": len(keys),
        "duplicate": int(first is not None),
        "related": related,
    }
    # The link stands in the catalog already; landing it again could undo what an older item has found meanwhile.
    return Landed(work, result={"digest": digest}, numbers=numbers)


def acoustic_key(item: Item, version_key: str) -> str:
    """Little-endian 32-bit sub-fingerprints, beside the step's result."""
    return item.key("fingerprint", f"{version_key}.u32")


def _digest(item: Item, original: str, parts: Parts) -> str:
    digest = hashlib.sha256()
    for chunk in parts.blobs.stream(original):
        digest.update(chunk)
    if item.sidecar_digest:
        digest.update(item.sidecar_digest.encode())
    return digest.hexdigest()


def look(work: Work, digest: str, sub: SubFingerprints, parts: Parts) -> tuple[Item | None, int]:
    """The item of which this one is a copy, linked; else with how many it shares sound, and where is kept.

    A copy is looked at no further: what its first shares, it shares.
    """
    item = work.item
    same = None if item.unique else parts.catalog.first_of(item, digest)
    if same is not None and (first := _link(item, same.id, 0.0, parts)) is not None:
        return first, 0
    found, compared = [], []
    for other in _near(item, sub, parts):
        if work.cancelled():
            raise errors.Cancelled("cancelled while it was compared with others")
        theirs = _acoustic(other, parts)
        if theirs is None:
            continue
        match = parts.fingerprinter.compare(theirs, sub)
        if match.relation == "duplicate" and not (item.unique or other.unique):
            if (first := _link(item, other.id, match.offset_s, parts)) is not None:
                return first, 0
            continue
        compared.append(other.id)
        if match.relation is not None:
            found.append(_related(item, other, match))
    parts.catalog.relate(item, found, compared)
    return None, len(found)


def _near(item: Item, sub: SubFingerprints, parts: Parts) -> list[Item]:
    """Whom to compare it with: who holds the same rare keys, and who was related to it before."""
    probes = parts.fingerprinter.probes(sub)
    ids = [other for other, _ in parts.catalog.candidates(item, probes, limit=CANDIDATES)] if probes else []
    before = (one.other_id for one in parts.catalog.related(item.id, KNOWN) if one.relation != "duplicate")
    return list(parts.catalog.find(list(dict.fromkeys([*ids, *before]))).values())


def _related(item: Item, other: Item, match: Match) -> Related:
    """The match of the other with this one, seen from this one. What a person keeps apart merely shares."""
    stretches = tuple(sorted((s.turned for s in match.stretches), key=lambda s: (s.start_s, s.other_start_s)))
    if match.relation == "excerpt":
        return Related(other.id, "excerpt", stretches, {"a": other.id, "b": item.id}[match.excerpt or "b"])
    return Related(other.id, "shared", stretches)


def _link(item: Item, other_id: str, offset_s: float, parts: Parts) -> Item | None:
    """Link the two; when this one is the older, the other is its copy and must not be found beside it."""
    first = parts.catalog.link(item, other_id, offset_s)
    if first is None:
        # unless a person keeps the two apart
        copies = [x.id for x in parts.catalog.find([other_id]).values() if x.duplicate_of is not None]
        parts.archive.remove(copies)
    return first


def _acoustic(other: Item, parts: Parts) -> SubFingerprints | None:
    """Another item's sub-fingerprints, if they were made as today's are."""
    key = acoustic_key(other, FINGERPRINT.key(other, parts))
    return np.frombuffer(parts.blobs.read(key), "<u4").astype(np.uint32) if parts.blobs.exists(key) else None


FINGERPRINT = Step(
    name="fingerprint",
    code_version="2",
    run=one_by_one(fingerprint),
    needs=("raw",),
    parameters=lambda _item, parts: parts.fingerprinter.parameters(),
    description="SHA-256 and the whole item's acoustic fingerprint; copies are linked to the first item,"
    " what else shares sound with it is kept.",
    kinds=("chromaprint",),
)

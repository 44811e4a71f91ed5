"""A catalog of very many items that have fingerprints, and how long one more takes among them.

The crowd's keys are real ones with bits changed, chosen by value as the engine chooses: a fiftieth is unchanged, so
whoever is sought has a dozen strangers at each key. Its database is built once for each size and kept in `.data`.
"""

import json
import os
import shutil
import sqlite3
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from bench.bare import Work
from nexus_pipeline.catalog import SqlCatalog
from nexus_pipeline.catalog.identity import posting_keys
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Item, NewItem, item_id
from nexus_pipeline.engines.chromaprint import MINUTE, Chromaprint, chosen
from nexus_pipeline.ports import SubFingerprints
from nexus_pipeline.settings import Settings
from nexus_pipeline.steps.fingerprint import FINGERPRINT, acoustic_key, look
from nexus_pipeline.wiring import Parts

PLAIN, NEAR = 0.02, 0.08
"""Shares of a stranger's keys that are some item's own, and that are one or two bits from them."""
TOGETHER = 5_000


def dumped(result: object) -> bytes:
    return json.dumps(result).encode()


def print_of(item: Item, parts: Parts) -> SubFingerprints:
    """What the step has kept of an item."""
    kept = parts.blobs.read(acoustic_key(item, FINGERPRINT.key(item, parts)))
    return np.frombuffer(kept, "<u4").astype(np.uint32)


class Crowded:
    """Blobs in which every item has a fingerprint: a stranger's, unless it was put."""

    def __init__(self, strangers: Sequence[SubFingerprints]) -> None:
        self.strangers = [s.astype("<u4").tobytes() for s in strangers]

    def exists(self, _key: str) -> bool:
        return True

    def read(self, key: str) -> bytes:
        return self.strangers[zlib.crc32(key.encode()) % len(self.strangers)]


def crowded(prints: Sequence[SubFingerprints], crowd: int, data: Path, home: Path) -> SqlCatalog:
    """A copy of the catalog of so many strangers to these, to be closed."""
    database = home / "crowd.sqlite"
    shutil.copy(built(prints, crowd, data), database)
    return SqlCatalog.open(f"sqlite:///{database}", STEPS)


def ranks(kin: Sequence[tuple[str, SubFingerprints, SubFingerprints]], catalog: SqlCatalog) -> dict[str, list[int]]:
    """Which candidate of the piece, counted from 1, its whole is in the crowd; by kind. 10,001: none.

    Of each there is its kind, the piece and the whole; the whole is there first, which is the harder way.
    """
    prints = Chromaprint()
    told: dict[str, list[int]] = {}
    for n, (kind, piece, whole) in enumerate(kin):
        item, there = catalog.add([NewItem("local", f"{what}:{n}", "inbox", what) for what in ("piece", "whole")])
        catalog.fingerprinted(there, f"whole-{n}", prints.keys(whole))
        found = [other for other, _ in catalog.candidates(item, prints.probes(piece), limit=10_000)]
        told.setdefault(kind, []).append(found.index(there.id) + 1 if there.id in found else 10_001)
        catalog.fingerprinted(there, "", [])  # the next is not to find it
    return told


def times(prints: Sequence[SubFingerprints], catalog: SqlCatalog, home: Path) -> dict[str, list[float]]:
    """Seconds for each of these: to index it, to look for its kin, both; and CPU seconds of both."""
    parts = Parts(Settings(home=home))
    parts.__dict__["catalog"] = catalog
    rng = np.random.default_rng(2)
    parts.__dict__["blobs"] = Crowded([_changed(p, rng) for p in prints])
    told: dict[str, list[float]] = {"index": [], "look": [], "both": [], "both, CPU": []}
    for n, sub in enumerate(prints):
        [item] = catalog.add([NewItem("local", f"one-more:{n}", "inbox", "one more")])
        began, before = time.perf_counter(), time.process_time()
        catalog.fingerprinted(item, f"digest-{n}", parts.fingerprinter.keys(sub))
        indexed = time.perf_counter()
        look(Work(item, FINGERPRINT.name, "none"), f"digest-{n}", sub, parts)
        ended = time.perf_counter()
        took = (indexed - began, ended - indexed, ended - began, time.process_time() - before)
        for values, value in zip(told.values(), took, strict=True):
            values.append(value)
        catalog.fingerprinted(item, "", [])
    return told


def built(prints: Sequence[SubFingerprints], crowd: int, data: Path) -> Path:
    """The database of so many strangers."""
    to = data / f"crowd-{crowd}.sqlite"
    if to.exists():
        return to
    print("a crowd is being made, once", file=sys.stderr, flush=True)
    part = to.with_suffix(f".part-{os.getpid()}")
    catalog = SqlCatalog.open(f"sqlite:///{part}", STEPS)
    for start in range(0, crowd, TOGETHER):
        some = range(start, min(start + TOGETHER, crowd))
        catalog.add([NewItem("local", f"stranger:{n}", "inbox", f"Stranger {n}") for n in some])
    catalog.close()
    with closing(sqlite3.connect(part, isolation_level=None)) as db:
        _post(db, prints, crowd)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    part.rename(to)
    return to


def _post(db: sqlite3.Connection, prints: Sequence[SubFingerprints], crowd: int) -> None:
    """All postings at once, in the order of the table: seconds instead of an hour."""
    numbers = dict(db.execute("SELECT id, n FROM items"))
    numbered = np.array([numbers[item_id("local", f"stranger:{n}")] for n in range(crowd)], np.int64)
    pool, rng = np.concatenate(prints), np.random.default_rng(3)
    [scope] = posting_keys("local", [0])
    keys, holders = [], []
    for start in range(0, crowd, 500):
        for key, holder in _strangers(numbered[start : start + 500], pool, rng):
            keys.append(key | scope)
            holders.append(holder)
    key, holder = np.concatenate(keys), np.concatenate(holders)
    order = np.lexsort((holder, key))
    db.execute("BEGIN")
    db.executemany("INSERT OR IGNORE INTO postings (key, item) VALUES (?, ?)", _pairs(key[order], holder[order]))
    db.execute("UPDATE items SET digest = id")
    db.execute("COMMIT")


def _pairs(key: np.ndarray, holder: np.ndarray) -> Iterator[tuple[int, int]]:
    for start in range(0, len(key), 100_000):
        some = slice(start, start + 100_000)
        yield from zip(key[some].tolist(), holder[some].tolist(), strict=True)


def _strangers(
    numbers: np.ndarray, pool: SubFingerprints, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Keys of items of three minutes and of six, half of these each, and whose they are."""
    for some, length in ((numbers[::2], 3 * MINUTE), (numbers[1::2], 6 * MINUTE)):
        values = _changed(pool[rng.integers(0, len(pool), len(some) * length)], rng) >> np.uint32(4)
        indexed = chosen(values, length)
        yield values[indexed].astype(np.int64), np.repeat(some, length)[indexed]


def _changed(values: SubFingerprints, rng: np.random.Generator) -> SubFingerprints:
    kind = rng.random(len(values))
    flips = np.where(kind < PLAIN, 0, np.where(kind < PLAIN + NEAR, rng.integers(1, 3, len(values)), 6))
    mask = np.zeros(len(values), np.uint32)
    for n in range(6):
        bit = np.uint32(1) << rng.integers(4, 32, len(values), dtype=np.uint32)
        mask ^= np.where(n < flips, bit, np.uint32(0)).astype(np.uint32)
    return values ^ mask

"""What fingerprints find among sounds whose kinship is known, and how long one item takes among 100,000.

Bars: nothing false; all re-encodes and trims found. Every item goes through the real step, in a random order, over a
catalog and blobs on disk. `python -m bench.fingerprint [--sounds 200] [--crowd 100000]`
"""

import argparse
import itertools
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import crowd, sounds
from bench.bare import Work
from bench.said import DATA, MODELS, SPEECH
from bench.sounds import Sound
from bench.told import tell
from nexus_pipeline.domain.fingerprints import Related
from nexus_pipeline.domain.items import Item, NewItem
from nexus_pipeline.domain.states import State, StepStatus
from nexus_pipeline.ports import SubFingerprints
from nexus_pipeline.settings import Settings
from nexus_pipeline.steps.fingerprint import FINGERPRINT
from nexus_pipeline.steps.step import kept
from nexus_pipeline.wiring import Parts

FOLDER = DATA / "fingerprint"
RUN = "bench"
MUST_S, MAY_S = 9.0, 3.0
"""So much two sounds must share to be found, and so much that it is not false to find them."""
TRIMMED = ("trimmed", "trimmed mp3")


@dataclass
class Told:
    """Of one kind of sound."""

    kind: str
    sounds: int = 0
    pairs: int = 0
    found: int = 0
    missed: int = 0
    false: int = 0
    wrong_relation: int = 0
    off_s: list[float] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)

    def row(self) -> dict[str, object]:
        off = max(self.off_s) if self.off_s else None
        told = {n: getattr(self, n) for n in ("kind", "sounds", "pairs", "found", "missed", "false", "wrong_relation")}
        last = max(self.ranks) if self.ranks else None
        return told | {"off by at most, s": off, "candidate in the crowd, the last": last}


# ------------------------------------------------------------ through the step


def heard(sound: Sound, parts: Parts) -> Item:
    """The sound as an item that has been through raw, as far as the fingerprint looks, and through the fingerprint."""
    path = sounds.written(sound, FOLDER)
    [item] = parts.catalog.add([NewItem("local", f"bench:{sound.name}", "inbox", sound.name)])
    item = parts.catalog.lease([item.id], RUN)[item.id]
    with tempfile.TemporaryDirectory() as folder:
        flac = Path(folder) / "speech.flac"
        duration_s = parts.media.speech(path, flac, parts.media.probe(path), lambda _: None, lambda: False)
        files = {"speech": item.key("raw", "speech.flac")}
        parts.blobs.put_file(files["speech"], flac, move=True)
    original = item.key("raw", f"original{path.suffix}")
    parts.blobs.put_file(original, path)
    raw = {"result": {"original": original, "files": files, "transcript": None}}
    item = landed(item, "raw", "raw", crowd.dumped(raw), parts, duration_s=duration_s)
    key = FINGERPRINT.key(item, parts)
    [done] = FINGERPRINT.run([Work(item, FINGERPRINT.name, key)], parts)
    item = landed(item, FINGERPRINT.name, key, kept(done), parts)
    parts.catalog.release(RUN, [item.id])
    return item


def landed(item: Item, step: str, key: str, result: bytes, parts: Parts, **facts: float) -> Item:
    blob = item.key(step, f"{key}.json")
    parts.blobs.put(blob, result)
    parts.catalog.begin(item, step, RUN, RUN)
    return parts.catalog.land(item, StepStatus(step, State.DONE, version_key=key, blob=blob, run_id=RUN), facts)


# ------------------------------------------------------------ judged


def judge(all_of_them: Sequence[Sound], items: dict[str, Item], parts: Parts) -> tuple[list[Told], list[str]]:
    """A row for each kind, and a line for each that is missed or false."""
    told = {kind: Told(kind) for kind in dict.fromkeys(s.kind for s in sorted(all_of_them, key=lambda s: s.kind))}
    told |= {"of one another": Told("of one another")}
    firsts = {s.name: parts.catalog.get(items[s.name].id) for s in all_of_them}
    known = {s.name: {x.other_id: x for x in parts.catalog.related(items[s.name].id, 200)} for s in all_of_them}
    by_id = {items[s.name].id: s for s in all_of_them}
    lines: list[str] = []
    for one in all_of_them:
        told[one.kind].sounds += 1
        for other_id in known[one.name]:
            cluster = [s for s in all_of_them if other_id in {firsts[s.name].id, firsts[s.name].duplicate_of}]
            if max(sounds.shared_s(one, s) for s in cluster) < MAY_S:
                told[one.kind].false += 1
                lines.append(f"false: {one.name} and {by_id[other_id].name}")
    for one, other in itertools.combinations(all_of_them, 2):
        if sounds.shared_s(one, other) < MUST_S:
            continue
        row = told[_kind(one, other)]
        row.pairs += 1
        first = firsts[other.name].duplicate_of
        link = known[one.name].get(items[other.name].id) or known[one.name].get(first or "")
        if link is None:
            row.missed += 1
            lines.append(f"missed: {one.name} and {other.name}, {sounds.shared_s(one, other):.1f} s")
            continue
        row.found += 1
        row.wrong_relation += not _right(one, other, link, items)
        if link.other_id == items[other.name].id:
            row.off_s.append(_off_s(one, other, link))
    return list(told.values()), lines


def _kind(one: Sound, other: Sound) -> str:
    if one.kind == other.kind or other.name == one.of:
        return one.kind
    return other.kind if one.name == other.of else "of one another"


def _right(one: Sound, other: Sound, link: Related, items: dict[str, Item]) -> bool:
    """Whether the relation is the one that the lengths say; near the border either is right."""
    part = sounds.shared_s(one, other) / one.seconds, sounds.shared_s(one, other) / other.seconds
    if link.relation == "duplicate":
        return min(part) > 0.8
    if link.relation == "excerpt":
        inner = part[0] if link.excerpt_id == items[one.name].id else part[1]
        return inner > 0.8 and min(part) < 0.9
    return max(part) < 0.9


def _off_s(one: Sound, other: Sound, link: Related) -> float:
    """How far the nearest stretch that was told is from where the same sound truly lies."""
    truth = [x - y for x, y in _places(one, other)]
    return min(abs(s.start_s - s.other_start_s - t) for s in link.stretches for t in truth)


def _places(one: Sound, other: Sound) -> Iterator[tuple[float, float]]:
    """Where each stretch that both have begins in the one and in the other."""
    for (x, at_x), (y, at_y) in itertools.product(_laid(one), _laid(other)):
        if x.source == y.source and min(x.end_s, y.end_s) - max(x.start_s, y.start_s) >= MAY_S:
            begins = max(x.start_s, y.start_s)
            yield at_x + begins - x.start_s, at_y + begins - y.start_s


def _laid(sound: Sound) -> Iterator[tuple[sounds.Stretch, float]]:
    at = 0.0
    for stretch in sound.stretches:
        yield stretch, at
        at += stretch.end_s - stretch.start_s


# ------------------------------------------------------------ told


def among(
    made: Sequence[Sound], prints: dict[str, SubFingerprints], crowd_size: int, home: Path
) -> tuple[dict[str, list[float]], dict[str, list[int]]]:
    """Seconds for each item among so many, and which candidate there the whole is of what was made from it."""
    kin = [(s.kind, prints[s.name], prints[s.of]) for s in made if s.of in prints]
    catalog = crowd.crowded([p for p in prints.values() if len(p)], crowd_size, DATA, home)
    try:
        return crowd.times(list(prints.values()), catalog, home), crowd.ranks(kin, catalog)
    finally:
        catalog.close()


def main() -> None:
    """Accuracy, then time, then bars."""
    told = argparse.ArgumentParser()
    told.add_argument("--sounds", type=int, default=200)
    told.add_argument("--crowd", type=int, default=100_000)
    args = told.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = sounds.collection(args.sounds)
    home = Path(tempfile.mkdtemp(prefix="bench-fingerprint-"))
    try:
        parts = Parts(Settings(home=home, speech=SPEECH, models=MODELS))
        began = time.monotonic()
        items = {sound.name: heard(sound, parts) for sound in made}
        print(f"{len(items)} items heard in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        rows, lines = judge(made, items, parts)
        prints = {s.name: crowd.print_of(items[s.name], parts) for s in made}
        times, ranks = among(made, prints, args.crowd, home) if args.crowd else ({}, {})
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(*lines, sep="\n", file=sys.stderr)
    bars = {
        "nothing false": not any(row.false for row in rows),
        "all re-encodes and trims found": all(
            row.found == row.pairs > 0 for row in rows if row.kind in {*sounds.RE_ENCODED, *TRIMMED}
        ),
    }
    timed = {f"{name} {what} ms": told for name, values in times.items() for what, told in _quantiles(values)}
    for name, value in timed.items():
        print(f"{value:8.1f}  {name}")
    for row in rows:
        row.ranks = ranks.get(row.kind, [])
    tell("fingerprint", [row.row() for row in rows], bars, among=args.crowd, times=timed)


def _quantiles(seconds: Sequence[float]) -> list[tuple[str, float]]:
    cut = statistics.quantiles(seconds, n=20)
    return [("p50", 1000 * cut[9]), ("p95", 1000 * cut[18])]


if __name__ == "__main__":
    main()

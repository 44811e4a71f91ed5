"""Two fingerprints laid on each other: which stretches of the one are which of the other.

Equal sub-fingerprints vote for alignments; along each of the best, windows that slide are judged by their bit errors.
What one alignment has explained is no other's: a jingle that is in one item three times is one stretch of the other.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nexus_pipeline.domain.fingerprints import Match, Stretch, longest
from nexus_pipeline.ports import SubFingerprints

HOP_S = 1365 / 11_025
"""Seconds from one sub-fingerprint to the next: frames of 4096 samples, overlapping by two thirds, at 11,025 Hz."""
SPAN_S = 2.6
"""Seconds of sound that one sub-fingerprint looks at: 16 frames and the filters before them."""
WINDOW = 60
"""Sub-fingerprints that 10 s of sound have: what is judged at once."""
LEAST = 24
"""Sub-fingerprints that must lie on each other: under 3 s anything resembles anything."""
THRESHOLD = 0.15
"""Share of differing bits up to which a window is the same sound: re-encoding, trimming and 10 dB of noise stay below
0.08, 19,900 pairs of different items above 0.24, two white noises at 0.17 (measured)."""
EDGE, EDGE_THRESHOLD = 9, 0.2
"""A stretch begins and ends where over 1.1 s no more than this differs: a window reaches beyond what is the same."""
COVERED = 0.85
"""Share of an item that must match for it to be a copy or an excerpt."""
RESTLESS = 2.0
"""Bits that change from one sub-fingerprint to the next, on average over 3 s, above which there is something to
compare: speech 4.5 to 5.6; silence and tones 0, white noise 1.6 (measured)."""
NEARBY = 25
"""Sub-fingerprints over which that average is taken: 3 s."""
OFFSETS = 24
"""So many alignments are judged: the ones with the most votes. A trim by half a hop votes for two neighbours."""
COMMON = 8
"""A sub-fingerprint that occurs more often in one item votes for nothing: it is a jingle or a hum."""
STRETCHES = 20
"""So many are told of two items: the longest."""

_SHIFT = np.uint32(4)
_BITS = 32
_Mask = npt.NDArray[np.bool_]
_NOTHING = Match()


@dataclass(frozen=True)
class _Alignment:
    """What is the same when `b` is laid `offset` behind the beginning of `a`."""

    offset: int
    start: int
    """Where in `a` the masks begin."""
    same: _Mask
    errors: npt.NDArray[np.uint8]

    @property
    def rate(self) -> float:
        return float(self.errors[self.same].mean() / _BITS) if self.same.any() else 1.0


def compare(a: SubFingerprints, b: SubFingerprints) -> Match:
    """Align and judge; abstains on silence and steady tones."""
    if min(len(a), len(b)) < LEAST:
        return _NOTHING
    told_a, told_b = restless(a), restless(b)
    if min(told_a.sum(), told_b.sum()) < LEAST:
        return _NOTHING
    laid = (_aligned(a, b, told_a, told_b, offset) for offset in _offsets(a, b, told_a, told_b))
    found = [one for one in laid if one.same.any()]
    shorter = min(told_a.sum(), told_b.sum())
    # neighbouring alignments cover the same but for an edge: then the one with fewer errors is the true one
    found.sort(key=lambda one: (-round(one.same.sum() / shorter, 1), one.rate))
    return _match(found, told_a, told_b) if found else _NOTHING


def restless(fingerprint: SubFingerprints) -> _Mask:
    """Where there is something to compare: neither silence nor a steady tone."""
    if len(fingerprint) < 2:  # noqa: PLR2004 - a change needs two
        return np.zeros(len(fingerprint), np.bool_)
    changes = np.bitwise_count(fingerprint[1:] ^ fingerprint[:-1]).astype(np.float64)
    total = np.concatenate([[0.0], np.cumsum(changes)])
    here = np.arange(len(fingerprint))
    low = np.clip(here - NEARBY // 2, 0, len(changes) - 1)
    high = np.clip(here + NEARBY // 2, 1, len(changes))
    mask: _Mask = (total[high] - total[low]) / (high - low) > RESTLESS
    return mask


def _offsets(a: SubFingerprints, b: SubFingerprints, told_a: _Mask, told_b: _Mask) -> list[int]:
    """Index in `a` less index in `b`, most votes first; at least two votes each."""
    at_a, at_b = np.flatnonzero(told_a), np.flatnonzero(told_b)
    keys_a, keys_b = a[at_a] >> _SHIFT, b[at_b] >> _SHIFT
    order = np.argsort(keys_b, kind="stable")
    sorted_b = keys_b[order]
    low, high = np.searchsorted(sorted_b, keys_a, "left"), np.searchsorted(sorted_b, keys_a, "right")
    count = high - low
    # at most COMMON pairs for each of a's: memory stays bounded
    use = np.flatnonzero((count > 0) & (count <= COMMON))
    if not len(use):
        return []
    count = count[use]
    first = np.repeat(low[use], count)
    step = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    pairs = np.repeat(at_a[use], count) - at_b[order[first + step]]
    offsets, votes = np.unique(pairs, return_counts=True)
    # a trim that is no multiple of the hop votes for two neighbours: they count together, both are tried
    together = votes + np.where(np.isin(offsets - 1, offsets), np.roll(votes, 1), 0)
    together += np.where(np.isin(offsets + 1, offsets), np.roll(votes, -1), 0)
    best = np.argsort(-together, kind="stable")[:OFFSETS]
    return [int(o) for o, v in zip(offsets[best], together[best], strict=True) if v > 1]


def _aligned(a: SubFingerprints, b: SubFingerprints, told_a: _Mask, told_b: _Mask, offset: int) -> _Alignment:
    """Which positions lie in a window of the same sound; windows with too little in them abstain."""
    start, end = max(0, offset), min(len(a), len(b) + offset)
    if end - start < LEAST:
        return _Alignment(offset, start, np.zeros(0, np.bool_), np.zeros(0, np.uint8))
    told = told_a[start:end] & told_b[start - offset : end - offset]
    errors = np.bitwise_count(a[start:end] ^ b[start - offset : end - offset])
    width = min(WINDOW, end - start)
    heard, wrong = _sums(told, width), _sums(errors * told, width)
    good = (heard >= min(LEAST, width)) & (wrong <= heard * (THRESHOLD * _BITS))
    # a position is the same when any window over it is
    same = _sums(np.concatenate([np.zeros(width - 1), good, np.zeros(width - 1)]), width) > 0
    return _Alignment(offset, start, same & told & _near(errors, told), errors)


def _near(errors: npt.NDArray[np.uint8], told: _Mask) -> _Mask:
    """Where little differs within a second: leaves out what windows reach over at the edges."""
    side = np.zeros(EDGE // 2)
    heard = _sums(np.concatenate([side, told, side]), EDGE)
    wrong = _sums(np.concatenate([side, errors * told, side]), EDGE)
    near: _Mask = wrong <= heard * (EDGE_THRESHOLD * _BITS)
    return near


def _sums(values: npt.NDArray[np.generic], width: int) -> npt.NDArray[np.int64]:
    """Of every `width` neighbours; len(values) - width + 1 of them."""
    total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    return np.asarray(total[width:] - total[:-width], np.int64)


def _match(found: list[_Alignment], told_a: _Mask, told_b: _Mask) -> Match:
    """All alignments together, the best first: what one has explained is taken."""
    best = found[0]
    both = best.same.sum() / told_a.sum(), best.same.sum() / told_b.sum()
    if min(both) >= COVERED:
        whole = _stretches(best, _runs(best.same))
        return Match("duplicate", best.offset * HOP_S, best.rate, float(both[0]), float(both[1]), whole)
    free_a, free_b = told_a.copy(), told_b.copy()
    stretches: tuple[Stretch, ...] = ()
    wrong = 0
    for one in found:
        in_a = slice(one.start, one.start + len(one.same))
        in_b = slice(in_a.start - one.offset, in_a.stop - one.offset)
        same = one.same & free_a[in_a] & free_b[in_b]
        runs = _runs(same)
        if not runs:
            continue
        same = np.isin(np.arange(len(same)), np.concatenate(runs), assume_unique=True)
        stretches += _stretches(one, runs)
        free_a[in_a] &= ~same
        free_b[in_b] &= ~same
        wrong += int(one.errors[same].sum())
    taken = int(told_a.sum() - free_a.sum())
    if not taken:  # all that matches is shorter than what counts as a stretch
        return Match()
    coverage_a, coverage_b = taken / told_a.sum(), taken / told_b.sum()
    a_shorter = len(told_a) <= len(told_b)
    excerpt = (coverage_a if a_shorter else coverage_b) >= COVERED
    return Match(
        "excerpt" if excerpt else "shared",
        best.offset * HOP_S,
        wrong / taken / _BITS,
        float(coverage_a),
        float(coverage_b),
        longest(stretches, STRETCHES),
        ("a" if a_shorter else "b") if excerpt else None,
    )


def _runs(same: _Mask) -> list[npt.NDArray[np.int64]]:
    """Positions that belong together: pauses and short disturbances divide nothing; what is too short is left out."""
    at = np.flatnonzero(same)
    return [run for run in np.split(at, np.flatnonzero(np.diff(at) > WINDOW) + 1) if len(run) >= LEAST]


def _stretches(one: _Alignment, runs: list[npt.NDArray[np.int64]]) -> tuple[Stretch, ...]:
    told = []
    for run in runs:
        start_s, end_s = (one.start + int(run[0])) * HOP_S, (one.start + int(run[-1])) * HOP_S + SPAN_S
        shift_s = one.offset * HOP_S
        told.append(Stretch(start_s, end_s, start_s - shift_s, end_s - shift_s))
    return longest(told, STRETCHES)

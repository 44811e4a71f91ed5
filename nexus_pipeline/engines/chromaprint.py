"""Acoustic identity by Chromaprint, through pyacoustid and the system's libchromaprint.

Samples are fed in, because `fpcalc` calls every file read to its end a failure (chromaprint issue 122), and the whole
item is taken: with the usual 120 s two talks with one intro are identical. pyacoustid's own comparison is pure Python
and aligns within 15 s only, so alignment and judgement are here.
"""

import logging
from collections.abc import Iterator, Mapping

import acoustid
import chromaprint
import numpy as np
import numpy.typing as npt

from nexus_pipeline.domain.errors import EngineFailed
from nexus_pipeline.domain.fingerprints import Match
from nexus_pipeline.ports import SubFingerprints

log = logging.getLogger(__name__)

HOP_S = 1365 / 11_025
"""Seconds from one sub-fingerprint to the next: frames of 4096 samples, overlapping by two thirds, at 11,025 Hz."""
SPAN_S = 2.6
"""Seconds of sound that one sub-fingerprint looks at: 16 frames and the filters before them."""
WINDOW = 81
"""Sub-fingerprints in 10 s: what is judged at once."""
LEAST = 24
"""Sub-fingerprints that must lie on each other: under 3 s anything resembles anything."""
THRESHOLD = 0.15
"""Share of differing bits up to which a window is the same sound: re-encoding, trimming and 10 dB of noise stay below
0.08, 19,900 pairs of different items above 0.24, two white noises at 0.17 (measured)."""
COVERED = 0.85
"""Share of an item that must match for it to be a copy."""
RESTLESS = 2.0
"""Bits that change from one sub-fingerprint to the next, on average over 3 s, above which there is something to
compare: speech 4.5 to 5.6; silence and tones 0, white noise 1.6 (measured)."""
NEARBY = 25
"""Sub-fingerprints over which that average is taken: 3 s."""
SHORT = 970
"""Sub-fingerprints in two minutes: below that more of them are indexed."""
OFFSETS = 8
"""So many alignments are judged: the ones with the most votes."""
COMMON = 8
"""A sub-fingerprint that occurs more often in one item votes for nothing: it is a jingle or a hum."""

_SHIFT = np.uint32(4)
_BITS = 32
_Mask = npt.NDArray[np.bool_]
_NOTHING = Match(None, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0)


class Chromaprint:
    """Fingerprints whole items and compares them."""

    def parameters(self) -> Mapping[str, str]:
        """What changes its results: part of the version key."""
        # the algorithm is what libchromaprint calls its version 1, CHROMAPRINT_ALGORITHM_TEST2
        return {"engine": "chromaprint", "algorithm": "1"}

    def fingerprint(self, pcm: Iterator[bytes], rate: int) -> SubFingerprints:
        """The whole item's, one number each 0.124 s; empty under 3 s of sound. Raises EngineFailed."""
        try:
            # maxlength is in seconds; 0 would silently give an empty fingerprint
            encoded = acoustid.fingerprint(rate, 1, iter(pcm), maxlength=10**6)
            numbers, _ = chromaprint.decode_fingerprint(encoded)
        except (acoustid.FingerprintGenerationError, chromaprint.FingerprintError) as error:
            raise EngineFailed(f"the sound could not be fingerprinted ({type(error).__name__})") from error
        return np.array(numbers, np.uint32)

    def keys(self, fingerprint: SubFingerprints) -> list[int]:
        """What is indexed: the upper 28 bits of some, chosen by value, so that copies choose the same.

        One in eight; of a short item one in two, because a trim by half a hop leaves few that are equal. Unique,
        ascending, without silence and tones; may be empty.
        """
        values = np.unique(fingerprint[_restless(fingerprint)] >> _SHIFT)
        return [int(v) for v in values[_mixed(values) % (2 if len(fingerprint) < SHORT else 8) == 0]]

    def compare(self, a: SubFingerprints, b: SubFingerprints) -> Match:
        """Align by votes of equal sub-fingerprints, judge in windows of 10 s; abstain on silence and tones."""
        if min(len(a), len(b)) < LEAST:
            return _NOTHING
        told_a, told_b = _restless(a), _restless(b)
        if min(told_a.sum(), told_b.sum()) < LEAST:
            return _NOTHING
        found = [_judged(a, b, told_a, told_b, offset) for offset in _offsets(a, b, told_a, told_b)]
        # neighbouring alignments cover the same but for an edge: then the one with fewer errors is the true one
        return max(found, key=lambda m: (round(m.coverage_a + m.coverage_b, 1), -m.error_rate), default=_NOTHING)


def _mixed(values: SubFingerprints) -> SubFingerprints:
    """Knuth's multiplicative hash: the upper bits of a product depend on all bits of the value."""
    product = values.astype(np.uint64) * np.uint64(2_654_435_761) & np.uint64(0xFFFF_FFFF)
    return (product >> np.uint64(20)).astype(np.uint32)


def _restless(fingerprint: SubFingerprints) -> _Mask:
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


def _judged(a: SubFingerprints, b: SubFingerprints, told_a: _Mask, told_b: _Mask, offset: int) -> Match:
    """The match at one alignment."""
    start, end = max(0, offset), min(len(a), len(b) + offset)
    if end - start < LEAST:
        return _NOTHING
    told = told_a[start:end] & told_b[start - offset : end - offset]
    errors = np.bitwise_count(a[start:end] ^ b[start - offset : end - offset]).astype(np.float64)
    same, rate = _same(errors, told)
    at = np.flatnonzero(same)
    if len(at) < LEAST:
        return _NOTHING
    coverage_a = same.sum() / told_a.sum()
    coverage_b = same.sum() / told_b.sum()
    shorter = coverage_a if len(a) <= len(b) else coverage_b
    relation = "shared"
    if min(coverage_a, coverage_b) >= COVERED:
        relation = "duplicate"
    elif shorter >= COVERED:
        relation = "excerpt"
    first_s, last_s = (start + at[0]) * HOP_S, (start + at[-1]) * HOP_S + SPAN_S
    return Match(relation, offset * HOP_S, rate, float(coverage_a), float(coverage_b), float(first_s), float(last_s))


def _same(errors: npt.NDArray[np.float64], told: _Mask) -> tuple[_Mask, float]:
    """Which of these positions lie in a window that is the same sound; the error rate of those.

    The last window is as long as the others and overlaps the one before it; windows with too little in them abstain.
    """
    same = np.zeros(len(errors), np.bool_)
    width = min(WINDOW, len(errors))
    starts = [*range(0, len(errors) - width + 1, width)]
    if starts[-1] + width < len(errors):
        starts.append(len(errors) - width)
    for start in starts:
        window = slice(start, start + width)
        heard = told[window]
        if heard.sum() >= min(LEAST, width) and errors[window][heard].mean() / _BITS <= THRESHOLD:
            same[window] |= heard
    return same, float(errors[same].mean() / _BITS) if same.any() else 1.0

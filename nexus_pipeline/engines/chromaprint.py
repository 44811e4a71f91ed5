"""Acoustic identity by Chromaprint, through pyacoustid and the system's libchromaprint.

Samples are fed in, because `fpcalc` calls every file read to its end a failure (chromaprint issue 122), and the whole
item is taken: with the usual 120 s two talks with one intro are identical. pyacoustid's own comparison is pure Python
and aligns within 15 s only, so `alignment` compares.
"""

import logging
from collections.abc import Iterator, Mapping

import acoustid
import chromaprint
import numpy as np
import numpy.typing as npt

from nexus_pipeline.domain.errors import EngineFailed
from nexus_pipeline.domain.fingerprints import Match
from nexus_pipeline.engines import alignment
from nexus_pipeline.ports import SubFingerprints

log = logging.getLogger(__name__)

MINUTE = 485
"""Sub-fingerprints in a minute."""
SPARSE = 8
"""Of an item of four minutes or more, one value in so many is indexed: an hour has 3,600 keys."""
FLIPPED = 5 * MINUTE
"""Shorter items are also sought by values that differ in one bit: of a re-encoded excerpt of 10 s, one value in eight
is equal in the whole item, where one in eight is indexed; with a bit that differs four times as many are found
(measured)."""

_SHIFT = np.uint32(4)
_KEY_BITS = 28


class Chromaprint:
    """Fingerprints whole items and compares them."""

    def parameters(self) -> Mapping[str, str]:
        """What changes its results: part of the version key."""
        # keys: how they are chosen, raised with any change of that, so that an index of both kinds ends;
        # the algorithm is what libchromaprint calls its version 1, CHROMAPRINT_ALGORITHM_TEST2
        return {"engine": "chromaprint", "algorithm": "1", "keys": "2"}

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

        All of an item under a minute, half under two, a quarter under four, else one in eight: a short one has few
        that are equal in the item it was cut from, so it needs them all. What a long one chooses, a short one chooses
        too. Unique, ascending, without silence and tones; may be empty.
        """
        values = _values(fingerprint)
        return [int(v) for v in values[chosen(values, len(fingerprint))]]

    def probes(self, fingerprint: SubFingerprints) -> list[int]:
        """What is sought: all values, whatever is indexed of the other; of a short item also those one bit away.

        Of these only what any long item would have indexed: there are 28 of each value.
        """
        values = _values(fingerprint)
        if len(fingerprint) > FLIPPED:
            return [int(v) for v in values]
        away = (values[:, None] ^ (np.uint32(1) << np.arange(_KEY_BITS, dtype=np.uint32))).ravel()
        return [int(v) for v in np.union1d(values, away[chosen(away, FLIPPED)])]

    def compare(self, a: SubFingerprints, b: SubFingerprints) -> Match:
        """Align by votes of equal sub-fingerprints, judge in windows of 10 s; abstain on silence and tones."""
        return alignment.compare(a, b)


def _values(fingerprint: SubFingerprints) -> SubFingerprints:
    return np.unique(fingerprint[alignment.restless(fingerprint)] >> _SHIFT)


def chosen(values: SubFingerprints, length: int) -> npt.NDArray[np.bool_]:
    """Which of these 28-bit values are indexed of an item of so many sub-fingerprints."""
    # powers of two, so that what is chosen at one length is chosen at all shorter ones
    one_in = next((n for n in (1, 2, 4) if length < n * MINUTE), SPARSE)
    indexed: npt.NDArray[np.bool_] = _mixed(values) % one_in == 0
    return indexed


def _mixed(values: SubFingerprints) -> SubFingerprints:
    """Knuth's multiplicative hash: the upper bits of a product depend on all bits of the value."""
    product = values.astype(np.uint64) * np.uint64(2_654_435_761) & np.uint64(0xFFFF_FFFF)
    return (product >> np.uint64(20)).astype(np.uint32)

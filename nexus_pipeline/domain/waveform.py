"""Peaks of an item's sound, for drawing: one byte each 50 ms."""

from collections.abc import Iterable, Iterator

import numpy as np

RATE = 20
"""Peaks a second: ten hours are 720 kB, and a pixel of any screen shows more than one."""
_FULL = 32_768


class Peaks:
    """Takes the highest of every 50 ms of 16-bit samples as they pass by."""

    def __init__(self, samples_a_s: int) -> None:
        self._each = samples_a_s // RATE
        self._rest = b""
        self._found = bytearray()

    def passing(self, pcm: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks of mono little-endian samples, looked at on their way."""
        for chunk in pcm:
            self._look(chunk)
            yield chunk

    def _look(self, chunk: bytes) -> None:
        data = self._rest + chunk
        whole = len(data) // (2 * self._each) * (2 * self._each)
        self._rest = data[whole:]
        self._found += _highest(data[:whole], self._each)

    def made(self) -> bytes:
        """All peaks, 0 to 255; the last one may be of less than 50 ms."""
        rest = self._rest[: len(self._rest) // 2 * 2]
        return bytes(self._found + (_highest(rest, len(rest) // 2) if rest else b""))


def _highest(data: bytes, each: int) -> bytes:
    if not data:
        return b""
    samples = np.frombuffer(data, "<i2").reshape(-1, each).astype(np.int32)
    highest: bytes = (np.abs(samples).max(axis=1) * 255 // _FULL).clip(0, 255).astype(np.uint8).tobytes()
    return highest


def drawn(peaks: bytes, points: int) -> list[float]:
    """At most so many points, 0 to 1, each the highest peak of its stretch."""
    found = np.frombuffer(peaks, np.uint8)
    if len(found) > points:
        found = np.maximum.reduceat(found, np.linspace(0, len(found), points, endpoint=False).astype(np.int64))
    return [round(float(one) / 255, 3) for one in found]

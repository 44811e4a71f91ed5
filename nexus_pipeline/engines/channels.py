"""One speaker a channel, for recorded calls: whoever is on the line has a channel of their own.

What one hears of the other through their own microphone is softer there than where it was said: the louder channel
wins. Channels that carry the same sound are one speaker, as in a recording that only claims to be stereo.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from nexus_pipeline.domain.errors import Cancelled, EngineFailed
from nexus_pipeline.domain.speaking import Speaking, Turn, joined
from nexus_pipeline.engines.ffmpeg import FILLED, FILLED_S, FFmpeg
from nexus_pipeline.engines.pauses import FRAME, RATE
from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.engines.voices import Voice
from nexus_pipeline.ports import Cancelled as IsCancelled
from nexus_pipeline.ports import Progress

Numbers = npt.NDArray[np.float32]

MOST = 32
"""Channels at most."""
LEAK = 10 ** (-6 / 10)
"""A channel that is 6 dB softer than another one only hears it."""
SAME = 0.95
"""Channels that correlate so much are one sound."""
VOICED = 0.5
SMOOTH = 8
"""Loudness is compared over so many frames: a quarter of a second."""
MIN_ON_S, MIN_OFF_S = 0.3, 0.5
_PIECE = 10 * RATE // FRAME * FRAME
_MOST_BYTES = 1 << 20


class Channels:
    """Decodes the item's file as it was fetched: `speech.flac` has one channel."""

    hears = "original"
    name = "channels"

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:  # noqa: ARG003 - it has no models
        """There is one way."""
        return cls()

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:  # noqa: ARG003 - as above
        """The detector of voices comes with faster-whisper."""
        return None

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        """Nothing to fetch."""

    def parameters(self) -> Mapping[str, str]:
        """What changes its results."""
        return {"engine": "channels"}

    def tell_apart(
        self, audio: Path, duration_s: float, channels: int, progress: Progress, cancelled: IsCancelled
    ) -> Speaking:
        """Turns by channel, no voices. Raises DamagedMedia, EngineFailed, Cancelled."""
        if channels > MOST:
            raise EngineFailed(f"the file has {channels} channels, more than {MOST} people on a line")
        limit_s = FILLED * duration_s + FILLED_S
        ffmpeg = FFmpeg(max_duration_s=limit_s, max_bytes=max(audio.stat().st_size, _MOST_BYTES))
        heard = _Heard(channels)
        for piece in _pieces(ffmpeg.channels(audio, RATE, channels, cancelled), channels):
            if cancelled():
                raise Cancelled("stopped while listening to the channels")
            heard.add(piece)
            progress(min(heard.seconds / duration_s, 1.0) if duration_s else 0.0)
        return Speaking(joined(list(_turns(heard.speaks())), 0.0))


def _pieces(chunks: Iterator[bytes], channels: int) -> Iterator[Numbers]:
    """Ten seconds at a time, shape (samples, channels), -1 to 1; the last one filled with silence to a whole frame."""
    left, size = b"", 2 * channels * _PIECE
    for chunk in chunks:
        left += chunk
        while len(left) >= size:
            yield _samples(left[:size], channels)
            left = left[size:]
    if left:
        yield _samples(left + bytes(-len(left) % (2 * channels * FRAME)), channels)


def _samples(data: bytes, channels: int) -> Numbers:
    return np.frombuffer(data, "<i2").reshape(-1, channels).astype(np.float32) / np.float32(32768)


@dataclass
class _Heard:
    """Of each channel and frame: whether there is a voice, and how loud it is. Some bytes a frame, not its sound."""

    channels: int
    voiced: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    energy: list[Numbers] = field(default_factory=list)
    frames: int = 0

    def __post_init__(self) -> None:
        self._detectors = [Voice() for _ in range(self.channels)]
        self._gram = np.zeros((self.channels, self.channels))

    @property
    def seconds(self) -> float:
        return self.frames * FRAME / RATE

    def add(self, piece: Numbers) -> None:
        """Listen to whole frames."""
        told = [detector.probabilities(piece[:, c].copy()) for c, detector in enumerate(self._detectors)]
        frames = piece.reshape(-1, FRAME, self.channels)
        self.voiced.append(np.array(told).T >= VOICED)
        self.energy.append(np.square(frames).mean(axis=1))
        self.frames += len(frames)
        self._gram += piece.T.astype(np.float64) @ piece

    def speaks(self) -> npt.NDArray[np.bool_]:
        """Who speaks in which frame: shape (frames, channels)."""
        if not self.frames:
            return np.zeros((0, self.channels), np.bool_)
        voiced, energy = np.concatenate(self.voiced), np.concatenate(self.energy)
        loud = np.stack(
            [
                np.convolve(energy[:, c], np.ones(SMOOTH) / SMOOTH, mode="same")[: self.frames]
                for c in range(self.channels)
            ]
        )
        heard = np.where(voiced, loud.T, 0.0)
        heard[:, self._copies()] = 0.0
        most = heard.max(axis=1, keepdims=True)
        speaks: npt.NDArray[np.bool_] = (heard > 0.0) & (heard >= LEAK * most)
        return speaks

    def _copies(self) -> list[int]:
        """Channels with the sound of one before them."""
        size = np.sqrt(np.outer(self._gram.diagonal(), self._gram.diagonal()))
        alike = np.abs(self._gram) >= SAME * np.maximum(size, 1e-12)
        return [c for c in range(1, self.channels) if alike[c, :c].any()]


def _turns(speaks: npt.NDArray[np.bool_]) -> Iterator[Turn]:
    """Runs of frames, short silences filled, short runs left out."""
    for channel in range(speaks.shape[1]):
        edges = np.diff(np.concatenate([[0], speaks[:, channel].astype(np.int8), [0]]))
        starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        runs = [
            Turn(round(a * FRAME / RATE, 3), round(b * FRAME / RATE, 3), str(channel + 1))
            for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
        yield from (t for t in joined(runs, MIN_OFF_S) if t.end_s - t.start_s >= MIN_ON_S)

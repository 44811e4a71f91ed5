"""Where in a recording somebody speaks: a FLAC in pieces of 10 s through Silero's detector, cut at pauses.

The detector comes with faster-whisper and needs no download. It carries its state from piece to piece, so that the
pieces leave no trace; memory does not grow with the recording.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nexus_pipeline.domain.errors import Cancelled, EngineFailed
from nexus_pipeline.engines.pauses import FRAME, PAD, RATE, Pack, Packer, Runs
from nexus_pipeline.ports import Cancelled as IsCancelled

Samples = npt.NDArray[np.float32]

_PIECE = 10 * RATE
_CONTEXT = 64  # samples before a frame that the detector looks at, faster_whisper.vad
_SILENCE = 60 * RATE  # a silence is told of at least this often
_BEFORE_S = 1.0  # a span is sought so far before its beginning


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a recording, the next one beginning where it ends; `pieces` are seconds of what is in `audio`."""

    start_s: float
    end_s: float
    pieces: tuple[tuple[float, float], ...]
    audio: Samples
    voiced: tuple[tuple[float, float], ...] = ()
    """Where somebody speaks."""

    @property
    def voiced_s(self) -> float:
        """How long somebody speaks."""
        return sum(b - a for a, b in self.voiced)

    def later(self, by_s: float) -> "Stretch":
        """The same, so many seconds later."""
        return replace(
            self,
            start_s=self.start_s + by_s,
            end_s=self.end_s + by_s,
            pieces=tuple((a + by_s, b + by_s) for a, b in self.pieces),
            voiced=tuple((a + by_s, b + by_s) for a, b in self.voiced),
        )


class Clock:
    """Seconds of the item at seconds of the sound that was heard, from which silences are left out."""

    def __init__(self, pieces: Sequence[tuple[float, float]], begins: float = 0.0) -> None:
        """Pieces of the item, in seconds, as they follow each other in the sound, the first `begins` s into it."""
        self.pieces = pieces
        self.starts = [begins]
        for a, b in pieces[:-1]:
            self.starts.append(self.starts[-1] + b - a)

    def span(self, start: float, end: float) -> tuple[float, float]:
        """Both ends; a start on a cut belongs to the piece behind it, an end to the piece before it."""
        start_s = self._at(start, bisect_right(self.starts, start + 0.02) - 1)  # 0.02 s: Whisper's precision
        end_s = self._at(end, bisect_right(self.starts, end - 0.02) - 1)
        return start_s, max(start_s, end_s)

    def _at(self, heard_s: float, piece: int) -> float:
        i = max(piece, 0)
        a, b = self.pieces[i]
        return round(min(max(a + heard_s - self.starts[i], a), b), 3)


def stretches(
    path: Path,
    *,
    limit_s: float,
    first_s: float,
    cancelled: IsCancelled,
    from_s: float = 0.0,
    to_s: float | None = None,
) -> Iterator[Stretch]:
    """The recording (or a span of it) in order, each stretch with at most `limit_s` (the first voiced: `first_s`).

    A stretch without voice has neither pieces nor audio. Raises EngineFailed for a file that is no FLAC, Cancelled.
    """
    cut = _Cutter(int(limit_s * RATE), int(first_s * RATE))
    for piece in decoded(path, from_s, to_s):
        if cancelled():
            raise Cancelled("stopped while listening for speech")
        yield from (stretch.later(from_s) for stretch in cut.feed(piece))
    yield from (stretch.later(from_s) for stretch in cut.end())


def whole(path: Path, from_s: float, to_s: float) -> Stretch:
    """A span as one stretch, silences and all; what of it lies in the recording."""
    audio = np.concatenate([np.zeros(0, dtype=np.float32), *decoded(path, from_s, to_s)])
    end_s = from_s + len(audio) / RATE
    return Stretch(from_s, end_s, ((from_s, end_s),) if len(audio) else (), audio)


class _Cutter:
    def __init__(self, limit: int, first: int) -> None:
        self.limit = limit
        self.voice = Voice()
        self.runs = Runs(max(first - 2 * PAD, FRAME))
        self.packer = Packer(first)
        self.kept = np.zeros(0, dtype=np.float32)
        self.kept_from = 0
        self.told_to = 0

    def feed(self, piece: Samples) -> Iterator[Stretch]:
        self.kept = np.concatenate([self.kept, piece])
        for run in self.runs.feed(self.voice.probabilities(piece)):
            yield from self._tell(self.packer.add(run))
        if self.runs.open is None:
            yield from self._tell(self.packer.quiet(self.runs.now))
        needed = self._needed()
        if needed - self.told_to >= _SILENCE and self.packer.waits_from is None:
            yield self._silent(needed)
        self.kept = self.kept[max(0, needed - self.kept_from) :].copy()
        self.kept_from = max(self.kept_from, needed)

    def end(self) -> Iterator[Stretch]:
        total = self.kept_from + len(self.kept)
        for run in (*self.runs.feed(self.voice.rest()), *self.runs.end()):
            yield from self._tell(self.packer.add(run))
        yield from self._tell(self.packer.flush(total))
        if total > self.told_to:
            yield self._silent(total)

    def _needed(self) -> int:
        """The first sample that may still be heard."""
        marks = [self.packer.waits_from, None if self.runs.open is None else self.runs.open - PAD, self.runs.now - PAD]
        return max(self.told_to, min(m for m in marks if m is not None))

    def _tell(self, packs: Iterator[Pack]) -> Iterator[Stretch]:
        for pack in packs:
            # from now on whole looks
            self.packer.limit, self.runs.longest = self.limit, self.limit - 2 * PAD
            total = self.kept_from + len(self.kept)
            pieces = [(a, min(b, total)) for a, b in pack.pieces]
            audio = np.concatenate([self.kept[a - self.kept_from : b - self.kept_from] for a, b in pieces])
            yield Stretch(
                start_s=self.told_to / RATE,
                end_s=pieces[-1][1] / RATE,
                pieces=tuple((a / RATE, b / RATE) for a, b in pieces),
                audio=audio,
                voiced=tuple((r.start / RATE, min(r.end, total) / RATE) for r in pack.runs),
            )
            self.told_to = pieces[-1][1]

    def _silent(self, to: int) -> Stretch:
        silent = Stretch(self.told_to / RATE, to / RATE, (), np.zeros(0, dtype=np.float32))
        self.told_to = to
        return silent


class Voice:
    """Silero's detector over a stream: one probability of voice for every 512 samples."""

    def __init__(self) -> None:
        from faster_whisper.vad import get_vad_model

        self.session = get_vad_model().session
        self.h = np.zeros((1, 1, 128), dtype=np.float32)
        self.c = np.zeros((1, 1, 128), dtype=np.float32)
        self.context = np.zeros((1, _CONTEXT), dtype=np.float32)
        self.left = np.zeros(0, dtype=np.float32)

    def probabilities(self, piece: Samples) -> list[float]:
        """For the whole frames so far; what is left over comes first next time."""
        sound = np.concatenate([self.left, piece])
        whole = len(sound) // FRAME * FRAME
        self.left = sound[whole:].copy()
        if not whole:
            return []
        frames = sound[:whole].reshape(-1, FRAME)
        before = np.concatenate([self.context, frames[:-1, -_CONTEXT:]])
        self.context = frames[-1:, -_CONTEXT:].copy()
        told, self.h, self.c = self.session.run(
            None, {"input": np.concatenate([before, frames], axis=1), "h": self.h, "c": self.c}
        )
        return [float(p) for p in np.asarray(told).reshape(-1)]

    def rest(self) -> list[float]:
        """For the last, incomplete frame."""
        return self.probabilities(np.zeros(-len(self.left) % FRAME, dtype=np.float32))


def decoded(path: Path, from_s: float = 0.0, to_s: float | None = None) -> Iterator[Samples]:
    """16 kHz mono, -1 to 1, in pieces of about 10 s; a span of it to the sample, without decoding what is before."""
    import av

    unreadable = "the sound prepared for hearing is not readable FLAC: make it again with `nexus rerun --from raw`"
    with path.open("rb") as file:
        if file.read(4) != b"fLaC":  # the demuxer takes anything and decodes nothing of it
            raise EngineFailed(unreadable)
    first, last = int(from_s * RATE), None if to_s is None else int(to_s * RATE)
    try:
        # only FLAC: a playlist of that name would make the demuxer open other files
        with av.open(str(path.absolute()), format="flac", metadata_errors="replace") as container:
            pieces, held = [], 0
            for at, samples in _frames(container, from_s):
                if last is not None and at >= last:
                    break
                part = samples[max(0, first - at) : None if last is None else last - at]
                pieces.append(part)
                held += len(part)
                if held >= _PIECE:
                    yield np.concatenate(pieces)
                    pieces, held = [], 0
            if held:
                yield np.concatenate(pieces)
    except (av.FFmpegError, IndexError) as error:
        raise EngineFailed(unreadable) from error


def _frames(container: Any, from_s: float) -> Iterator[tuple[int, Samples]]:
    """Decoded samples with the position of the first of each, beginning at or before `from_s`."""
    import av

    stream = container.streams.audio[0]
    stream.codec_context.thread_count = 1
    if from_s > _BEFORE_S:
        container.seek(int((from_s - _BEFORE_S) / stream.time_base), stream=stream, backward=True)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    at: int | None = None
    for frame in container.decode(stream):
        if at is None:
            at = round(frame.time * RATE) if from_s > _BEFORE_S else 0
        for samples in _samples(resampler.resample(frame)):
            yield at, samples
            at += len(samples)
    for samples in _samples(resampler.resample(None)):
        yield at or 0, samples


def _samples(frames: Iterable[Any]) -> Iterator[Samples]:
    return (frame.to_ndarray().reshape(-1) for frame in frames)

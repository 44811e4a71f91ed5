"""Where speech may be cut: voiced runs out of probabilities, and packs of runs that fill one look of a model. Pure.

A model that hears in looks of fixed length (Whisper: 30 s) makes its mistakes at the edges of a look. So a pack holds
whole runs, is as long as one look at most, and ends at the longest pause in its second half. Positions are samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

RATE = 16_000
FRAME = 512
"""Samples of one probability: what Silero's detector takes at 16 kHz."""
PAD = RATE * 4 // 10
"""Sound kept on each side of a run, so that no consonant is lost: Silero's own 400 ms."""

_VOICED, _SILENT = 0.5, 0.35  # Silero's thresholds for the begin and the end of speech
_GAP_FRAMES = 4  # 0.128 s: shorter silences are inside words
_SHORTEST = RATE // 10  # a shorter run is a click
_FAR = 10 * RATE  # runs farther apart are not heard together: a segment could span the silence


@dataclass(frozen=True, slots=True)
class Run:
    """Voice without a silence of 0.13 s: samples start <= i < end."""

    start: int
    end: int


class Runs:
    """Voiced runs out of a stream of probabilities, none longer than `longest` (cut at its least voiced frame)."""

    def __init__(self, longest: int) -> None:
        """Begins in silence at sample 0."""
        self.longest = longest
        self.now = 0
        self._start: int | None = None
        self._silent = 0
        self._heard: list[float] = []

    def feed(self, probabilities: Sequence[float]) -> Iterator[Run]:
        """One probability a frame; the runs that are over."""
        for p in probabilities:
            self.now += FRAME
            if self._start is None:
                if p < _VOICED:
                    continue
                self._start, self._heard, self._silent = self.now - FRAME, [], 0
            self._heard.append(p)
            # between the two thresholds a pause goes on, and speech goes on
            self._silent = 0 if p >= _VOICED else self._silent + (p < _SILENT or self._silent > 0)
            if self._silent >= _GAP_FRAMES:
                yield from self._close(self.now - self._silent * FRAME)
            elif self.now - self._start >= self.longest:
                yield from self._split()

    def end(self) -> Iterator[Run]:
        """The run that is still open."""
        if self._start is not None:
            yield from self._close(self.now - self._silent * FRAME)

    @property
    def open(self) -> int | None:
        """Where the run that goes on began."""
        return self._start

    def _close(self, end: int) -> Iterator[Run]:
        start, self._start = self._start, None
        if start is not None and end - start >= _SHORTEST:
            yield Run(start, end)

    def _split(self) -> Iterator[Run]:
        half = len(self._heard) // 2
        at = min(range(half, len(self._heard)), key=self._heard.__getitem__)
        if self._start is not None:
            cut = self._start + at * FRAME
            yield Run(self._start, cut)
            self._start, self._heard = cut, self._heard[at:]
            self._silent = min(self._silent, len(self._heard))


@dataclass(frozen=True, slots=True)
class Pack:
    """Runs heard in one look: `pieces` with their padding, in order; silences between pieces are left out."""

    pieces: tuple[tuple[int, int], ...]
    runs: tuple[Run, ...]

    @property
    def voiced(self) -> int:
        """Samples with a voice in them."""
        return sum(run.end - run.start for run in self.runs)

    @property
    def start(self) -> int:
        """The first sample."""
        return self.pieces[0][0]

    @property
    def end(self) -> int:
        """Behind the last sample."""
        return self.pieces[-1][1]


@dataclass
class Packer:
    """Packs of at most `limit` samples; the first may be smaller, so that something can be read early."""

    limit: int
    _runs: list[Run] = field(default_factory=list)
    _heard_to: int = 0

    def add(self, run: Run) -> Iterator[Pack]:
        """Packs that are full now."""
        if self._runs and (run.start - self._runs[-1].end > _FAR or run.end - self._runs[0].start > 4 * self.limit):
            yield from self.flush(run.start)
        self._runs.append(run)
        while len(self._runs) > 1 and self._length(self._runs) > self.limit:
            yield self._cut(self._best_cut())

    def quiet(self, now: int) -> Iterator[Pack]:
        """What waits, once it has been silent for so long that nothing more belongs to it."""
        if self._runs and now - self._runs[-1].end > _FAR:
            yield from self.flush(now)

    def flush(self, now: int) -> Iterator[Pack]:
        """What waits; `now` is the end of the recording or the start of what comes next."""
        if self._runs:
            yield self._cut(len(self._runs), now)

    @property
    def waits_from(self) -> int | None:
        """Where the sound begins that is still needed."""
        return max(self._heard_to, self._runs[0].start - PAD) if self._runs else None

    def _length(self, runs: Sequence[Run]) -> int:
        voiced = sum(r.end - r.start for r in runs)
        gaps = sum(min(b.start - a.end, 2 * PAD) for a, b in pairwise(runs))
        return voiced + gaps + 2 * PAD

    def _best_cut(self) -> int:
        """How many runs go: up to the longest pause (the latest of equals) that leaves the pack at least half full."""
        best, widest = len(self._runs) - 1, -1
        for k in range(len(self._runs) - 1, 0, -1):
            length = self._length(self._runs[:k])
            if length < self.limit // 2:
                break
            pause = min(self._runs[k].start - self._runs[k - 1].end, 2 * PAD)
            if length <= self.limit and pause > widest:
                best, widest = k, pause
        return best

    def _cut(self, count: int, now: int | None = None) -> Pack:
        runs, self._runs = self._runs[:count], self._runs[count:]
        after = self._runs[0].start if self._runs else now
        room = PAD if after is None else max(0, after - runs[-1].end)
        # two packs share the pause between them
        end = runs[-1].end + min(PAD, room // 2 if self._runs else room)
        pieces: list[tuple[int, int]] = []
        for run in runs:
            start = max(self._heard_to, run.start - PAD)
            if pieces and start <= pieces[-1][1]:
                pieces[-1] = (pieces[-1][0], run.end + PAD)
            else:
                pieces.append((start, run.end + PAD))
        pieces[-1] = (pieces[-1][0], end)
        self._heard_to = end
        return Pack(tuple(pieces), tuple(runs))

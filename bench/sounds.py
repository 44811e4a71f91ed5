"""Sounds whose kinship is known: talks and tunes, made once, and what becomes of them: copies, excerpts, programmes.

Every sound is a list of stretches of made sources, so what two of them share is known by construction. All of it comes
from seeds: the same list on every machine. Talks are random words, spoken by espeak-ng, which says one word by one
voice always alike; tunes are plucked notes over a drum.
"""

import random
import subprocess
import wave
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

RATE = 22_050
VOICES = ("en-us", "en-us+m1", "en-us+m7", "en-us+f2", "en-us+f5", "en-gb+m3", "de", "fr+f3", "es+m4", "it+f1")
WORDS = Path(__file__).parents[1] / "samples" / "models" / "whisper-nano-en" / "words.txt"

CHANGES: dict[str, tuple[str, ...]] = {
    "mp3 64k": (".mp3", "-b:a", "64k"),
    "opus 32k": (".opus", "-b:a", "32k"),
    "m4a": (".m4a", "-b:a", "96k"),
    "level": (".flac",),
    "resampled": (".flac", "-ar", "16000"),
    "stereo": (".flac",),
    "plain": (".flac",),
}
"""The suffix, and what ffmpeg is told; a trim is a stretch of its own, noise is laid over in `written`."""
FILTERS = {"level": ",volume=-12dB", "stereo": ",pan=stereo|c0=c0|c1=0.7*c0"}
RE_ENCODED = ("mp3 64k", "opus 32k", "m4a", "level", "resampled", "stereo")


@dataclass(frozen=True)
class Stretch:
    """A piece of a source, seconds."""

    source: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Sound:
    """One file: its stretches one after the other, and how it was written."""

    name: str
    kind: str
    stretches: tuple[Stretch, ...]
    change: str = "plain"
    noise_db: float | None = None
    """Decibels by which pink noise lies below it."""
    of: str | None = field(default=None)
    """The sound that it was made from, for the table."""

    @property
    def seconds(self) -> float:
        return sum(s.end_s - s.start_s for s in self.stretches)


def shared_s(a: Sound, b: Sound) -> float:
    """Seconds of the longest stretch that is in both."""
    return max((_common(x, y) for x in a.stretches for y in b.stretches), default=0.0)


def _common(x: Stretch, y: Stretch) -> float:
    return min(x.end_s, y.end_s) - max(x.start_s, y.start_s) if x.source == y.source else 0.0


# ------------------------------------------------------------ which there are


def collection(total: int, *, long_s: float = 3600.0) -> list[Sound]:
    """So many sounds in a random order: a third are sources as they are, the others were made from those.

    `long_s`: how long the longest source is; excerpts are cut from it and from others.
    """
    draw = random.Random(total)
    lengths = [long_s, long_s / 3, *(draw.uniform(35, min(200, long_s / 2)) for _ in range(total // 3 - 2))]
    # one in four is a tune
    sources = [_whole("tune" if n % 4 == 3 else "talk", str(n), s) for n, s in enumerate(lengths)]
    sounds = [Sound(s.source, "unrelated", (s,)) for s in sources]
    made = _made(draw, sources)
    sounds += [next(made) for _ in range(total - len(sounds))]
    draw.shuffle(sounds)
    return sounds


def _whole(what: str, name: str, seconds: float) -> Stretch:
    """All of a source, whose name says how long it is."""
    return Stretch(f"{what}-{name}-{seconds:.2f}", 0.0, round(seconds, 2))


def _made(draw: random.Random, sources: Sequence[Stretch]) -> Iterator[Sound]:
    n = 0
    while True:
        for change in RE_ENCODED:
            yield _copy(draw, sources, change, change, n)
        yield _copy(draw, sources, "trimmed", "plain", n, cut=True)
        yield _copy(draw, sources, "trimmed mp3", "mp3 64k", n, cut=True)
        yield _copy(draw, sources, "noise 10 dB", "plain", n, noise_db=10.0)
        for seconds in (10, 30):
            for change in ("plain", "mp3 64k"):
                yield _excerpt(draw, sources, seconds, change, n)
        for where in ("intro", "outro"):
            for part in (0, 1):
                yield _programme(draw, where, n, part)
        n += 1


def _copy(
    draw: random.Random,
    sources: Sequence[Stretch],
    kind: str,
    change: str,
    n: int,
    *,
    cut: bool = False,
    noise_db: float | None = None,
) -> Sound:
    whole = draw.choice(sources[2:] if n else sources)
    off = [round(draw.uniform(0.2, 2.5), 3) if cut else 0.0 for _ in range(2)]
    piece = Stretch(whole.source, off[0], whole.end_s - off[1])
    return Sound(f"{kind} {n}", kind, (piece,), change, noise_db, of=whole.source)


def _excerpt(draw, sources, seconds: int, change: str, n: int) -> Sound:
    whole = draw.choice(sources[:2] if n % 2 == 0 else sources)
    seconds = min(seconds, whole.end_s * 0.6)
    start_s = round(draw.uniform(0, whole.end_s - seconds), 3)
    piece = Stretch(whole.source, start_s, start_s + seconds)
    return Sound(f"excerpt {seconds} s {change} {n}", f"excerpt {seconds} s", (piece,), change, of=whole.source)


def _programme(draw, where: str, n: int, part: int) -> Sound:
    """A talk of its own with the intro or outro that it shares with the other one of its pair."""
    own = _whole("talk", f"{where}-{n}-{part}", draw.uniform(60, 120))
    jingle = _whole("tune" if where == "intro" else "talk", f"{where}-{n}", 15.0)
    stretches = (jingle, own) if where == "intro" else (own, jingle)
    change = draw.choice(("plain", "mp3 64k"))
    return Sound(f"{where} {n} {part}", f"shared {where}", stretches, change, of=jingle.source)


# ------------------------------------------------------------ made


def written(sound: Sound, folder: Path) -> Path:
    """The sound's file, made if it is not there; its name tells it from those of other collections."""
    suffix, *options = CHANGES[sound.change]
    to = folder / f"{sound.name.replace(' ', '-')}-{zlib.crc32(repr(sound).encode()):08x}{suffix}"
    if to.exists():
        return to
    filters, inputs = [], []
    for n, stretch in enumerate(sound.stretches):
        inputs += ["-ss", str(stretch.start_s), "-t", str(stretch.end_s - stretch.start_s)]
        inputs += ["-i", str(source(stretch.source, folder))]
        filters.append(f"[{n}:a]")
    graph = f"{''.join(filters)}concat=n={len(filters)}:v=0:a=1{FILTERS.get(sound.change, '')}"
    if sound.noise_db is not None:
        # speech and music lie near -20 dB on average: amplitude 0.1
        level = 0.1 * 10 ** (-sound.noise_db / 20) * 3
        inputs += ["-f", "lavfi", "-t", str(sound.seconds), "-i", f"anoisesrc=c=pink:seed=7:r={RATE}:a={level:.4f}"]
        graph += f"[clean];[clean][{len(filters)}:a]amix=inputs=2:duration=first:normalize=0"
    part = to.with_name(f"part-{to.name}")
    command = ["ffmpeg", "-y", "-nostdin", "-v", "error", *inputs, "-filter_complex", f"{graph}[out]", "-map", "[out]"]
    subprocess.run([*command, *options, part], check=True)
    part.rename(to)
    return to


def source(name: str, folder: Path) -> Path:
    """A made source; its name says how long it is."""
    to = folder / f"{name}.wav"
    if not to.exists():
        part = to.with_suffix(".part")
        make = talk if name.startswith("talk") else tune
        make(zlib.crc32(name.encode()), float(name.rsplit("-", 1)[1]), part)
        part.rename(to)
    return to


def talk(seed: int, seconds: float, to: Path) -> None:
    """Random words in a voice, pitch and pace of the seed's own."""
    draw = random.Random(seed)
    words = WORDS.read_text().split()
    # 140 to 170 words a minute; a quarter more, so that it is long enough
    said = " ".join(draw.choice(words) + (". " if draw.random() < 0.1 else "") for _ in range(int(seconds * 3.6) + 20))
    text, spoken = to.with_suffix(".txt"), to.with_suffix(".spoken")
    text.write_text(said)
    voice, pace, pitch = draw.choice(VOICES), str(draw.randint(140, 170)), str(draw.randint(30, 70))
    subprocess.run(["espeak-ng", "-v", voice, "-s", pace, "-p", pitch, "-f", text, "-w", spoken], check=True)
    cut = ["ffmpeg", "-y", "-v", "error", "-i", spoken, "-t", str(seconds), "-ar", str(RATE), "-ac", "1", "-f", "wav"]
    subprocess.run([*cut, to], check=True)
    text.unlink()
    spoken.unlink()


def tune(seed: int, seconds: float, to: Path) -> None:
    """Plucked notes of one scale at a tempo of the seed's own, a drum below."""
    draw = np.random.default_rng(seed)
    beat = int(RATE * draw.uniform(0.18, 0.4))
    scale = 220 * 2 ** (draw.integers(0, 12) / 12) * 2 ** (np.array([0, 2, 3, 5, 7, 8, 10, 12, 14, 15]) / 12)
    t = np.arange(beat * 3) / RATE
    sound = np.zeros(int(seconds * RATE) + 4 * beat, np.float32)
    drum = draw.standard_normal(beat // 2) * np.exp(-np.arange(beat // 2) / (beat / 12))
    for n, at in enumerate(range(0, int(seconds * RATE), beat)):
        for pitch in draw.choice(scale, draw.integers(1, 3), replace=False):
            tone = sum(np.sin(2 * np.pi * pitch * h * t) / h for h in (1, 2, 3, 5))
            sound[at : at + len(t)] += (tone * np.exp(-t * draw.uniform(3, 8))).astype(np.float32)
        if n % 4 in {0, 2}:
            sound[at : at + len(drum)] += drum.astype(np.float32)
    sound = sound[: int(seconds * RATE)]
    samples = (sound / np.abs(sound).max() * 28_000).astype("<i2")
    with wave.open(str(to), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.tobytes())

"""Recordings of known words for the benchmarks of hearing, made once and kept; and hearing them as the step does."""

import json
import random
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from bench.said import DATA, MODELS
from nexus_pipeline.domain.checking import Voice
from nexus_pipeline.domain.timeline import Coverage, Transcript
from nexus_pipeline.engines.faster_whisper import FasterWhisper
from nexus_pipeline.engines.ffmpeg import FFmpeg
from nexus_pipeline.ports import Hints
from nexus_pipeline.steps.repairing import Checked, readers, repaired

NANO = "whisper-nano-en"
KNOWN = MODELS / NANO / "known_good.json"
PAUSE_S = 0.8
MEDIA = FFmpeg(max_duration_s=86_400, max_bytes=1 << 40)
SPEECH = ("-ar", "16000", "-ac", "1")


@dataclass(frozen=True)
class Recording:
    """A file of 16 kHz, and the words that are said in it."""

    path: Path
    said: str
    seconds: float


def sentences() -> list[str]:
    """Those that the small model hears to the letter."""
    return [one["text"] for one in json.loads(KNOWN.read_text())]


def recordings(count: int, each: int, *, seed: int = 1, name: str = "known", changed: Sequence[str] = ()) -> list:
    """So many, of so many sentences each; `changed`: what ffmpeg does to the sound (a filter)."""
    draw, known = random.Random(seed), sentences()
    bag: list[str] = []
    made = []
    for n in range(count):
        while len(bag) < each:
            bag += draw.sample(known, len(known))
        said, bag = bag[:each], bag[each:]
        made.append(recording(said, DATA / f"{name}-{seed}-{each}-{n:03d}.flac", changed))
    return made


def recording(said: Sequence[str], to: Path, changed: Sequence[str] = ()) -> Recording:
    """Spoken as the small model knows it, with pauses."""
    DATA.mkdir(exist_ok=True)
    if not to.exists():
        with tempfile.TemporaryDirectory() as folder:
            wavs = [spoken(sentence, Path(folder) / f"{n}.wav") for n, sentence in enumerate(said)]
            inputs = [part for wav in wavs for part in ("-i", wav)]
            padded = "".join(f"[{n}:a]apad=pad_dur={PAUSE_S}[p{n}];" for n in range(len(wavs)))
            joined = "".join(f"[p{n}]" for n in range(len(wavs)))
            graph = f"{padded}{joined}concat=n={len(wavs)}:v=0:a=1{''.join(',' + c for c in changed)}[out]"
            part = to.with_suffix(".part.flac")
            ffmpeg(*inputs, "-filter_complex", graph, "-map", "[out]", *SPEECH, part)
            part.rename(to)
    return Recording(to, " ".join(said), seconds_of(to))


def spoken(sentence: str, to: Path, voice: str = "en-us") -> Path:
    subprocess.run(["espeak-ng", "-v", voice, "-s", "140", "-w", to, sentence], check=True)
    return to


def ffmpeg(*told: object) -> None:
    subprocess.run(["ffmpeg", "-y", "-nostdin", "-v", "error", *map(str, told)], check=True)


def seconds_of(path: Path) -> float:
    told = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(path)]
    return float(subprocess.run(told, capture_output=True, text=True, check=True).stdout)


def heard(engine: FasterWhisper, one: Recording) -> tuple[Transcript, Voice]:
    """As the step gathers it."""
    windows = list(engine.transcribe(one.path, one.seconds, Hints("en"), lambda: False))
    segments = tuple(s for w in windows for s in w.segments)
    voiced_s = sum(w.voiced_s for w in windows)
    return (
        Transcript("en", engine.name, segments, Coverage(voiced_s, 0.0)),
        Voice([run for w in windows for run in w.voiced]),
    )


def checked(engine: FasterWhisper, one: Recording, first: Transcript, voice: Voice) -> Transcript:
    """As the step checks and repairs it."""
    # what repairs hears as it always does, however the first hearing was spoilt
    with tempfile.TemporaryDirectory() as folder:
        reading = readers(
            [engine], one.path, Hints("en"), media=MEDIA, folder=lambda: Path(folder), cancelled=lambda: False
        )
        return repaired(replace(first), Checked(voice), reading, one.seconds, lambda _: None)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def wrong(said: str, told: str) -> int:
    """Words to insert, delete or replace."""
    return Levenshtein.distance(words(said), words(told))

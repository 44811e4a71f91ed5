"""Items of 30 s of speech for benchmarks, each different, spoken once and kept."""

import random
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "samples" / "models"
SPEECH = "faster-whisper:whisper-nano-en"
DATA = Path(__file__).parent / ".data"
SECONDS = 30

SUBJECTS = ("The manager", "Anna", "The engineering team", "My brother", "The drummer", "Our client", "Elena", "Marcus")
VERBS = ("wants to", "will", "has to", "said she will", "should", "must", "can", "did not")
DOINGS = (
    "check the schema before the release",
    "bring the luggage to the station",
    "explain the vector index on Monday",
    "cook the potato soup with garlic",
    "water the greenhouse in the morning",
    "record the second song in April",
    "send the contract to the office",
    "find the comet with the telescope",
    "open the museum on Saturday",
    "draft a proposal for the budget",
    "repair the old bridge",
    "listen to the orchestra tonight",
)


def words_known() -> set[str]:
    """Words that the small speech model hears."""
    return {w.lower() for w in (MODELS / "whisper-nano-en" / "words.txt").read_text().split()}


def paragraph(seed: int, sentences: int = 9) -> str:
    """Sentences inside the model's word list, different for each seed."""
    draw = random.Random(seed)
    known = words_known()
    doings = [d for d in DOINGS if set(re.findall(r"[a-z]+", d.lower())) <= known]
    return " ".join(f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(doings)}." for _ in range(sentences))


def files(n: int) -> list[Path]:
    """The first n of them: WAV, 30 s each."""
    DATA.mkdir(exist_ok=True)
    found = []
    for seed in range(n):
        to = DATA / f"{seed:04d}.wav"
        if not to.exists():
            speak(seed, to)
        found.append(to)
    return found


def speak(seed: int, to: Path) -> None:
    """30 s in a pitch and pace of the seed's own."""
    draw = random.Random(seed)
    spoken = to.with_suffix(".tmp.wav")
    pitch, pace = str(draw.randint(35, 65)), str(draw.randint(138, 150))
    voice = draw.choice(("en-us", "en-us+m1", "en-us+m7", "en-us+f2", "en-us+f3"))
    said = paragraph(seed, 12)
    subprocess.run(["espeak-ng", "-v", voice, "-s", pace, "-p", pitch, "-w", spoken, said], check=True)
    cut = ["ffmpeg", "-y", "-v", "error", "-i", spoken, "-t", str(SECONDS), "-ar", "16000", "-f", "wav"]
    subprocess.run([*cut, to.with_suffix(".part")], check=True)
    to.with_suffix(".part").rename(to)
    spoken.unlink()

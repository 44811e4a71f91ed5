"""Sound for tests: espeak-ng speaks sentences that the small speech model hears to the letter."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

MODELS = Path(__file__).parents[1] / "samples" / "models"
SPEECH = "faster-whisper:whisper-nano-en"
SENTENCES = (
    "The old piano is behind the red door in the museum.",
    "They will clean the oven after the concert on Saturday.",
    "A small comet was near the moon last night.",
    "Sara and David will share the schedule with the client.",
    "The choir will sing a quiet song for the customer.",
    "Add two spoons of butter and stir the rice.",
    "The budget meeting moved from Tuesday to Thursday.",
    "Send the invoice to finance and the draft to marketing.",
)


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg; raises CalledProcessError."""
    subprocess.run(["ffmpeg", "-y", "-nostdin", "-v", "error", *map(str, arguments)], check=True)


def speak(to: Path, sentences: Sequence[str] = SENTENCES[:2], *, voice: str = "en-us", pause_s: float = 0.7) -> Path:
    """Speak sentences with pauses between them into a file whose suffix says the format."""
    wavs = []
    for n, sentence in enumerate(sentences):
        wav = to.with_name(f".{to.stem}-{n}.wav")
        subprocess.run(["espeak-ng", "-v", voice, "-s", "140", "-w", str(wav), sentence], check=True)
        wavs.append(wav)
    inputs = [a for wav in wavs for a in ("-i", wav)]
    padded = "".join(f"[{n}:a]apad=pad_dur={pause_s}[p{n}];" for n in range(len(wavs)))
    joined = padded + "".join(f"[p{n}]" for n in range(len(wavs))) + f"concat=n={len(wavs)}:v=0:a=1[out]"
    ffmpeg(*inputs, "-filter_complex", joined, "-map", "[out]", to)
    for wav in wavs:
        wav.unlink()
    return to


def silence(to: Path, seconds: float = 5.0) -> Path:
    """A file in which nothing is said."""
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", str(seconds), to)
    return to

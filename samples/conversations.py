"""The conversations of models/speaker-nano as sound: who says what when is known to the hundredth of a second."""

import json
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

RATE = 16_000
FILE = Path(__file__).parent / "models" / "speaker-nano" / "conversations.json"
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """What one speaker says without a break: put in at `at_s`, heard from `start_s` to `end_s`."""

    speaker: str
    at_s: float
    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Conversation:
    """A script; `speakers` are espeak-ng's arguments for each, `turns` are [start_s, end_s, speaker]."""

    id: str
    duration_s: float
    speakers: dict[str, tuple[str, ...]]
    clips: tuple[Clip, ...]
    turns: tuple[tuple[float, float, str], ...]

    def words(self) -> list[tuple[str, str]]:
        """Each word in order of time, and who says it."""
        return [(word, clip.speaker) for clip in self.clips for word in clip.text.split()]


def conversations() -> dict[str, Conversation]:
    """All three, by id."""
    told = json.loads(FILE.read_text("utf-8"))["conversations"]
    return {
        one["id"]: Conversation(
            one["id"],
            one["duration_s"],
            {speaker: tuple(voice) for speaker, voice in one["speakers"].items()},
            tuple(Clip(*clip) for clip in one["clips"]),
            tuple((start_s, end_s, speaker) for start_s, end_s, speaker in one["turns"]),
        )
        for one in told
    }


def spoken(voice: Sequence[str], text: str) -> Samples:
    """One text in one voice: 16 kHz mono, as loud as espeak-ng speaks."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "clip.wav"
        subprocess.run(["espeak-ng", *voice, "-w", wav, text], check=True)
        command = ["ffmpeg", "-nostdin", "-v", "error", "-i", wav, "-ar", str(RATE), "-ac", "1", "-f", "f32le", "-"]
        return np.frombuffer(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout, np.float32)


def tracks(conversation: Conversation) -> dict[str, Samples]:
    """Each speaker's own sound, all as long as the conversation."""
    length = round(conversation.duration_s * RATE)
    out = {speaker: np.zeros(length, np.float32) for speaker in conversation.speakers}
    for clip in conversation.clips:
        said = 0.5 * spoken(conversation.speakers[clip.speaker], clip.text)
        at = round(clip.at_s * RATE)
        out[clip.speaker][at : at + len(said)] += said[: length - at]
    return out


def mixed(conversation: Conversation) -> Samples:
    """All speakers in one channel."""
    return np.sum(list(tracks(conversation).values()), axis=0, dtype=np.float32)


def written(to: Path, *channels: Samples) -> Path:
    """A file whose suffix says the format, with these channels."""
    wav = to.with_suffix(".tmp.wav")
    data = (np.clip(np.stack(channels, axis=1), -1, 1) * 32767).astype("<i2")
    with wave.open(str(wav), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(data.tobytes())
    if to.suffix == ".wav":
        return wav.rename(to)
    subprocess.run(["ffmpeg", "-y", "-nostdin", "-v", "error", "-i", wav, to], check=True)
    wav.unlink()
    return to

"""Speaks the samples into a folder: `python -m samples.make [FOLDER]`.

The same scripts give the same bytes on the same machine, so a sample put into the inbox twice is the same piece.
Nothing is made again while the scripts, this file and the folder are unchanged. `expected.json` beside the samples
says when each sentence is spoken and how each item must end.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from samples.scripts import HERE, Picture, Planted, Script, Turn, scripts, source_digest

MEDIA = HERE / "media"
EXPECTED = "expected.json"
RATE = 22_050
"""Samples a second that espeak-ng speaks with."""
WORDS_A_MINUTE = "140"
"""The speed at which the small test model was taught."""
LEAD_S, BETWEEN_S, TURN_S = 0.5, 0.4, 0.8
"""Silence before the first sentence, between sentences, and between turns: pauses where windows can be cut."""
TOOLS = ("espeak-ng", "ffmpeg")

ENCODE = {
    ".flac": ("-c:a", "flac"),
    ".mp3": ("-c:a", "libmp3lame", "-b:a", "128k"),
    ".opus": ("-c:a", "libopus", "-b:a", "48k"),
    ".mp4": ("-c:a", "aac", "-b:a", "128k"),
}


@dataclass(frozen=True, slots=True)
class Spoken:
    """One sentence and when it is said, in seconds from the start."""

    start_s: float
    end_s: float
    voice: str
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample that lies in a folder, and how its item must end."""

    path: Path
    kind: str
    expect: str
    duration_s: float
    spoken: tuple[Spoken, ...] = ()
    planted: Planted | None = None
    copy_of: str | None = None

    @property
    def text(self) -> str:
        """All that is said."""
        return " ".join(s.text for s in self.spoken)

    def planted_at_s(self) -> tuple[float, float]:
        """When the planted sentence is said: first and last second."""
        if self.planted is None:
            msg = f"nothing is planted in {self.path.name}"
            raise ValueError(msg)
        return next((s.start_s, s.end_s) for s in self.spoken if s.text == self.planted.says)


def make(folder: Path = MEDIA) -> list[Sample]:
    """The samples in a folder, made if they are not there or not today's.

    Raises RuntimeError when espeak-ng or ffmpeg is missing or fails, with what it said.
    """
    digest = source_digest(Path(__file__))
    kept = _kept(folder, digest)
    if kept is not None:
        return kept
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        msg = f"{' and '.join(missing)} not found; `make setup` installs what is missing"
        raise RuntimeError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as scratch:
        made: list[Sample] = []
        for script in scripts():
            made.append(_make(script, Path(scratch), made))
        for sample in made:
            sample.path.replace(folder / sample.path.name)
        told = {"made_from": digest, "samples": [{**asdict(s), "path": s.path.name} for s in made]}
        note = Path(scratch) / EXPECTED
        note.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
        note.replace(folder / EXPECTED)
    return _kept(folder, digest) or made


def _kept(folder: Path, digest: str) -> list[Sample] | None:
    """What lies there already, or None unless all of it is of today's scripts."""
    try:
        told = json.loads((folder / EXPECTED).read_text("utf-8"))
    except FileNotFoundError:
        return None
    if told["made_from"] != digest or not all((folder / s["path"]).is_file() for s in told["samples"]):
        return None
    return [
        Sample(
            **{
                **s,
                "path": folder / s["path"],
                "spoken": tuple(Spoken(**one) for one in s["spoken"]),
                "planted": Planted(**s["planted"]) if s["planted"] else None,
            }
        )
        for s in told["samples"]
    ]


def _make(script: Script, folder: Path, made: Sequence[Sample]) -> Sample:
    """One sample into a folder; what it is a copy of is made already."""
    to = folder / script.file
    if script.copy_of is not None:
        first = next(s for s in made if s.path.name == script.copy_of)
        _ffmpeg("-ss", str(script.cut_s), "-i", first.path, to=to)
        return Sample(to, script.kind, script.expect, first.duration_s - script.cut_s, copy_of=script.copy_of)
    sound = folder / "sound.wav"
    spoken, duration_s = _speak(script, sound)
    pictures = _pictures(script.turns, spoken, duration_s)
    _ffmpeg(*(_filmed(pictures, sound) if pictures else ("-i", sound)), to=to)
    return Sample(to, script.kind, script.expect, duration_s, tuple(spoken), script.planted)


def _speak(script: Script, to: Path) -> tuple[list[Spoken], float]:
    """All turns into one WAV file; when each sentence is said, and how long it is in all."""
    spoken: list[Spoken] = []
    at = 0
    with wave.open(str(to), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        for pause_s, voice, text in _sentences(script):
            silence = bytes(2 * round(pause_s * RATE))
            said = _say(voice, text, to.with_name("sentence.wav")) if text else b""
            start = at + len(silence) // 2
            at = start + len(said) // 2
            out.writeframes(silence + said)
            if text:
                spoken.append(Spoken(round(start / RATE, 3), round(at / RATE, 3), voice, text))
    return spoken, round(at / RATE, 3)


def _sentences(script: Script) -> Iterator[tuple[float, str, str]]:
    """Silence before it, voice and text of each sentence; a last silence has no text."""
    pause_s = LEAD_S
    for turn in script.turns:
        for text in turn.says:
            yield pause_s, turn.voice, text
            pause_s = BETWEEN_S
        pause_s = TURN_S
    yield script.silence_s or LEAD_S, "", ""


def _say(voice: str, text: str, scratch: Path) -> bytes:
    """One sentence as 16-bit mono samples."""
    _run("espeak-ng", "-v", voice, "-s", WORDS_A_MINUTE, "-w", scratch, text)
    with wave.open(str(scratch), "rb") as said:
        if (said.getframerate(), said.getnchannels(), said.getsampwidth()) != (RATE, 1, 2):
            msg = f"espeak-ng speaks {said.getparams()}; expected {RATE} Hz, one channel, 16 bits"
            raise RuntimeError(msg)
        return said.readframes(said.getnframes())


def _pictures(turns: Sequence[Turn], spoken: Sequence[Spoken], duration_s: float) -> list[str]:
    """What is seen, as lavfi sources: each from its turn's first sentence to that of the next turn."""
    firsts = [0.0, *(next(s.start_s for s in spoken if s.text == turn.says[0]) for turn in turns[1:]), duration_s]
    seconds = (end - start for start, end in pairwise(firsts))
    return [_lavfi(turn.picture, s) for turn, s in zip(turns, seconds, strict=False) if turn.picture]


def _lavfi(picture: Picture, seconds: float) -> str:
    source = picture.source + (":" if "=" in picture.source else "=") + f"size=640x360:rate=12:duration={seconds:.3f}"
    text = f"drawtext=font=DejaVu Sans:text={picture.text}:fontsize=72:fontcolor=white:box=1:boxcolor=black@0.6"
    return f"{source},{text}:boxborderw=16:x=(w-text_w)/2:y=(h-text_h)/2,format=yuv420p"


def _filmed(pictures: Sequence[str], sound: Path) -> list[str | Path]:
    """Arguments for one picture after the other, with the sound under them."""
    inputs = [argument for picture in pictures for argument in ("-f", "lavfi", "-i", picture)]
    joined = "".join(f"[{i}:v]" for i in range(len(pictures))) + f"concat=n={len(pictures)}:v=1:a=0[v]"
    mapped = ("-filter_complex", joined, "-map", "[v]", "-map", f"{len(pictures)}:a")
    return [*inputs, "-i", sound, *mapped, "-c:v", "libx264", "-preset", "veryfast", "-threads", "1"]


def _ffmpeg(*arguments: str | Path, to: Path) -> None:
    """Encode by the ending of the name, with nothing of the day or of the machine in the file."""
    exact = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact", "-flags:v", "+bitexact")
    _run("ffmpeg", "-v", "error", "-nostdin", "-y", *arguments, *ENCODE[to.suffix], *exact, to)


def _run(*command: str | Path) -> None:
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        msg = f"{command[0]} failed with exit code {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}"
        raise RuntimeError(msg)


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else MEDIA
    for sample in make(where):
        print(f"{sample.path.name}: {sample.kind}")

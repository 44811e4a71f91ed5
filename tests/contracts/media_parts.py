"""Files for the suites about media, made by ffmpeg and espeak-ng, and a few words about them."""

import subprocess
from pathlib import Path

from nexus_pipeline.engines.ffmpeg import FFmpeg

AUDIO = ("-f", "lavfi", "-i", "sine=440:d=6:r=44100")
VIDEO = ("-f", "lavfi", "-i", "testsrc=s=320x240:d=6:r=25")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def make(path: Path, *told: str) -> Path:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *told, str(path)], check=True)
    return path


def fill(folder: Path) -> None:
    """A video, a sound, a picture, and somebody who speaks."""
    make(folder / "v.mp4", *VIDEO, *AUDIO, *H264, "-c:a", "aac", "-shortest", "-movflags", "+faststart")
    make(folder / "a.mp3", *AUDIO, "-b:a", "64k")
    subprocess.run(
        ["espeak-ng", "-w", folder / "speech.wav", "Good morning, this is a short talk about bread."], check=True
    )
    make(folder / "picture.jpg", *VIDEO, "-frames:v", "1")


def speech(media: FFmpeg, path: Path, to: Path, cancelled=lambda: False) -> tuple[float, list[float]]:
    told: list[float] = []
    return media.speech(path, to, media.probe(path), told.append, cancelled), told

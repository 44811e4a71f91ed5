"""What a machine must have: Python, packages, ffmpeg with what we encode, chromaprint."""

import ctypes.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from nexus_api.diagnosis.finding import Finding, fine, wrong
from nexus_pipeline.machine import cores

PACKAGES = ("nexus-archive", "dagster", "lancedb", "sqlalchemy", "faster-whisper", "ctranslate2", "yt-dlp")
ENCODERS = {
    "flac": "speech",
    "aac": "sound that browsers play",
    "libx264": "pictures that move",
    "libwebp": "thumbnails",
}
"""What ffmpeg makes for us; a test compares them with the engine's own words."""
_FFMPEG = "sudo apt-get install ffmpeg"
_ASKED_S = 20


def looked_at() -> Iterator[Finding]:
    """All of it."""
    yield fine("python", f"{sys.version.split()[0]}, {cores()} cores")
    yield _versions()
    yield _program("ffmpeg")
    yield _program("ffprobe")
    if (ffmpeg := shutil.which("ffmpeg")) is not None:
        yield _encoders(ffmpeg)
    yield _chromaprint()


def _versions() -> Finding:
    told, lacking = [], []
    for package in PACKAGES:
        try:
            told.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            lacking.append(package)
    if not lacking:
        return fine("packages", ", ".join(told))
    return wrong("packages", f"not installed: {', '.join(lacking)}", "install Nexus again", "make setup")


def _program(name: str) -> Finding:
    path = shutil.which(name)
    return (
        wrong(name, "not found", "nothing can be fetched or converted without it", _FFMPEG)
        if path is None
        else fine(name, path)
    )


def _encoders(ffmpeg: str) -> Finding:
    try:
        told = subprocess.run(
            [ffmpeg, "-hide_banner", "-encoders"], capture_output=True, text=True, timeout=_ASKED_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return wrong(
            "codecs", f"{ffmpeg} does not say what it encodes ({type(error).__name__})", "install it again", _FFMPEG
        )
    there = {line.split()[1] for line in told.splitlines() if len(line.split()) > 1}
    lacking = [f"{name} ({what})" for name, what in ENCODERS.items() if name not in there]
    if not lacking:
        return fine("codecs", ", ".join(ENCODERS))
    hint = "this ffmpeg was built without them; the one of Debian and Ubuntu has all"
    return wrong("codecs", f"ffmpeg cannot encode {', '.join(lacking)}", hint, _FFMPEG)


def _chromaprint() -> Finding:
    name = ctypes.util.find_library("chromaprint")
    if name is not None:
        return fine("chromaprint", name)
    return wrong(
        "chromaprint", "not found", "no item gets its fingerprint without it", "sudo apt-get install libchromaprint1"
    )

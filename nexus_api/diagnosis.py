"""What `nexus doctor` looks at: each thing that Nexus needs, whether it is there, and what to do if not."""

import ctypes.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nexus_api import lock
from nexus_api.shown import size
from nexus_pipeline.domain.errors import NexusError
from nexus_pipeline.engines import NONE
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import CATALOGUES, Parts, cores

PACKAGES = ("nexus-archive", "dagster", "lancedb", "sqlalchemy", "faster-whisper", "ctranslate2", "yt-dlp")
LEAST_FREE_BYTES = 2_000_000_000
"""With less space left long items cannot be converted."""
_PROBE = ".nexus-doctor"
_SETTINGS = "look at NEXUS_SPEECH, NEXUS_SPEAKERS, NEXUS_TRANSLATOR, NEXUS_ENRICHER, NEXUS_EMBEDDER, NEXUS_ANSWERER"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing: what was found, and the way to mend it if it is not fine."""

    name: str
    ok: bool
    found: str
    hint: str | None = None


def findings(settings: Settings) -> Iterator[Finding]:
    """All of them, one after the other; none stops the next."""
    parts = Parts(settings)
    yield Finding("python", ok=True, found=f"{sys.version.split()[0]}, {cores()} cores")
    yield _versions()
    yield _program("ffmpeg")
    yield _program("ffprobe")
    yield _chromaprint()
    yield _home(settings)
    yield _tried("catalog", lambda: f"{sum(parts.catalog.counts().values())} items", "look at NEXUS_CATALOG")
    yield _tried("blobs", lambda: _writable(parts, "blobs"), "look at NEXUS_BLOBS, or at who may write there")
    yield _tried("inbox", lambda: _writable(parts, "inbox"), "look at NEXUS_INBOX, or at who may write there")
    yield _tried("archive", lambda: f"{parts.archive.count()} passages", "look at NEXUS_ARCHIVE; `nexus rebuild`")
    yield _space(settings)
    for step in CATALOGUES:
        yield _engine(parts, step)
    yield _running(settings)


def _versions() -> Finding:
    told, lacking = [], []
    for package in PACKAGES:
        try:
            told.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            lacking.append(package)
    hint = f"not installed: {', '.join(lacking)}; install Nexus again (`make setup`)" if lacking else None
    return Finding("packages", not lacking, ", ".join(told), hint)


def _program(name: str) -> Finding:
    path = shutil.which(name)
    return Finding(name, path is not None, path or "not found", None if path else "apt-get install ffmpeg")


def _chromaprint() -> Finding:
    name = ctypes.util.find_library("chromaprint")
    return Finding(
        "chromaprint", name is not None, name or "not found", None if name else "apt-get install libchromaprint1"
    )


def _home(settings: Settings) -> Finding:
    root = settings.root
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return Finding("home", ok=True, found=str(root))
    except OSError as error:
        return Finding("home", ok=False, found=f"{root}: {error.strerror}", hint="set NEXUS_HOME to a folder of yours")


def _tried(name: str, look: Callable[[], str], hint: str) -> Finding:
    try:
        return Finding(name, ok=True, found=look())
    except NexusError as error:
        return Finding(name, ok=False, found=str(error), hint=hint)


def _writable(parts: Parts, name: str) -> str:
    """Writes, reads and deletes one small object."""
    store = parts.inbox if name == "inbox" else parts.blobs
    key = f"{_PROBE}/{os.getpid()}"
    store.put(key, b"nexus")
    try:
        return "written and read" if store.read(key) == b"nexus" else "what was written is not what is read"
    finally:
        store.delete(key)


def _space(settings: Settings) -> Finding:
    """Where the bytes lie, as far as that is on this machine."""
    blobs = urlsplit(settings.blobs_url)
    place = Path(unquote(blobs.path)) if blobs.scheme == "file" else settings.root
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    enough = free >= LEAST_FREE_BYTES
    hint = None if enough else f"make room: below {size(LEAST_FREE_BYTES)} long items cannot be converted"
    return Finding("space", enough, f"{size(free)} left", hint)


def _engine(parts: Parts, step: str) -> Finding:
    """What the step uses, and why, where a person left the choice to Nexus."""
    from nexus_api.models import chosen

    try:
        name, missing = chosen(parts, step)
    except NexusError as error:
        return Finding(step, ok=False, found=str(error), hint=_SETTINGS)
    return Finding(step, missing is None, name + _why(parts, step, name), missing)


def _why(parts: Parts, step: str, name: str) -> str:
    if step == "transcript" and parts.settings.speech.endswith(":auto"):
        import psutil

        memory = size(psutil.virtual_memory().total)
        gpu = "a CUDA GPU" if "large" in name else "no CUDA GPU"
        return f" (auto: the best for {cores()} cores, {memory} of memory and {gpu})"
    told = {"enrichment": parts.settings.enricher, "answers": parts.settings.answerer}
    if told.get(step) == "auto":
        local = name in {"local", "extractive"}
        set_up = "a cloud engine is set up" if not local else "no key or server of another engine is set"
        return f" (auto: {set_up})"
    if step == "translation" and name != NONE:
        return f" (into {', '.join(parts.settings.translate_to)})"
    return ""


def _running(settings: Settings) -> Finding:
    pid = lock.holder(settings.root)
    if pid is None:
        return Finding("nexus up", ok=True, found="does not run: what is added waits for it")
    return Finding("nexus up", ok=True, found=f"runs as process {pid}" if pid else "runs")

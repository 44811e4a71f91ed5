"""What Nexus takes of the machine it runs on: cores, threads, and a folder for files on their way."""

import os
import shutil
from pathlib import Path

import psutil

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.settings import Settings


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def threads(settings: Settings) -> int:
    """Threads for one item's engine, so that all items heard side by side fill the machine and no more."""
    return max(1, cores() // widths(settings)["transcript"])


def widths(settings: Settings) -> dict[str, int]:
    """Items side by side for each step: many fetch, few compute; NEXUS_WIDTH overrides.

    Speech fills the machine with one item a core up to four: CTranslate2 gains more from
    several items than from several threads on one (README of faster-whisper, "num_workers").
    """
    n = cores()
    half = max(1, n // 2)
    usual = {"raw": max(2, n), "fingerprint": half, "transcript": max(1, min(4, n)), "speakers": half}
    return {**dict.fromkeys(STEPS, 1), **usual, **settings.width}


def scratch(settings: Settings) -> Path:
    """This process's folder for files on their way."""
    path = settings.cache / "scratch" / str(os.getpid())
    path.mkdir(parents=True, exist_ok=True)
    return path


def sweep_scratch(settings: Settings) -> None:
    """Remove what processes left that are no more."""
    for folder in (settings.cache / "scratch").glob("*"):
        if not psutil.pid_exists(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)

"""Peak memory of the warm worker over the length of an item: 10 minutes, an hour, ten hours, of silence and of speech.

Each length has a home and a worker of its own, so that none inherits another's memory: the real one, with Dagster's
run, catalog and archive. It is warm: a short sound and a transcript of two hours have gone through it, so that what is
loaded or made once (models; the first index of words, 80 MB) counts for every length. `warm` is its peak until then,
`peak` that to the end, as the kernel counted it (VmHWM); its children (ffmpeg) are told apart.
Bar: ten hours take at most 100 MB more than ten minutes. `python -m bench.memory [600 3600 36000] [--kinds speech]`
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from bench.overhead import Chain
from bench.said import DATA, files, paragraph
from bench.told import tell

LENGTHS = (600, 3600, 36_000)
MOST_MORE_MB = 100
SPOKEN = 400
"""Pieces of 30 s, each different; a longer item hears them again at another pitch, so that it does not repeat."""
PITCHES = (16_000, 15_400, 16_600)
SHORTEST_REAL_TIME = 8
"""Slower than this many times real time the run is given up."""


def sound(kind: str, seconds: int) -> Path:
    """The item of that length, made once: Opus, 11 MB an hour; silence is FLAC."""
    DATA.mkdir(exist_ok=True)
    to = DATA / f"{kind}-{seconds}.{'ogg' if kind == 'speech' else 'flac'}"
    if not to.exists():
        part = to.with_suffix(f".part{to.suffix}")
        make = _spoken if kind == "speech" else _silent
        make(seconds, part)
        part.rename(to)
    return to


def _ffmpeg(*told: str | Path) -> None:
    subprocess.run(["ffmpeg", "-y", "-nostdin", "-v", "error", *map(str, told)], check=True)


def _silent(seconds: int, to: Path) -> None:
    _ffmpeg("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", str(seconds), to)


def _spoken(seconds: int, to: Path) -> None:
    pieces = files(min(SPOKEN, seconds // 30))
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole.txt")
        voices = []
        for pitch in PITCHES:
            here = Path(folder, f"{pitch}.txt")
            here.write_text("".join(f"file '{path.absolute()}'\n" for path in pieces))
            voice = Path(folder, f"{pitch}.ogg")
            turned = f"asetrate={pitch},aresample=16000"
            opus = ("-c:a", "libopus", "-compression_level", "0", "-b:a", "24k", "-ac", "1")
            _ffmpeg("-f", "concat", "-safe", "0", "-i", here, "-af", turned, *opus, "-t", str(seconds), voice)
            voices.append(voice)
            if len(voices) * 30 * len(pieces) >= seconds:
                break
        whole.write_text("".join(f"file '{voice}'\n" for voice in voices))
        _ffmpeg("-f", "concat", "-safe", "0", "-i", whole, "-c", "copy", "-t", str(seconds), to)


def transcript(hours: float = 2.0) -> Path:
    """A transcript of so many hours: a sentence each four seconds."""
    to = DATA / f"told-{hours:g}.srt"
    sentences = [f"{s}." for seed in range(int(hours * 100)) for s in paragraph(seed, 9).split(". ")]
    cues = (f"{n + 1}\n{_clock(4 * n)} --> {_clock(4 * n + 3)}\n{said}\n" for n, said in enumerate(sentences))
    to.write_text("\n".join(cues))
    return to


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},000"


class Children:
    """Looks at a process's children a few times a second and keeps the most that they took together."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, args=(psutil.Process(pid),), daemon=True)
        self._thread.start()

    def _look(self, process: psutil.Process) -> None:
        while not self._over.wait(0.25):
            sizes = []
            for child in process.children(recursive=True):
                try:
                    # until it has become another program a child shows its parent's memory
                    if child.name() != process.name():
                        sizes.append(child.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue
            self.peak = max(self.peak, sum(sizes))

    def close(self) -> int:
        self._over.set()
        self._thread.join()
        return self.peak


def peak_mb(pid: int) -> float:
    """The most memory that the process ever had resident."""
    told = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(told[1]) / 1024


def measured(kind: str, seconds: int) -> dict[str, float | str]:
    """One item of that length through a fresh worker."""
    path = sound(kind, seconds)
    home = Path(tempfile.mkdtemp(prefix="bench-memory-"))
    chain = Chain(home)
    try:
        chain.go([sound("silence", 10), *files(1), transcript()], "warm", patience_s=900)
        before = chain.parts.archive.count()
        warm = peak_mb(chain.worker.pid)
        children = Children(chain.worker.pid)
        began = time.monotonic()
        took = chain.go([path], "long", patience_s=600 + seconds / SHORTEST_REAL_TIME)
        return {
            "kind": kind,
            "hours": round(seconds / 3600, 2),
            "warm_mb": round(warm),
            "peak_mb": round(peak_mb(chain.worker.pid)),
            "children_mb": round(children.close() / 2**20),
            "passages": chain.parts.archive.count() - before,
            "cpu_s": round(took["cpu"]),
            "wall_s": round(time.monotonic() - began),
        }
    finally:
        chain.close()
        shutil.rmtree(home, ignore_errors=True)


def apart(kind: str, seconds: int) -> dict[str, float | str]:
    """The same in a process of its own: Dagster's instance is one a process."""
    command = [sys.executable, "-m", "bench.memory", str(seconds), "--kinds", kind, "--one"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[1])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """All lengths of each kind, and the bars."""
    wanted = argparse.ArgumentParser()
    wanted.add_argument("lengths", nargs="*", type=int, default=list(LENGTHS), help="seconds")
    wanted.add_argument("--kinds", nargs="+", default=["silence", "speech"], choices=["silence", "speech"])
    wanted.add_argument("--one", action="store_true", help="measure here and print one JSON line")
    args = wanted.parse_args()
    if args.one:
        print(json.dumps(measured(args.kinds[0], args.lengths[0])))
        return
    rows = []
    for kind in args.kinds:
        for seconds in sorted(args.lengths):
            rows.append(apart(kind, seconds))
            print(rows[-1], file=sys.stderr, flush=True)
    bars = {}
    for kind in args.kinds:
        own = [row["peak_mb"] for row in rows if row["kind"] == kind]
        bars[f"{kind}: {max(args.lengths)} s at most {MOST_MORE_MB} MB over {min(args.lengths)} s"] = (
            own[-1] - own[0] <= MOST_MORE_MB
        )
    tell("memory", rows, bars)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()

"""`make run`: `nexus up` until Ctrl-C; an empty archive first gets the samples, so that there is something to find.

The samples are heard with the small test model, each by its own choice of engine: a person's items keep the default.
"""

import os
import signal
import subprocess
import sys
import time
from types import FrameType

from nexus_pipeline.domain.errors import NexusError
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts
from samples.make import Sample, make
from samples.nexus import Failed, nexus, up
from samples.scripts import MODEL
from samples.watch import Watch

LOOK_S = 0.3
EAR = f"transcript=faster-whisper:{MODEL}"


def main() -> int:
    """Until `nexus up` ends or a person ends it; the exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # SIGHUP: the terminal was closed
        signal.signal(number, _interrupted)
    try:
        settings = Settings()
        parts = Parts(settings)
        empty = not any(parts.catalog.counts().values())
        samples = make() if empty else []
        with up(environment=os.environ) as child:
            if samples:
                _samples(samples, parts, child)
            _where(settings)
            return child.wait()
    except KeyboardInterrupt:
        return 0
    except (Failed, NexusError, RuntimeError, ValueError) as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _samples(samples: list[Sample], parts: Parts, child: "subprocess.Popen[bytes]") -> None:
    """Add them and show their steps until all have ended; then search once."""
    print(f"The archive is empty: {len(samples)} samples come first.", flush=True)
    for paths in ([s.path for s in samples if not s.copy_of], [s.path for s in samples if s.copy_of]):
        # copies come second: the older item is the first
        nexus("add", *paths, "--tag", "sample", "--engine", EAR, environment=os.environ)
    watch = Watch(parts.catalog, samples)
    ended = False
    while not ended and child.poll() is None:
        ended = watch.ended()
        for line in watch.look():
            print(line, flush=True)
        time.sleep(LOOK_S)
    planted = next(s.planted for s in samples if s.planted)
    if ended:
        print(f"\n$ nexus search {planted.query!r}")
        for hit in nexus("search", planted.query, "--limit", "1", environment=os.environ)["hits"]:
            print(f"  {hit['title']}, {hit['start_s']:.0f} to {hit['end_s']:.0f} s: {hit['text']}", flush=True)


def _where(settings: Settings) -> None:
    print("\nEvery step of every item:  http://127.0.0.1:3000  (Dagster's UI)")
    print(f"Drop files here:           {settings.inbox_url.removeprefix('file://')}")
    print("Then search:               .venv/bin/nexus search WORDS")
    print("Ctrl-C ends it.", flush=True)


if __name__ == "__main__":
    sys.exit(main())

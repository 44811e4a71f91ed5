"""`nexus up` as a process in a home of its own, on ports of its own, and what its stores say of items and runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from bench.said import MODELS, ROOT, SPEECH
from nexus_api.programs import free_port
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.listing import ItemQuery
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts

READY_S = 180.0
END_S = 15.0
LOOK_S = 0.03
"""How often is looked whether an item can be read."""


class Nexus:
    """The embedded default: SQLite, folders, two warm workers."""

    def __init__(self, **settings: str) -> None:
        """Starts it, with these NEXUS_ variables too, and waits until it says that it is ready."""
        self.folder = Path(tempfile.mkdtemp(prefix="bench-arrival-"))
        self.keep = False
        home = self.folder / "home"
        self.port, self.api_port = free_port(), free_port()
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("NEXUS_") and k != "DAGSTER_HOME"}
        self.environment |= {"NEXUS_HOME": str(home), "NEXUS_SPEECH": SPEECH, "NEXUS_MODELS": str(MODELS)}
        self.environment |= settings
        self.parts = Parts(Settings(home=home, speech=SPEECH, models=MODELS, _env_file=None))
        self.inbox = home / "blobs" / "inbox"
        self.up = self._start()
        os.environ["DAGSTER_HOME"] = str(home / "dagster")
        self.instance = dg.DagsterInstance.get()
        self.readable = Readable(home / "blobs" / "items" / "local")
        self.readable.start()

    def _start(self) -> "subprocess.Popen[bytes]":
        ports = ("--port", str(self.api_port), "--dagster-port", str(self.port))
        log = (self.folder / "up.log").open("w")
        up = subprocess.Popen(
            self._nexus("up", *ports),
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        until = time.monotonic() + READY_S
        while "\nready" not in (said := (self.folder / "up.log").read_text()):
            if up.poll() is not None or time.monotonic() > until:
                up.kill()
                sys.exit(f"`nexus up` did not become ready:\n{said}")
            time.sleep(0.2)
        return up

    @staticmethod
    def _nexus(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "nexus_api.cli", *arguments]

    def nexus(self, *arguments: str) -> None:
        """One command, as a process."""
        subprocess.run(self._nexus(*arguments), env=self.environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    def items(self) -> dict[str, Item]:
        """All items by the name of their file."""
        found: dict[str, Item] = {}
        cursor = None
        while True:
            page = self.parts.catalog.page(ItemQuery(limit=200, cursor=cursor))
            found |= {str(item.filename): item for item in page.items}
            cursor = page.next_cursor
            if cursor is None:
                return found

    def wait_until(self, what: str, met: Callable[[], object], patience_s: float) -> None:
        """Ends the benchmark when it takes longer."""
        until = time.monotonic() + patience_s
        while not met():
            if self.up.poll() is not None or time.monotonic() > until:
                self.keep = True
                counts = dict(self.parts.catalog.counts())
                sys.exit(f"{what}: not within {patience_s:.0f} s; items {counts}; the home is kept in {self.folder}")
            time.sleep(0.3)

    def wait_done(self, many: int, patience_s: float) -> None:
        """Until so many items are done."""
        self.wait_until(f"{many} items done", lambda: self.parts.catalog.counts().get("done", 0) >= many, patience_s)

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask Dagster's webserver, as its UI does."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        url = f"http://127.0.0.1:{self.port}/graphql"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            told: dict[str, Any] = json.loads(answer.read())
        if "errors" in told:
            sys.exit(f"Dagster refused a query: {told['errors']}")
        data: dict[str, Any] = told["data"]
        return data

    def close(self) -> None:
        """End it, and remove its home unless something went wrong there."""
        self.readable.over.set()
        self.up.send_signal(signal.SIGTERM)
        try:
            self.up.wait(END_S)
        except subprocess.TimeoutExpired:
            self.up.kill()
            self.up.wait()
            print(f"`nexus up` did not end within {END_S:.0f} s of SIGTERM", file=sys.stderr)
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


class Readable(threading.Thread):
    """Looks at the blobs for each item's first segments; `at`: the instant by item id, in seconds since 1970."""

    def __init__(self, items: Path) -> None:
        super().__init__(name="readable", daemon=True)
        self.items, self.at = items, dict[str, float]()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(LOOK_S):
            if not self.items.exists():
                continue
            for entry in os.scandir(self.items):
                if entry.name not in self.at and _heard(entry.path):
                    self.at[entry.name] = time.time()


def _heard(item: str) -> bool:
    """Whether its first segments, or its whole transcript, can be read."""
    transcript = Path(item, "transcript")
    return next(transcript.glob("*.json"), None) is not None or (transcript / "partial" / "0.json").exists()

"""A hub on loopback that speaks enough of Hugging Face's API to download models from, and fails as it is told."""

import contextlib
import hashlib
import http.server
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
LARGE = 10_000
"""Files from so many bytes on are kept in the large store, which has sha256 digests; smaller ones in git."""


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    range: str | None
    token: str | None


class Hub(http.server.BaseHTTPRequestHandler):
    """`{folder}/OWNER/NAME/` are repositories; `/files/PATH` serves any file below the folder."""

    protocol_version = "HTTP/1.1"
    folder: Path
    asked: list[Asked]
    sent: list[int]
    """Bytes of each answer with a file's bytes in it."""
    silent: threading.Event
    wrong: bool = False
    """Sends other bytes than it tells."""
    cuts: int = 0
    """So many answers break after `cut_at` bytes."""
    cut_at: int = 0
    ranges: bool = True
    status: int | None = None
    """Answered to whatever is asked of a file."""
    quiet: bool = False
    """Says nothing to whoever asks for a file."""
    pace_s: float = 0.0
    """It waits so long before each block."""
    block: int = 16_384
    digests: bool = True
    store: str | None = None
    """Where large files are: another server; itself without it."""

    def do_GET(self) -> None:
        asked = Asked(self.path, self.headers.get("Range"), self.headers.get("Authorization"))
        self.asked.append(asked)
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)", path):
            self._told(found[1])
        elif self.quiet:
            self.silent.wait(30)
            self.close_connection = True
        elif self.status:
            self._small(self.status, b"no")
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]{40})/([^/]+)", path):
            self._resolved(self.folder / found[1] / found[3], found[1], found[2])
        elif found := re.fullmatch(r"/files/(.+)", path):
            self._file(self.folder / found[1])
        elif found := re.fullmatch(r"/to/(.+)", path):
            self._small(302, b"", {"Location": found[1]})
        elif path == "/round":
            self._small(302, b"", {"Location": "/round"})
        else:
            self._small(404, b"no")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _told(self, repository: str) -> None:
        folder = self.folder / repository
        if not folder.is_dir():
            self._small(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
            return
        siblings = [self._sibling(file) for file in sorted(folder.iterdir())]
        told = {"id": repository, "modelId": repository, "sha": COMMIT, "tags": ["license:mit"], "siblings": siblings}
        self._small(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _sibling(self, file: Path) -> dict:
        data = file.read_bytes()
        sibling = {"rfilename": file.name, "size": len(data)}
        if not self.digests:
            return sibling
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        large = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return {**sibling, "blobId": git, **({"lfs": large} if len(data) >= LARGE else {})}

    def _resolved(self, file: Path, repository: str, commit: str) -> None:
        if commit != COMMIT or not file.is_file():
            self._small(404, b"no", {"X-Error-Code": "EntryNotFound"})
        elif file.stat().st_size >= LARGE:
            self._small(302, b"", {"Location": f"{self.store or ''}/files/{repository}/{file.name}"})
        else:
            self._file(file)

    def _file(self, file: Path) -> None:
        if not file.is_file():
            self._small(404, b"no")
            return
        data = file.read_bytes()
        if self.wrong:
            data = data[:-1] + bytes([data[-1] ^ 1])
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "") if self.ranges else None
        start = int(asked[1]) if asked else 0
        if start >= len(data):
            self._small(416, b"")
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        self._send(data[start:])

    def _send(self, data: bytes) -> None:
        cut = self.cuts > 0 and len(data) > self.cut_at
        if cut:
            type(self).cuts -= 1
            data = data[: self.cut_at]
        self.sent.append(len(data))  # before whoever reads it can go on
        for at in range(0, len(data), self.block):
            time.sleep(self.pace_s)
            self.wfile.write(data[at : at + self.block])
        if cut:
            self.close_connection = True

    def _small(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # whoever asked went away, as some tests want
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, *args: object) -> None:
        """Not of interest."""


@contextlib.contextmanager
def hub(folder: Path) -> Iterator[tuple[str, type[Hub]]]:
    """Its address, and what answers there: set its attributes to make it fail."""
    handler = type("ThisHub", (Hub,), {"folder": folder, "asked": [], "sent": [], "silent": threading.Event()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        handler.silent.set()
        server.shutdown()
        server.server_close()
        thread.join()

"""A site on loopback to fetch from, which fails as its addresses say."""

import contextlib
import http.server
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path


class Site(http.server.BaseHTTPRequestHandler):
    """Serves a folder with ranges, and pages that fail as their names say."""

    protocol_version = "HTTP/1.1"
    folder: Path
    asked: list[tuple[str, str | None]]
    break_at: int | None = None

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        status = re.match(r"/status/(\d+)", self.path)
        if status:
            self._answer(int(status[1]), b"no", "text/plain")
        elif self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path.startswith("/slow"):
            self._slow()
        else:
            self._file(self.folder / self.path.lstrip("/"))

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self._answer(404, b"no", "text/plain")
            return
        asked = self.headers.get("Range")
        type(self).asked.append((f"{self.command} {self.path}", asked))
        data = path.read_bytes()
        kinds = {
            ".html": "text/html",
            ".mp3": "audio/mpeg",
            ".m3u8": "application/vnd.apple.mpegurl",
            ".rss": "text/xml",
        }
        kind = kinds.get(path.suffix, "application/octet-stream")
        match = re.match(r"bytes=(\d+)-(\d*)", asked or "")
        if match:
            start, end = int(match[1]), int(match[2] or len(data) - 1)
            part = data[start : end + 1]
            self._answer(206, part, kind, {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(data)}"})
        else:
            self._answer(200, data, kind, {"Accept-Ranges": "bytes"})

    def _answer(self, status: int, data: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.break_at is not None and len(data) > self.break_at:
            self.wfile.write(data[: self.break_at])
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(data)

    def _slow(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "audio/mpeg")
        self.send_header("Content-Length", "100000000")
        self.end_headers()
        for _ in range(300):
            self.wfile.write(b"\xff\xfb" * 500)
            time.sleep(0.1)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, ValueError):  # the client goes away, as some of these tests want
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(ConnectionError, ValueError):
            super().finish()

    def log_message(self, *args: object) -> None:
        """Not of interest."""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[str, type[Site]]]:
    """The address of a site over this folder, in which `talk.mp3` lies, and what answers for it."""
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=440:d=20", "-b:a", "64k", folder / "talk.mp3"], check=True
    )
    handler = type("ThisSite", (Site,), {"folder": folder, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

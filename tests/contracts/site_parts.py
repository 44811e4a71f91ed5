"""Sites on loopback to fetch from, which fail as their addresses say."""

import contextlib
import functools
import hashlib
import http.server
import re
import ssl
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

KINDS = {".html": "text/html", ".mp3": "audio/mpeg", ".m3u8": "application/vnd.apple.mpegurl", ".rss": "text/xml"}


class Site(http.server.BaseHTTPRequestHandler):
    """Serves a folder with ranges and versions, and addresses that fail as their names say."""

    protocol_version = "HTTP/1.1"
    folder: Path
    asked: list[tuple[str, str | None]]
    """Method and path of each request for a file, and its range."""
    served: list[tuple[str, str | None, int]]
    """Path, range and bytes of each answer that was sent to its end."""
    links: Mapping[str, str] = MappingProxyType({})
    pace_s: float = 0.0
    """It waits so long before each block."""
    break_at: int | None = None
    """After so many bytes of a file the connection breaks."""
    validators: tuple[str, ...] = ("ETag",)
    """What it says of a file's version: ETag, Last-Modified, or nothing."""
    honours: bool = True
    """Whether it knows If-Range."""
    ranges: bool = True

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        word = re.match(r"/([a-z-]*)", self.path)[1]
        answer = getattr(self, f"_{word.replace('-', '_')}", None) if word in WORDS else None
        if answer is not None:
            answer()
        else:
            self._file(self.folder / self.path.partition("?")[0].lstrip("/"))

    # ------------------------------------------------------------ files

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self._answer(404, b"no", "text/plain")
            return
        asked = self.headers.get("Range") if self.ranges else None
        type(self).asked.append((f"{self.command} {self.path}", asked))
        data = path.read_bytes()
        kind = KINDS.get(path.suffix, "application/octet-stream")
        told = {
            "ETag": f'"{hashlib.sha256(data).hexdigest()[:16]}"',
            "Last-Modified": self.date_time_string(int(path.stat().st_mtime)),
        }
        version = {name: told[name] for name in self.validators}
        condition = self.headers.get("If-Range")
        if self.honours and condition is not None and condition not in version.values():
            asked = None
        match = re.match(r"bytes=(\d+)-(\d*)", asked or "")
        if match is None:
            self._answer(200, data, kind, {"Accept-Ranges": "bytes", **version})
        elif int(match[1]) >= len(data):
            self._answer(416, b"", kind, {"Content-Range": f"bytes */{len(data)}"})
        else:
            start = int(match[1])
            part = data[start : int(match[2] or len(data) - 1) + 1]
            span = f"bytes {start}-{start + len(part) - 1}/{len(data)}"
            self._answer(206, part, kind, {"Content-Range": span, **version})

    def _answer(self, status: int, data: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self._head(status, kind, {"Content-Length": str(len(data)), **(headers or {})})
        if self.command == "HEAD":
            return
        breaks = self.break_at is not None and len(data) > self.break_at
        sent = data[: self.break_at] if breaks else data
        for at in range(0, len(sent), BLOCK):
            time.sleep(self.pace_s)
            self.wfile.write(sent[at : at + BLOCK])
        type(self).served.append((self.path, self.headers.get("Range"), len(sent)))
        if breaks:
            self.close_connection = True
            self.connection.close()

    def _head(self, status: int, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    # ------------------------------------------------------------ failures

    def _status(self) -> None:
        """`/status/429?after=7`."""
        match = re.match(r"/status/(\d+)(?:\?after=(.*))?", self.path)
        self._answer(int(match[1]), b"no", "text/plain", {"Retry-After": match[2]} if match[2] else None)

    def _to(self) -> None:
        """`/to/http://elsewhere/`."""
        self._answer(302, b"", "text/plain", {"Location": self.path.removeprefix("/to/")})

    def _link(self) -> None:
        """`/link/a`: where `links` says; out of order without it."""
        to = self.links.get(self.path.removeprefix("/link/"))
        self._answer(302 if to else 503, b"", "text/plain", {"Location": to} if to else None)

    def _round(self) -> None:
        self._answer(302, b"", "text/plain", {"Location": self.path + "/x"})

    def _again(self) -> None:
        """A page that leads to another one, and so on."""
        further = f"http://{self.headers['Host']}{self.path}x"
        page = f'<html><head><meta http-equiv="refresh" content="0; url={further}"></head><body></body></html>'
        self._answer(200, page.encode(), "text/html")

    def _short(self) -> None:
        """`/short/TARGET`: as some shorteners do, a page for browsers."""
        page = f'<noscript><META http-equiv="refresh" content="0;URL={self.path.removeprefix("/short/")}"></noscript>'
        self._answer(200, page.encode(), "text/html")

    def _slow(self) -> None:
        self._head(200, "audio/mpeg", {"Content-Length": "100000000"})
        for _ in range(300):
            self.wfile.write(b"\xff\xfb" * 500)
            time.sleep(0.1)

    def _drip(self) -> None:
        self._head(200, "text/html", {"Content-Length": "100000000"})
        for letter in b"<html><head><title>" + b"x" * 300:
            self.wfile.write(bytes([letter]))
            time.sleep(0.2)

    def _hang(self) -> None:
        time.sleep(8)
        self.close_connection = True

    def _radio(self) -> None:
        self._head(200, "audio/mpeg", {"icy-name": "A station", "Connection": "close"})
        for _ in range(300):
            self.wfile.write(b"\xff\xfb" * 500)
            time.sleep(0.1)

    def _lies(self) -> None:
        """Says that there is more than there is."""
        self._head(200, "audio/mpeg", {"Content-Length": "400000"})
        self.wfile.write(b"\xff\xfb" * 5000)
        self.close_connection = True

    def _bomb(self) -> None:
        kind = "audio/mpeg" if self.path.endswith(".mp3") else "text/html"
        self._answer(200, bomb(), kind, {"Content-Encoding": "gzip"})

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the client goes away, as some of these tests want
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, *args: object) -> None:
        """Not of interest."""


BLOCK = 8192
WORDS = ("status", "to", "link", "round", "again", "short", "slow", "drip", "hang", "radio", "lies", "bomb")


@functools.cache
def bomb() -> bytes:
    """A page of 100 MB in 100 kB."""
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(b"<html>") + b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()


def tone(path: Path, seconds: int = 20) -> Path:
    """A file with a tone in it, 8 kB a second."""
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"sine=440:d={seconds}", "-b:a", "64k", path]
    subprocess.run(command, check=True)
    return path


def stream(folder: Path, name: str = "list", seconds: int = 6) -> Path:
    """An HLS list of pieces of two seconds."""
    path = folder / f"{name}.m3u8"
    sound = ["-f", "lavfi", "-i", f"sine=440:d={seconds}", "-c:a", "aac"]
    command = ["ffmpeg", "-v", "error", "-y", *sound, "-f", "hls", "-hls_time", "2", "-hls_list_size", "0", path]
    subprocess.run(command, check=True)
    return path


@contextlib.contextmanager
def answering(
    folder: Path, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, type]]:
    """The address of a site over this folder, and what answers for it."""
    handler = type("ThisSite", (Site,), {"folder": folder, "asked": [], "served": []})
    server = http.server.ThreadingHTTPServer((host, port), handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://{host}:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[str, type[Site]]]:
    """The same with `talk.mp3` in the folder."""
    tone(folder / "talk.mp3")
    with answering(folder) as site:
        yield site

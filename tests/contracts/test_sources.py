"""Sources: the one form of addresses, and fetching from a real server on loopback."""

import contextlib
import http.server
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_pipeline.domain.errors import (
    BadAddress,
    Cancelled,
    NexusError,
    SourceBusy,
    SourceGone,
    SourceRefused,
    TooLarge,
    TooLong,
)
from nexus_pipeline.ports import Limits
from nexus_pipeline.sources import SOURCES, source_for
from nexus_pipeline.sources.downloading import Guard

LOOPBACK = ("127.0.0.1",)


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


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, type[Site]]]:
    folder = tmp_path / "site"
    folder.mkdir()
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=440:d=20", "-b:a", "64k", folder / "talk.mp3"], check=True
    )
    handler = type("ThisSite", (Site,), {"folder": folder, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    to = tmp_path / "fetched"
    to.mkdir()
    return to


def fetch(url: str, folder: Path, *, cancelled=lambda: False, **limits):
    told = {"max_bytes": 10**8, "max_duration_s": 3600.0, "timeout_s": 60.0, "allow_hosts": LOOPBACK, **limits}
    seen: list[float] = []
    fetched = source_for(url).fetch(url, folder, Limits(**told), seen.append, cancelled)
    return fetched, seen


# ------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("given", "platform", "canonical"),
    [
        ("https://youtu.be/dQw4w9WgXcQ?si=abc&t=3", "youtube", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"),
        (
            "https://m.youtube.com/watch?list=PL1&v=dQw4w9WgXcQ",
            "youtube",
            "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        ),
        ("https://www.youtube.com/shorts/dQw4w9WgXcQ", "youtube", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"),
        ("https://www.youtube.com/embed/dQw4w9WgXcQ?x=1", "youtube", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"),
        ("https://youtube.com/live/dQw4w9WgXcQ", "youtube", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"),
        ("https://www.youtube.com/@someone/videos?si=1", "youtube", "https://www.youtube.com/@someone/videos"),
        ("https://www.instagram.com/reel/Cabc123/?igsh=xyz", "instagram", "https://www.instagram.com/p/Cabc123/"),
        (
            "https://www.tiktok.com/@Some.One/video/123?is_copy=1",
            "tiktok",
            "https://www.tiktok.com/@some.one/video/123",
        ),
        ("https://vm.tiktok.com/ZMabc/", "tiktok", "https://vm.tiktok.com/ZMabc/"),
        ("https://m.facebook.com/watch/?v=123&ref=x", "facebook", "https://www.facebook.com/watch/?v=123"),
        ("https://www.facebook.com/some.one/videos/a-title/123/", "facebook", "https://www.facebook.com/watch/?v=123"),
        ("https://twitter.com/someone/status/99?s=20", "x", "https://x.com/i/status/99"),
        (
            "https://podcasts.apple.com/de/podcast/a-title/id11?i=22&l=en",
            "podcast",
            "https://podcasts.apple.com/podcast/id11?i=22",
        ),
        (
            "HTTP://Example.COM:80/a b/../x?b=2&utm_source=q&a=1#top".replace(" ", "%20"),
            "web",
            "http://example.com/a%20b/../x?a=1&b=2",
        ),
        ("https://bücher.example", "web", "https://xn--bcher-kva.example/"),
        ("https://notyoutube.com/watch?v=dQw4w9WgXcQ", "web", "https://notyoutube.com/watch?v=dQw4w9WgXcQ"),
        ("https://example.com:8443/a?x=&y=%2F", "web", "https://example.com:8443/a?x=&y=%2F"),
    ],
)
def test_an_address_has_one_form_and_one_platform(given: str, platform: str, canonical: str) -> None:
    source = source_for(given)
    assert source.name == platform
    assert source.canonical(given) == canonical
    assert source.canonical(canonical) == canonical


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a",
        "file:///etc/passwd",
        "data:audio/mp3;base64,AA",
        "//example.com",
        "https://",
        "talk.mp3",
        "https://user:secret@example.com/",
        "http://a b.example/",
        "http://example.com:99999/",
        "http://[::1/",
        "",
        "https://" + "a" * 5000 + ".example/",
    ],
)
def test_what_is_no_web_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BadAddress) as refused:
        source_for(url).canonical(url)
    assert "secret" not in str(refused.value)


def test_the_general_web_comes_last_and_every_name_is_used_once() -> None:
    names = [source.name for source in SOURCES]
    assert names[-1] == "web"
    assert len(set(names)) == len(names)


# ------------------------------------------------------------ the guard


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "::1",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "fd00::1",
        "64:ff9b::a00:1",
        "2002:0a00:0001::",
        "224.0.0.1",
        "localhost",
    ],
)
def test_the_guard_stops_connections_to_what_is_not_public(host: str) -> None:
    guard = Guard([])
    with pytest.raises(PermissionError):
        guard("socket.connect", (None, (host, 80)))
    assert guard.refused


@pytest.mark.parametrize("host", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_the_guard_lets_public_addresses_pass(host: str) -> None:
    guard = Guard([])
    guard("socket.connect", (None, (host, 443)))
    assert not guard.refused


def test_the_guard_lets_an_allowed_host_pass_and_no_other() -> None:
    guard = Guard(["localhost"])
    guard("socket.connect", (None, ("127.0.0.1", 80)))
    with pytest.raises(PermissionError):
        guard("socket.connect", (None, ("127.0.0.2", 80)))


def test_the_guard_starts_no_program_that_is_given_an_address() -> None:
    guard = Guard([])
    guard("subprocess.Popen", ("ffmpeg", ["ffmpeg", "-i", "file:media.mp4"], None, None))
    for command in (["ffmpeg", "-i", "http://10.0.0.1/"], ["curl", "x"], ["sh", "-c", "ffmpeg"]):
        with pytest.raises(PermissionError):
            guard("subprocess.Popen", (command[0], command, None, None))


# ------------------------------------------------------------ fetching


def test_a_file_is_fetched_with_its_name_and_progress(site, folder: Path) -> None:
    url, handler = site
    fetched, seen = fetch(f"{url}/talk.mp3", folder)
    assert fetched.path.read_bytes() == (handler.folder / "talk.mp3").read_bytes()
    assert fetched.filename == "talk.mp3"
    assert fetched.title == "talk"
    assert seen[-1] == 1.0
    assert fetched.path.parent == folder


def test_a_private_address_is_refused_unless_it_is_allowed(site, folder: Path) -> None:
    url, _ = site
    with pytest.raises(BadAddress, match="NEXUS_ALLOW_HOSTS"):
        fetch(f"{url}/talk.mp3", folder, allow_hosts=())
    assert not list(folder.iterdir())


def test_a_redirect_into_a_private_network_is_refused(site, folder: Path) -> None:
    url, _ = site
    with pytest.raises(BadAddress):
        fetch(f"{url}/to/http://127.0.0.2:1/talk.mp3", folder)


def test_a_page_gives_its_video_its_words_and_its_subtitles(site, folder: Path) -> None:
    url, handler = site
    (handler.folder / "a.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:02.000\nGood morning.\n")
    (handler.folder / "page.html").write_text(
        "<html><head><title>A talk about bread</title></head><body><video src='/talk.mp3'>"
        "<track kind='subtitles' srclang='en' src='/a.vtt'></video></body></html>"
    )
    fetched, _ = fetch(f"{url}/page.html", folder)
    assert fetched.title == "A talk about bread"
    assert fetched.path.stat().st_size == (handler.folder / "talk.mp3").stat().st_size
    assert fetched.sidecar is not None
    assert "Good morning." in fetched.sidecar.read_text()


def test_hls_is_fetched_without_ffmpeg(site, folder: Path) -> None:
    url, handler = site
    subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "sine=440:d=6",
            "-c:a",
            "aac",
            "-f",
            "hls",
            "-hls_time",
            "2",
            "-hls_list_size",
            "0",
            handler.folder / "list.m3u8",
        ],
        check=True,
    )
    fetched, _ = fetch(f"{url}/list.m3u8", folder)
    assert fetched.path.stat().st_size == sum(p.stat().st_size for p in handler.folder.glob("list*.ts"))


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/missing.mp3", SourceGone),
        ("/status/410", SourceGone),
        ("/status/401", SourceRefused),
        ("/status/403", SourceRefused),
        ("/status/429", SourceBusy),
        ("/status/503", SourceBusy),
        ("/words.html", SourceRefused),
        ("/feed.rss", SourceRefused),
    ],
)
def test_failures_say_whose_fault_they_are(site, folder: Path, path: str, error: type[NexusError]) -> None:
    url, handler = site
    (handler.folder / "words.html").write_text(
        "<html><head><title>Only words</title></head><body>No media</body></html>"
    )
    (handler.folder / "feed.rss").write_text(
        "<?xml version='1.0'?><rss version='2.0'><channel><title>Show</title>"
        + "".join(
            f"<item><title>Episode {n}</title><guid>g{n}</guid><link>{url}/talk.mp3</link>"
            f"<enclosure url='{url}/talk.mp3' type='audio/mpeg'/></item>"
            for n in (1, 2)
        )
        + "</channel></rss>"
    )
    with pytest.raises(error) as failed:
        fetch(url + path, folder)
    assert url not in str(failed.value)
    assert "Only words" not in str(failed.value)


def test_a_site_that_is_down_is_busy(folder: Path) -> None:
    with pytest.raises(SourceBusy):
        fetch("http://127.0.0.1:9/talk.mp3", folder)


def test_what_is_too_large_stops_early_whether_its_size_is_told_or_not(site, folder: Path) -> None:
    url, _ = site
    with pytest.raises(TooLarge, match="NEXUS_MAX_BYTES"):
        fetch(f"{url}/talk.mp3", folder, max_bytes=50_000)
    with pytest.raises(TooLarge):
        fetch(f"{url}/slow.mp3", folder, max_bytes=50_000)


def test_what_is_too_long_is_refused_before_it_is_fetched(site, folder: Path) -> None:
    url, handler = site
    (handler.folder / "page.html").write_text(
        "<html><head><script type='application/ld+json'>"
        '{"@context": "https://schema.org", "@type": "VideoObject", "name": "Long", "duration": "PT3H",'
        f' "contentUrl": "{url}/talk.mp3"}}</script></head><body></body></html>'
    )
    with pytest.raises(TooLong, match="NEXUS_MAX_DURATION_S"):
        fetch(f"{url}/page.html", folder, max_duration_s=3600)
    assert not any(folder.iterdir())


def test_a_broken_download_goes_on_where_it_stopped(site, folder: Path) -> None:
    url, handler = site
    whole = (handler.folder / "talk.mp3").read_bytes()
    handler.break_at = 60_000
    with pytest.raises(SourceBusy):
        fetch(f"{url}/talk.mp3", folder, timeout_s=20)
    handler.break_at, handler.asked[:] = None, []
    fetched, _ = fetch(f"{url}/talk.mp3", folder)
    assert fetched.path.read_bytes() == whole
    begun = [int(asked.split("=")[1].split("-")[0]) for _, asked in handler.asked if asked]
    assert max(begun) >= 60_000


def test_a_cancelled_fetch_stops_within_a_second_and_leaves_no_process(site, folder: Path) -> None:
    url, _ = site
    began = time.monotonic()
    with pytest.raises(Cancelled):
        fetch(f"{url}/slow.mp3", folder, cancelled=lambda: time.monotonic() - began > 2)
    assert time.monotonic() - began < 4
    commands = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists()]
    assert not any(str(folder).encode() in c or b"sources.downloading" in c for c in commands)


def test_a_fetch_that_takes_too_long_is_tried_again_later(site, folder: Path) -> None:
    url, _ = site
    with pytest.raises(SourceBusy, match="goes on"):
        fetch(f"{url}/slow.mp3", folder, timeout_s=3)

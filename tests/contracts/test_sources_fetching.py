"""Sources: fetching from a real server on loopback."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from nexus_pipeline.domain.errors import BadAddress, Cancelled, SourceBusy, TooLarge, TooLong
from nexus_pipeline.domain.timeline import Chapter
from nexus_pipeline.ports import Limits
from nexus_pipeline.sources import source_for
from nexus_pipeline.sources.fetching import CHILD
from tests.contracts.site_parts import Site, serving, stream

LOOPBACK = ("127.0.0.1",)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, type[Site]]]:
    folder = tmp_path / "site"
    folder.mkdir()
    with serving(folder) as serves:
        yield serves


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


def test_a_page_tells_who_when_what_about_and_its_chapters(site, folder: Path) -> None:
    url, handler = site
    parts = [{"@type": "Clip", "name": name, "startOffset": n * 10} for n, name in enumerate(("Flour", "Oven"))]
    said = {
        "@context": "https://schema.org",
        "@type": "VideoObject",
        "name": "A talk\x00 about bread",
        "description": "How it rises. #Sourdough #oven_spring",
        "uploadDate": "2024-03-01T10:00:00Z",
        "author": {"@type": "Person", "name": "A baker"},
        "keywords": "bread, baking",
        "duration": "PT20S",
        "contentUrl": f"{url}/talk.mp3",
        "hasPart": parts,
    }
    script = f"<script type='application/ld+json'>{json.dumps(said)}</script>"
    (handler.folder / "page.html").write_text(f"<html><head>{script}</head><body></body></html>")
    fetched, _ = fetch(f"{url}/page.html", folder)
    assert fetched.title == "A talk about bread"
    assert fetched.author == "A baker"
    assert fetched.description == "How it rises. #Sourdough #oven_spring"
    assert fetched.published_at == datetime(2024, 3, 1, 10, tzinfo=UTC)
    assert set(fetched.tags) == {"bread", "baking", "sourdough", "oven_spring"}
    assert fetched.chapters == (Chapter(0.0, 10.0, "Flour"), Chapter(10.0, 20.0, "Oven"))


def test_subtitles_that_cannot_be_had_are_done_without(site, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    url, handler = site
    (handler.folder / "page.html").write_text(
        "<html><body><video src='/talk.mp3'><track kind='subtitles' srclang='en' src='/missing.vtt'></video></body>"
    )
    fetched, _ = fetch(f"{url}/page.html", folder)
    assert fetched.path.stat().st_size == (handler.folder / "talk.mp3").stat().st_size
    assert fetched.sidecar is None
    assert "heard instead" in caplog.text


def test_hls_is_fetched_without_ffmpeg(site, folder: Path) -> None:
    url, handler = site
    stream(handler.folder)
    fetched, _ = fetch(f"{url}/list.m3u8", folder)
    assert fetched.path.read_bytes() == b"".join(p.read_bytes() for p in sorted(handler.folder.glob("list*.ts")))


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


def test_a_cancelled_fetch_stops_within_a_second_and_leaves_no_process(site, folder: Path) -> None:
    url, _ = site
    before, began = set(psutil.Process().children(recursive=True)), time.monotonic()
    with pytest.raises(Cancelled):
        fetch(f"{url}/slow.mp3", folder, cancelled=lambda: time.monotonic() - began > 2)
    assert time.monotonic() - began < 4
    assert set(psutil.Process().children(recursive=True)) <= before
    # what has lost its parent; tests beside this one have children of their own
    told = [p.info for p in psutil.process_iter(["cmdline", "ppid"])]
    assert not [one for one in told if one["ppid"] == 1 and CHILD in (one["cmdline"] or ())]


def test_a_fetch_that_takes_too_long_is_tried_again_later(site, folder: Path) -> None:
    url, _ = site
    with pytest.raises(SourceBusy, match="goes on"):
        fetch(f"{url}/slow.mp3", folder, timeout_s=3)

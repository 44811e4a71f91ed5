"""Sources: the one form of addresses, and the guard that lets nothing reach a private network."""

import pytest

from nexus_pipeline.domain.errors import BadAddress
from nexus_pipeline.sources import SOURCES, source_for
from nexus_pipeline.sources.downloading import Guard

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

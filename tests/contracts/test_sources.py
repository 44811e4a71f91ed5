"""Sources: the one form of addresses, and where short links lead."""

from pathlib import Path

import pytest

from nexus_pipeline.domain.errors import BadAddress, SourceBusy, SourceGone, SourceRefused
from nexus_pipeline.ports import Limits
from nexus_pipeline.sources import SOURCES, fetching, source_for
from tests.contracts.site_parts import answering

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
            "https://www.tiktok.com/@Some.One/video/7123456789?is_copy=1",
            "tiktok",
            "https://www.tiktok.com/@_/video/7123456789",
        ),
        ("https://www.tiktok.com/@/video/7123456789", "tiktok", "https://www.tiktok.com/@_/video/7123456789"),
        ("https://m.tiktok.com/@other/photo/7123456789", "tiktok", "https://www.tiktok.com/@_/video/7123456789"),
        ("https://vm.tiktok.com/ZMabc/", "tiktok", "https://vm.tiktok.com/ZMabc/"),
        ("https://www.tiktok.com/@some.one", "tiktok", "https://www.tiktok.com/@some.one"),
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
        ("https://overcast.fm/+abc?utm_source=x", "podcast", "https://overcast.fm/+abc"),
        (
            "https://l.facebook.com/l.php?u=https%3A%2F%2Fyoutu.be%2FdQw4w9WgXcQ%3Ffbclid%3Dx&h=AT0",
            "youtube",
            "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        ),
        (
            "https://www.facebook.com/login/?next=https%3A%2F%2Fwww.facebook.com%2Freel%2F99%2F%3Frdid%3Dx",
            "facebook",
            "https://www.facebook.com/watch/?v=99",
        ),
        (
            "https://www.google.com/url?sa=t&url=https%3A%2F%2Fexample.com%2Fa.mp3&usg=x",
            "web",
            "https://example.com/a.mp3",
        ),
        ("https://www.instagram.com/share/reel/BAabc123", "instagram", "https://www.instagram.com/share/reel/BAabc123"),
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
        "https://www.google.com/url?q=https://user:secret@example.com/",
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


# ------------------------------------------------------------ short links


@pytest.mark.parametrize(
    ("url", "short"),
    [
        ("https://bit.ly/3abc", True),
        ("https://t.co/abc", True),
        ("https://vm.tiktok.com/ZMabc/", True),
        ("https://www.tiktok.com/t/ZTabc/", True),
        ("https://fb.watch/abc/", True),
        ("https://www.facebook.com/share/v/abc/", True),
        ("https://www.instagram.com/share/abc", True),
        ("https://youtu.be/dQw4w9WgXcQ", False),
        ("https://bit.ly/", False),
        ("https://notbit.ly/3abc", False),
        ("https://example.com/talk.mp3", False),
    ],
)
def test_only_what_a_rule_cannot_tell_is_a_short_link(url: str, *, short: bool) -> None:
    assert source_for(url).short(url) is short


def test_short_links_are_followed_hop_by_hop_and_nothing_but_shorteners_is_asked(tmp_path: Path) -> None:
    with answering(tmp_path) as (url, site):
        port = url.rpartition(":")[2]
        there = "https://www.youtube.com/shorts/dQw4w9WgXcQ?utm_source=x"
        wall = "https://www.facebook.com/login/?next=https%3A%2F%2Fwww.facebook.com%2Freel%2F9"
        links = {
            f"http://bit.ly:{port}/to/{there}": "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
            # a shortener of a shortener, which has a page for browsers
            f"http://t.co:{port}/to/http://vm.tiktok.com:{port}/short/https://www.tiktok.com/@/video/7123456789": (
                "https://www.tiktok.com/@_/video/7123456789"
            ),
            f"http://fb.watch:{port}/to/{wall}": "https://www.facebook.com/watch/?v=9",
            # one that is a page of its own
            f"http://bit.ly:{port}/page.html": f"http://bit.ly:{port}/page.html",
        }
        (tmp_path / "page.html").write_text("<html></html>")
        assert {link: follow(link) for link in links} == links
        with pytest.raises(SourceGone, match="leads nowhere"):
            follow(f"http://bit.ly:{port}/gone")
        with pytest.raises(SourceBusy, match="it is tried again") as busy:
            follow(f"http://bit.ly:{port}/status/429?after=60")
        assert busy.value.retry_after_s == 60
        with pytest.raises(SourceRefused, match="on and on"):
            follow(f"http://bit.ly:{port}/round")
        with pytest.raises(BadAddress, match="only http"):
            follow(f"http://bit.ly:{port}/to/file:///etc/passwd")
        assert [path for path, _ in site.asked] == ["HEAD /page.html", "GET /page.html"]


def follow(link: str) -> str:
    limits = Limits(1, 1.0, allow_hosts=("127.0.0.1",))
    return fetching.follow(link, limits, lambda: False, child="tests.contracts.named_child")

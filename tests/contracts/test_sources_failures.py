"""Sources: what goes wrong on the way to a site has a code and words of its own, as docs/urls.md has them."""

import datetime as dt
import ipaddress
import json
import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yt_dlp import YoutubeDL
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError, UnsupportedError, UserNotLive

from nexus_pipeline.sources.failures import busy, understood
from tests.contracts.site_parts import answering, bomb, serving, stream

ROOT = Path(__file__).parents[2]

ANSWERED = {
    "403: the site refuses": "/status/403",
    "401: a log-in is wanted": "/status/401",
    "404: nothing there": "/missing.mp3",
    "410: gone": "/status/410",
    "429: too many requests": "/status/429?after=4000",
    "451: forbidden in this country": "/status/451",
    "500 and above: out of order": "/status/503",
    "a time-out": "/hang",
    "a page that comes byte by byte": "/drip",
    "a length that is not kept": "/lies",
    "redirects without end": "/round",
    "pages that lead to pages without end": "/again/",
    "a redirect to `ftp:`": "/to/ftp://93.184.216.34/a.mp3",
    "a redirect to `file:`": "/to/file:///etc/passwd",
    "a redirect to `data:`": "/to/data:audio/mpeg;base64,AAAA",
    "a page that plays by `rtmp:`": "/rtmp.html",
    "a page that embeds `file:`": "/local.html",
    "a page without media": "/words.html",
    "a list of several pieces": "/feed.rss",
    "a stream that is live": "/live.m3u8",
    "a radio station": "/radio",
    "a stream with DRM": "/drm.m3u8",
    "a page larger than 32 MiB, packed or not": "/bomb.html",
    "a file larger than allowed, packed or not": "/bomb.mp3",
    "longer than allowed": "/long.html",
    "an empty file": "/empty.mp3",
    "a name that no site has": "http://nowhere.test/a.mp3",
    "a site that is down": "http://down.test/a.mp3",
    "a redirect to a private address": "/to/PRIVATE/talk.mp3",
    "a page that plays from a private address": "/inside.html",
    "a stream with pieces at a private address": "/inside.m3u8",
    "a certificate that is not valid": "TLS/talk.mp3",
    "TLS where there is none": "NOTLS/talk.mp3",
}
"""What the site does, by the line of docs/urls.md."""
LIMITS = {"max_bytes": 3_000_000, "max_duration_s": 3600.0, "timeout_s": 12.0, "merges": False, "follow": False}


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[str, dict]:
    """What fetching says of each of them; one child for all, since starting it takes longest."""
    folder, inside, fetched = (tmp_path_factory.mktemp(name) for name in ("site", "inside", "fetched"))
    bomb()  # packing it takes longer than a site may be silent
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate(folder))
    with serving(folder) as (url, _), answering(inside, "127.0.0.2") as (private, within):
        shutil.copy(folder / "talk.mp3", inside)
        pages(folder, url, private)
        with answering(folder, tls=tls) as (safe, _):
            places = {"PRIVATE": private, "NOTLS": url.replace("http:", "https:"), "TLS": safe}
            requests = [
                {"url": address(url, path, places), "folder": str(fetched / str(n)), **LIMITS}
                | {"allow_hosts": ["127.0.0.1"], **({"timeout_s": 4.0} if path == "/drip" else {})}
                for n, path in enumerate(ANSWERED.values())
            ]
            said = subprocess.run(
                [sys.executable, "-m", "tests.contracts.named_child"],
                input=json.dumps(requests).encode(),
                capture_output=True,
                cwd=ROOT,
                check=True,
            )
        assert within.asked == []
    told = [json.loads(line) for line in said.stdout.splitlines()]
    return dict(zip(ANSWERED, told, strict=True))


def address(url: str, path: str, places: dict[str, str]) -> str:
    for name, place in places.items():
        path = path.replace(name, place) if path.startswith((name, "/to/")) else path
    return path if path.startswith("http") else url + path


def pages(folder: Path, url: str, private: str) -> None:
    page = "<html><head><title>{0}</title></head><body>{0}{1}</body></html>"
    (folder / "words.html").write_text(page.format("Only words", ""))
    (folder / "rtmp.html").write_text(page.format("x", "<video><source src='rtmp://127.0.0.1/a.mp4'></video>"))
    (folder / "local.html").write_text(page.format("x", "<video><source src='file:///etc/a.mp4'></video>"))
    (folder / "inside.html").write_text(page.format("x", f"<video src='{private}/talk.mp3'></video>"))
    (folder / "empty.mp3").write_bytes(b"")
    long = {"@context": "https://schema.org", "@type": "VideoObject", "name": "Long", "duration": "PT3H"}
    said = json.dumps({**long, "contentUrl": f"{url}/talk.mp3"})
    (folder / "long.html").write_text(page.format("x", f"<script type='application/ld+json'>{said}</script>"))
    item = "<item><title>n</title><guid>{0}</guid><link>{1}</link><enclosure url='{1}' type='audio/mpeg'/></item>"
    items = "".join(item.format(n, f"{url}/talk.mp3") for n in (1, 2))
    (folder / "feed.rss").write_text(
        f"<?xml version='1.0'?><rss version='2.0'><channel><title>Show</title>{items}</channel></rss>"
    )
    whole = stream(folder).read_text()
    (folder / "live.m3u8").write_text(whole.replace("#EXT-X-ENDLIST", ""))
    key = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://k",KEYFORMAT="com.apple.streamingkeydelivery"\n#EXTINF'
    (folder / "drm.m3u8").write_text(whole.replace("#EXTINF", key, 1))
    (folder / "inside.m3u8").write_text(re.sub(r"^list", f"{private}/list", whole, flags=re.MULTILINE))


def certificate(folder: Path) -> Path:
    """Of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "site.pem"
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def documented() -> dict[str, tuple[str, str, str]]:
    """The lines of the table: code, what the person reads, whether it is tried again."""
    lines = (line.split(" | ") for line in (ROOT / "docs/urls.md").read_text("utf-8").splitlines())
    return {
        cells[0].removeprefix("| "): (cells[1].strip("`"), cells[2], cells[3].removesuffix(" |"))
        for cells in lines
        if len(cells) == 4 and cells[1].startswith("`")
    }


@pytest.mark.parametrize("line", ANSWERED)
def test_each_failure_says_what_happened_and_what_to_do(answers, line: str) -> None:
    code, words, _ = documented()[line]
    told = answers[line]
    assert told.get("error") == code
    numbers = re.escape(words).replace("…", r"\d+")  # those of this test's limits
    assert re.fullmatch(numbers, told["message"]), told["message"]


def test_no_failure_repeats_an_address_or_a_title(answers) -> None:
    for told in answers.values():
        assert "http:" not in told["message"].replace("http://", "", 1)
        assert "127.0.0" not in told["message"]
        assert "Only words" not in told["message"]


def test_a_site_that_says_how_long_to_wait_is_heard(answers) -> None:
    assert answers["429: too many requests"]["retry_after_s"] == 4000
    in_an_hour = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    waits = busy("", {"Retry-After": in_an_hour.strftime("%a, %d %b %Y %H:%M:%S GMT")}).retry_after_s
    assert 3500 < waits <= 3600
    assert busy("", {"Retry-After": "999999999"}).retry_after_s == 86_400
    assert busy("", {"Retry-After": "soon"}).retry_after_s is None


# ------------------------------------------------------------ what platforms say

SAID = [
    ("private", "Private video. Sign in if you've been granted access to this video"),
    ("private", "You are not authorized to view this protected tweet"),
    ("private", "This content is only available for registered users who follow this account"),
    ("private", "You do not have permission to view this post. Log into an account that has access"),
    ("deleted", "Video unavailable. This video has been removed by the uploader"),
    (
        "deleted",
        "This video is no longer available because the YouTube account associated with it has been terminated.",
    ),
    ("deleted", "Video unavailable. This video is no longer available due to a copyright claim by X"),
    ("not there any more, says the site", "Video unavailable"),
    ("not there any more, says the site", "Video not available, status code 10222"),
    ("not there any more, says the site", "Requested tweet is unavailable"),
    ("not served in this country", "The uploader has not made this video available in your country"),
    ("not served in this country", "Your IP address is blocked from accessing this post"),
    ("not served in this country", "This video is not available from your location due to geo restriction"),
    ("a log-in is wanted", "This video is only available for registered users. Use --cookies for the authentication"),
    ("a log-in is wanted", "Instagram API is not granting access; you need to log in to access this content"),
    ("of age only", "Sign in to confirm your age. This video may be inappropriate for some users."),
    ("of age only", "NSFW tweet requires authentication"),
    ("of age only", "This post may not be comfortable for some audiences. Log in for access"),
    ("members only", "Join this channel to get access to members-only content like this video"),
    ("members only", "This video requires payment to watch: it is for Premium subscribers"),
    ("taken for a robot", "Sign in to confirm you’re not a bot. This helps protect our community."),  # noqa: RUF001 - theirs
    ("taken for a robot", "Got HTTP Error 403 caused by Cloudflare anti-bot challenge; try again with"),
    ("a password", "This video is protected by a password, use the --video-password option"),
    ("DRM", "This video is DRM protected"),
    ("not begun", "This live event will begin in 3 hours."),
    ("not begun", "Premieres in 45 minutes"),
    ("not begun", "The channel is not currently live"),
    ("a page without media", "No video could be found in this tweet"),
    ("a page without media", "There is no video in this post"),
    ("too much was asked", "Requested content is not available, rate-limit reached or login required"),
    ("the site has changed", "Unable to extract title; please report this issue"),
]


def raised(message: str) -> DownloadError:
    """As yt-dlp raises it: an extractor's words, wrapped by the one who asked it."""

    @YoutubeDL._handle_extraction_exceptions
    def extract(_: YoutubeDL) -> None:
        raise ExtractorError(message, expected=True, video_id="x1")

    with YoutubeDL({"quiet": True, "ignoreerrors": False, "logger": Silent()}) as ydl:
        with pytest.raises(DownloadError) as caught:
            extract(ydl)
        return caught.value


class Silent:
    """Not of interest."""

    def debug(self, message: str) -> None:
        pass

    info = warning = error = debug


@pytest.mark.parametrize(("line", "message"), SAID)
def test_what_platforms_say_is_said_in_words_of_ours(line: str, message: str) -> None:
    code, words, _ = documented()[line]
    told = understood(raised(message), refused=False)
    assert (told.code, str(told)) == (code, words)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("not served in this country", GeoRestrictedError("a title")),
        ("a page without media", UnsupportedError("http://x.example/")),
        ("not begun", UserNotLive(video_id="x")),
    ],
)
def test_what_yt_dlp_tells_by_kind_needs_no_words(line: str, error: Exception) -> None:
    code, words, _ = documented()[line]
    told = understood(DownloadError("wrapped", (type(error), error, None)), refused=False)
    assert (told.code, str(told)) == (code, words)


def test_the_table_says_which_are_tried_again_and_has_no_line_without_a_test() -> None:
    from nexus_pipeline.domain import errors

    kinds = {kind.code: kind for kind in vars(errors).values() if isinstance(kind, type)}
    lines = documented()
    assert set(lines) == {*ANSWERED, *(line for line, _ in SAID)}
    for line, (code, _, again) in lines.items():
        assert again == ("by itself" if kinds[code].retryable else "no"), line

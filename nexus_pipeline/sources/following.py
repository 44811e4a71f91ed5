"""Where a short link leads: in the guarded child, hop by hop, asking nobody but shorteners themselves.

What they lead to is not asked: it is fetched later, and a platform's page may send strangers to its sign-in.
"""

import html
import re
import ssl
import urllib.request
from contextlib import suppress
from email.message import Message
from urllib.parse import urljoin

from nexus_pipeline.domain import errors
from nexus_pipeline.sources import source_for
from nexus_pipeline.sources.failures import busy

HOPS = 10
"""A short link of a short link is usual, a third seldom; browsers give up after 20."""
TIMEOUT_S = 5.0
_PAGE_BYTES = 65_536
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_BUSY = frozenset({408, 425, 429})
_SERVER_FAULT = 500
_REFRESH = re.compile(
    rb"""<meta[^>]+http-equiv=["']?refresh["']?[^>]*content=["'][^"'>]*?url=\s*['"]?([^"'>]+)""", re.IGNORECASE
)


def followed(url: str) -> str:
    """The canonical form of what a short link leads to. Raises BadAddress, SourceGone, SourceBusy, SourceRefused."""
    opener = urllib.request.OpenerDirector()  # no proxy, no cookies, nothing but http(s)
    for handler in (urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(context=_context())):
        opener.add_handler(handler)
    for _ in range(HOPS):
        source = source_for(url)
        if not source.short(url):
            return source.canonical(url)
        further = _location(opener, url)
        if further is None:
            return source.canonical(url)
        url = urljoin(url, further)
    raise errors.SourceRefused("the short link leads on and on; give the address that it stands for")


def _location(opener: urllib.request.OpenerDirector, url: str) -> str | None:
    """The next address; None where the short link is a page of its own."""
    for method in ("HEAD", "GET"):  # some shorteners answer one only
        headers = {"User-Agent": "Nexus", "Accept": "*/*"}
        request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310 - the opener knows no other
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            status, told = int(answer.status), answer.headers
            page = b"" if method == "HEAD" or status in _REDIRECTS else answer.read(_PAGE_BYTES)
        if status in _REDIRECTS and told.get("Location"):
            return str(told["Location"])
        if (found := _REFRESH.search(page)) is not None:
            return html.unescape(found[1].decode(errors="replace")).strip()
    _judge(status, told)
    return None


def _judge(status: int, headers: Message) -> None:
    if status in _GONE:
        raise errors.SourceGone(f"the short link leads nowhere (any more): its site answered {status}")
    if status in _BUSY or status >= _SERVER_FAULT:
        raise busy(f"the short link cannot be followed now: its site answered {status}; it is tried again", headers)


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    with suppress(ImportError):  # it comes with yt-dlp; without it the system's certificates must do
        import certifi

        context.load_verify_locations(certifi.where())
    return context

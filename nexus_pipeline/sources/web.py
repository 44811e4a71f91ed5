"""Any page or file on the web, and what all platforms share: the one form of an address, and fetching by yt-dlp."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from nexus_pipeline.domain.errors import BadAddress
from nexus_pipeline.ports import Cancelled, Fetched, Limits, Progress

LONGEST = 4_096
"""Characters of an address; browsers and servers agree on less."""
_TRACKING = re.compile(
    r"(utm_.*|fbclid|gclid|gclsrc|dclid|gbraid|wbraid|msclkid|yclid|twclid|ttclid|igsh|igshid|mc_cid|mc_eid|_hsenc"
    r"|_hsmi|mkt_tok|vero_id|ref_src|ref_url|si|spm|scid|srsltid|__twitter_impression)"
)
"""Query parameters that say who shared an address, not what it names."""
_SHORTENERS = (
    *("t.co", "bit.ly", "j.mp", "bitly.com", "tinyurl.com", "goo.gl", "g.co", "ow.ly", "buff.ly", "is.gd", "v.gd"),
    *("t.ly", "cutt.ly", "rb.gy", "rebrand.ly", "shorturl.at", "tiny.cc", "lnkd.in", "dlvr.it", "trib.al"),
    *("redd.it", "spr.ly", "amzn.to", "youtu.page.link", "apple.co", "spoti.fi", "wp.me", "flip.it", "smarturl.it"),
)
"""Hosts of which nothing but a redirect comes; platforms name their own."""
_REDIRECTORS = (
    (re.compile(r"(?:l|lm)\.facebook\.com/l\.php|l\.instagram\.com/?"), ("u",)),
    (re.compile(r"(?:\w+\.)?facebook\.com/(?:login|flx/warn)(?:\.php)?/?"), ("next", "u")),
    (re.compile(r"(?:www\.)?youtube\.com/redirect"), ("q",)),
    (re.compile(r"(?:www\.)?google\.[a-z.]{2,6}/url"), ("q", "url")),
    (re.compile(r"out\.reddit\.com/.*"), ("url",)),
    (re.compile(r"(?:www\.)?linkedin\.com/(?:redir/redirect|safety/go)"), ("url",)),
    (re.compile(r"steamcommunity\.com/linkfilter/?|t\.umblr\.com/redirect"), ("url", "u", "z")),
)
"""Pages that lead to the address that stands in their query: host and path, and the parameters that may have it."""
_NESTED = 3
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_PORTS = {"http": 80, "https": 443}


class Web:
    """Every http(s) address; platforms derive from it and say what is their own."""

    name = "web"
    hosts: ClassVar[tuple[str, ...]] = ()
    """Domains whose addresses, subdomains included, are the platform's; none: all."""
    merges: ClassVar[bool] = False
    """Whether picture and sound may be fetched apart and joined by ffmpeg: only from platforms that encode themselves
    what they serve, since a stranger's file could name other files for ffmpeg to read."""

    shorts: ClassVar["re.Pattern[str]"] = re.compile(rf"(?:www\.)?(?:{'|'.join(map(re.escape, _SHORTENERS))})/.")
    """Host and path of the platform's short links: where they lead, only asking tells."""

    def claims(self, url: str) -> bool:
        """Whether this address is of the platform."""
        host = split_address(url).hostname or ""
        return not self.hosts or any(host == own or host.endswith(f".{own}") for own in self.hosts)

    def canonical(self, url: str) -> str:
        """The one form of an address: lower-case host, no tracking, query in order, no fragment. Raises BadAddress."""
        split = split_address(url)
        return self.one_form(split) or general(split)

    def short(self, url: str) -> bool:
        """Whether only following it tells what it names."""
        split = split_address(url)
        return self.shorts.match(f"{split.hostname}{split.path}") is not None

    def one_form(self, split: SplitResult) -> str | None:  # noqa: ARG002 - for those that derive from it
        """The platform's own form of an address, or None where it has none for it."""
        return None

    def fetch(self, url: str, folder: Path, limits: Limits, progress: Progress, cancelled: Cancelled) -> Fetched:
        """Into `folder`, where a broken download goes on.

        Raises BadAddress, SourceBusy, SourceGone, SourceRefused, TooLarge, TooLong, StoreFull, Cancelled.
        """
        from nexus_pipeline.sources.fetching import fetch

        return fetch(self.canonical(url), folder, limits, progress, cancelled, merges=self.merges)


def split_address(url: str) -> SplitResult:
    """The parts of an http(s) address, or of the one to which it leads by its own words.

    Raises BadAddress; its message does not repeat the address.
    """
    split = _split(url.strip())
    for _ in range(_NESTED):
        inside = _inside(split)
        if inside is None:
            break
        split = _split(inside)
    return split


def _inside(split: SplitResult) -> str | None:
    """The address in the query of a page that is there only to count who leaves by it."""
    query = dict(parse_qsl(split.query))
    names = next((names for page, names in _REDIRECTORS if page.fullmatch(f"{split.hostname}{split.path}")), ())
    told = (query.get(name, "") for name in names)
    return next((one for one in told if one.lower().startswith(("http://", "https://"))), None)


def _split(url: str) -> SplitResult:
    try:
        split = urlsplit(url)
        port_is_fine = split.port != 0
    except ValueError as error:
        raise BadAddress("this is no web address: host or port cannot be read") from error
    if split.scheme.lower() not in _PORTS:
        raise BadAddress("only http:// and https:// addresses are fetched")
    if not split.hostname or not port_is_fine or len(url) > LONGEST or _UNSAFE.search(url):
        raise BadAddress(f"this is no web address: it needs a host, no spaces and at most {LONGEST} characters")
    if split.username is not None or split.password is not None:
        raise BadAddress("an address with a user name or password in it is not kept; give one without")
    return split


def general(split: SplitResult, keeps: Callable[[str], bool] = lambda name: not _TRACKING.fullmatch(name)) -> str:
    """The one form of any address; `keeps` says which query parameters name something."""
    scheme = split.scheme.lower()
    host = _host(split.hostname or "")
    port = f":{split.port}" if split.port not in (None, _PORTS[scheme]) else ""
    pairs = sorted((n, v) for n, v in parse_qsl(split.query, keep_blank_values=True) if keeps(n))
    # % stays: what is quoted already is not quoted again
    path = quote(split.path or "/", safe="/%:@!$&'()*+,;=~-._")
    return urlunsplit((scheme, f"{host}{port}", path, urlencode(pairs), ""))


def found(pattern: "re.Pattern[str]", text: str) -> str | None:
    """The first group of a pattern at the beginning of a text."""
    match = pattern.match(text)
    return match[1] if match else None


def _host(host: str) -> str:
    if ":" in host:
        return f"[{host.lower()}]"
    try:
        return host.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise BadAddress("this is no web address: no such host name can exist") from error

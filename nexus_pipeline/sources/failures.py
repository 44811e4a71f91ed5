"""What went wrong on the way to a site, in words that a person understands and without a word of the page.

docs/urls.md has them in a table. What is known by its kind or its status is told by that; what yt-dlp's extractors know
they say in words only, so these are looked for: the surest first, since one message often has several of them.
"""

import errno
import re
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

from nexus_pipeline.domain import errors
from nexus_pipeline.sources.guard import PrivateAddress

_BUSY_STATUS = frozenset({408, 425, 429})
_GONE_STATUS = frozenset({404, 410})
_SIGN_IN_STATUS = frozenset({401, 407})
_LAWYERS_STATUS = 451
_REDIRECTS = range(300, 400)
_SERVER_FAULT = 500
_LONGEST_WAIT_S = 86_400.0
_CAUSES = 50
"""So many links of a chain of causes are looked at: a chain may be a circle."""

LIVE = "it is live; add it when it has ended"
NOT_YET = "it has not begun; add it when it has ended"
EMPTY = "the address gave an empty file; open it in a browser and see what it serves"
_UNREACHED = "the site cannot be reached or broke off; it is tried again"
_LATE = "the site did not answer in time; it is tried again"
_BROKEN = "the site broke off before the end; what has come is kept, and it goes on from there"
_LIMITED = "the site asks to wait: too much was asked of it; it is tried again"
_NO_HOST = "there is no site of this name; check the address, and this machine's DNS"
_NO_MEDIA = "no media was found at this address; give the page or file that plays it"
_ELSEWHERE = "the site does not serve it in this country; fetch it yourself and add the file"
_UNTRUSTED = "the site's certificate is not valid, so nothing is fetched from it; check the address"
_NO_TLS = "no safe connection to the site can be made (TLS); check whether its address begins with http:// or https://"
_SIGN_IN = "the site wants a log-in for it; fetch it yourself and add the file"
_AGE = "the site shows it only to people of age who have logged in; fetch it yourself and add the file"
_PRIVATE = "it is private; ask its owner for the file and add that"
_PAID = "the site shows it only to members or subscribers; fetch it yourself and add the file"
_ROBOT = "the site takes Nexus for a robot and wants a log-in; fetch it yourself and add the file"
_PASSWORD = "it has a password; fetch it yourself and add the file"  # noqa: S105 - words
_DRM = "it is protected (DRM) and cannot be kept; add a file that is not"
_DELETED = "it was removed, or its account is closed"
_MISSING = "the site says that it is not there (any more)"
_REDIRECTED = "the address redirects again and again; open it in a browser and give the one that you end at"
_SCHEME = "it leads to what is not http(s), and nothing else is fetched; fetch it yourself and add the file"
_UNREAD = "the page could not be read; perhaps the site has changed: a newer yt-dlp may help, or add the file yourself"

_Told = tuple[type[errors.NexusError], str]
_BY_KIND: Mapping[str, _Told] = {
    "UnsupportedError": (errors.SourceRefused, _NO_MEDIA),
    "GeoRestrictedError": (errors.SourceRefused, _ELSEWHERE),
    "UserNotLive": (errors.SourceRefused, NOT_YET),
    "CertificateVerifyError": (errors.SourceRefused, _UNTRUSTED),
    "SSLCertVerificationError": (errors.SourceRefused, _UNTRUSTED),
    "UnsupportedRequest": (errors.SourceRefused, _SCHEME),
    "NoSupportingHandlers": (errors.SourceRefused, _SCHEME),
    "InvalidSchema": (errors.SourceRefused, _SCHEME),
    "ContentTooShortError": (errors.SourceBusy, _BROKEN),
    "IncompleteRead": (errors.SourceBusy, _BROKEN),
    "NewConnectionError": (errors.SourceBusy, _UNREACHED),
    "TimeoutError": (errors.SourceBusy, _LATE),
    "ReadTimeoutError": (errors.SourceBusy, _LATE),
    "ConnectTimeoutError": (errors.SourceBusy, _LATE),
    "SSLError": (errors.SourceRefused, _NO_TLS),
    "TransportError": (errors.SourceBusy, _UNREACHED),
    "URLError": (errors.SourceBusy, _UNREACHED),
    "ConnectionRefusedError": (errors.SourceBusy, _UNREACHED),
    "ConnectionResetError": (errors.SourceBusy, _UNREACHED),
    "RemoteDisconnected": (errors.SourceBusy, _UNREACHED),
}
"""By the name of an exception, the surest first."""


def _any(*words: str) -> "re.Pattern[str]":
    return re.compile("|".join(words), re.IGNORECASE)


_BY_WORDS: tuple[tuple["re.Pattern[str]", type[errors.NexusError], str], ...] = (
    (_any(r"bytes read, \d+ more"), errors.SourceBusy, _BROKEN),
    (_any(r"too many requests", r"rate.?limit", r"try again later"), errors.SourceBusy, _LIMITED),
    (_any(r"timed? ?out"), errors.SourceBusy, _LATE),
    (_any(r"\bdrm\b"), errors.SourceRefused, _DRM),
    (
        _any(r"your country", r"your location", r"your region", r"geo.?(?:restrict|block)", r"IP address is blocked"),
        errors.SourceRefused,
        _ELSEWHERE,
    ),
    (
        _any(
            r"will begin in",
            r"premieres? in",
            r"has not (?:yet )?(?:begun|started)",
            r"not currently live",
            r"(?:begins?|starts?) (?:at|on|in) ",
            r"is offline",
        ),
        errors.SourceRefused,
        NOT_YET,
    ),
    (_any(r"\blive ?stream(?:s|ing)? (?:is|are) not", r"is (?:currently )?live\b"), errors.SourceRefused, LIVE),
    (_any(r"not a (?:ro)?bot", r"captcha", r"anti-bot", r"fresh cookies"), errors.SourceRefused, _ROBOT),
    (_any(r"\bage\b", r"age.(?:restrict|gate|limit)", r"nsfw", r"some audiences"), errors.SourceRefused, _AGE),
    (
        _any(r"\bprivate\b", r"protected tweet", r"who follow this account", r"not have permission"),
        errors.SourceRefused,
        _PRIVATE,
    ),
    (_any(r"members?\b", r"premium", r"subscri", r"\bpaid\b", r"purchas", r"\brent"), errors.SourceRefused, _PAID),
    (_any(r"password"), errors.SourceRefused, _PASSWORD),
    (
        _any(r"log(?:ged)?.?in", r"sign.?in", r"cookies", r"registered users", r"authenticat"),
        errors.SourceRefused,
        _SIGN_IN,
    ),
    (
        _any(r"removed", r"deleted", r"terminated", r"suspended", r"no longer", r"copyright", r"dmca"),
        errors.SourceGone,
        _DELETED,
    ),
    (
        _any(
            r"no (?:video|media)[^.]*(?:in this|found|could be found)",
            r"could be found in this",
            r"unsupported url",
            r"no video formats",
        ),
        errors.SourceRefused,
        _NO_MEDIA,
    ),
    (_any(r"not (?:be )?(?:found|exist|available)", r"doesn.t exist", r"unavailable"), errors.SourceGone, _MISSING),
    (_any(r"did not get any data", r"file is empty"), errors.SourceRefused, EMPTY),
    (_any(r"temporar", r"giving up after"), errors.SourceBusy, _UNREACHED),
)


def understood(error: BaseException, *, refused: bool) -> errors.NexusError:
    """What to raise instead of another's failure. `refused`: a connection to a private address was stopped."""
    causes = list(islice(_causes(error), _CAUSES))
    numbers = {c.errno for c in causes if isinstance(c, OSError)}
    if errno.EFBIG in numbers:
        return errors.TooLarge("it has more bytes than NEXUS_MAX_BYTES")
    if numbers & {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
        return errors.StoreFull("no space is left for downloads; make room on the disk of NEXUS_HOME")
    stopped = any(isinstance(c, PrivateAddress) for c in causes)
    answered = next((c for c in causes if isinstance(getattr(c, "status", None), int)), None)
    if answered is not None and not stopped:
        return _by_status(answered)
    if stopped or refused:
        return errors.BadAddress(
            "it leads to a private address, which is not fetched; NEXUS_ALLOW_HOSTS names hosts that may be"
        )
    return _by_kind(causes)


def busy(message: str, headers: Mapping[str, Any] | Message) -> errors.SourceBusy:
    """A site that asks to wait, and how long (Retry-After: seconds or a date)."""
    error = errors.SourceBusy(message)
    told = str(headers.get("Retry-After") or "").strip()
    if told.isdecimal():
        error.retry_after_s = min(float(told), _LONGEST_WAIT_S)
    elif told:
        error.retry_after_s = _until(told)
    return error


def _until(date: str) -> float | None:
    try:
        at = parsedate_to_datetime(date)
    except ValueError:
        return None
    wait_s = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(wait_s, 0.0), _LONGEST_WAIT_S)


def _by_status(answered: Any) -> errors.NexusError:
    status: int = answered.status
    headers = getattr(getattr(answered, "response", None), "headers", None) or {}
    if status in _GONE_STATUS:
        return errors.SourceGone(f"nothing is there (any more): the site answered {status}; check the address")
    if status in _BUSY_STATUS:
        return busy(f"the site asks to wait: it answered {status}; it is tried again", headers)
    if status >= _SERVER_FAULT:
        return busy(f"the site is out of order: it answered {status}; it is tried again", headers)
    refusal = f"the site refuses: it answered {status}; fetch it yourself and add the file"
    known = {_LAWYERS_STATUS: _ELSEWHERE, **dict.fromkeys(_SIGN_IN_STATUS, _SIGN_IN)}
    return errors.SourceRefused(_REDIRECTED if status in _REDIRECTS else known.get(status, refusal))


def _by_kind(causes: list[BaseException]) -> errors.NexusError:
    resolving = [c for c in causes if isinstance(c, socket.gaierror)]
    if any(c.errno == socket.EAI_NONAME for c in resolving):
        return errors.SourceGone(_NO_HOST)
    # those of a class's parents, too: ssl.SSLEOFError is an SSLError
    kinds = {kind.__name__ for c in causes for kind in type(c).__mro__}
    words = " ".join(str(c) for c in causes)
    by_kind = (told for kind, told in _BY_KIND.items() if kind in kinds)
    by_words = ((error, text) for pattern, error, text in _BY_WORDS if pattern.search(words))
    error, text = next(by_kind, None) or next(by_words, None) or (errors.SourceRefused, _UNREAD)
    return error(text)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that led to it: yt-dlp has three places for that."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        told = getattr(one, "exc_info", None)
        cause, reason = getattr(one, "cause", None), getattr(one, "reason", None)
        waiting += [told[1] if told else None, one.__cause__, one.__context__]
        waiting += [found for found in (cause, reason) if isinstance(found, BaseException)]

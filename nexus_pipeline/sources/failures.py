"""What went wrong in yt-dlp, in words that a person understands; no word of the page or its title is in them."""

import errno
import re
from collections.abc import Iterator
from itertools import islice

from nexus_pipeline.domain import errors

_BUSY_STATUS = frozenset({408, 425, 429})
_GONE_STATUS = frozenset({404, 410})
_SERVER_FAULT = 500
_CAUSES = 50
"""So many links of a chain of causes are looked at: a chain may be a circle."""

_BUSY = re.compile(
    r"timed? ?out|too many requests|rate.?limit|try again|temporar|giving up after|bytes read", re.IGNORECASE
)
_CLOSED = re.compile(
    r"\bprivate\b|log ?in\b|sign ?in\b|cookies|members|premium|\bdrm\b|age.(?:restrict|gate|limit)|confirm your age"
    r"|password|subscri|your country",
    re.IGNORECASE,
)
_GONE = re.compile(
    r"not (?:be )?(?:found|exist|available)|no longer|removed|deleted|unavailable|terminated",
    re.IGNORECASE,
)

_NO_MEDIA = errors.SourceRefused("no media was found at this address; give the page or file that plays it")
_ELSEWHERE = errors.SourceRefused("the site does not serve it in this country; fetch it yourself and add the file")
_UNTRUSTED = errors.SourceRefused("the site's certificate is not valid, so nothing is fetched from it")
_UNREACHED = errors.SourceBusy("the site cannot be reached or broke off; it is tried again")
_LOCKED = errors.SourceRefused("the site wants a log-in, or protects it; fetch it yourself and add the file")
_MISSING = errors.SourceGone("the site says that it is not there (any more)")
_UNREAD = errors.SourceRefused(
    "the page could not be read; perhaps the site has changed: a newer yt-dlp may help, or add the file yourself"
)

_BY_KIND = {
    "UnsupportedError": _NO_MEDIA,
    "GeoRestrictedError": _ELSEWHERE,
    "CertificateVerifyError": _UNTRUSTED,
    "TransportError": _UNREACHED,
    "IncompleteRead": _UNREACHED,
    "SSLError": _UNREACHED,
    "ContentTooShortError": _UNREACHED,
}
"""By the name of yt-dlp's exception, the surest first."""
_BY_WORDS = ((_BUSY, _UNREACHED), (_CLOSED, _LOCKED), (_GONE, _MISSING))


def understood(error: BaseException, *, refused: bool) -> errors.NexusError:
    """What to raise instead of yt-dlp's failure. `refused`: a connection to a private address was stopped."""
    causes = list(islice(_causes(error), _CAUSES))
    numbers = {c.errno for c in causes if isinstance(c, OSError)}
    if errno.EFBIG in numbers:
        return errors.TooLarge("it has more bytes than NEXUS_MAX_BYTES")
    if numbers & {errno.ENOSPC, errno.EDQUOT}:
        return errors.StoreFull("no space is left for downloads; make room on the disk of NEXUS_HOME")
    if refused:
        return errors.BadAddress(
            "it leads to a private address, which is not fetched; NEXUS_ALLOW_HOSTS names hosts that may be"
        )
    answered = (getattr(c, "status", None) for c in causes)
    status = next((s for s in answered if isinstance(s, int)), None)
    return _by_kind(causes) if status is None else _by_status(status)


def _by_status(status: int) -> errors.NexusError:
    if status in _GONE_STATUS:
        return errors.SourceGone(f"nothing is there (any more): the site answered {status}")
    if status in _BUSY_STATUS or status >= _SERVER_FAULT:
        return errors.SourceBusy(f"the site is busy or asks to wait: it answered {status}; it is tried again")
    return errors.SourceRefused(f"the site refuses: it answered {status}; fetch it yourself and add the file")


def _by_kind(causes: list[BaseException]) -> errors.NexusError:
    kinds = {type(c).__name__ for c in causes}
    words = " ".join(str(c) for c in causes)
    by_kind = (found for kind, found in _BY_KIND.items() if kind in kinds)
    by_words = (found for pattern, found in _BY_WORDS if pattern.search(words))
    return next(by_kind, None) or next(by_words, _UNREAD)


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
        waiting += [told[1] if told else None, getattr(one, "cause", None), one.__cause__, one.__context__]

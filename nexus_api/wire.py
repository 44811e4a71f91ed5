"""What comes of asking a server: what went wrong on the way there, and what it refused, as our own errors.

Whoever cannot reach it, or is not let in, gets StoreError: for the command line that is "not set up" (exit code 3).
"""

import io
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from nexus_api import refusals
from nexus_api.sending import Progress
from nexus_api.shown import Json
from nexus_pipeline.domain import errors

_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"
_OF_PROXIES = frozenset({502, 503, 504})
"""What a proxy says by itself where nobody answers behind it."""


class Watched(io.FileIO):
    """A file that tells how much of it has been read."""

    def __init__(self, path: Path, progress: Progress) -> None:
        """Opened for reading. Raises OSError."""
        super().__init__(path, "rb")
        self._progress, self._size = progress, path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """As ever."""
        data = super().read(-1 if size is None else size) or b""
        self._progress(self.tell(), self._size)
        return data


def checked(url: str) -> str:
    """The address without a slash at its end. Raises StoreError for what can be none."""
    try:
        split, httpx_url = urlsplit(url), httpx.URL(url)
        usable = split.scheme in {"http", "https"} and bool(httpx_url.host) and (split.port is None or split.port > 0)
    except (httpx.InvalidURL, ValueError) as error:
        raise _no_address() from error
    if not usable:
        raise _no_address()
    return url.rstrip("/")


def _no_address() -> errors.StoreError:
    return errors.StoreError("NEXUS_URL is no address: write it as https://nexus.example")


def shown(url: str) -> str:
    """The address without a name and password that may stand in it."""
    split = urlsplit(url)
    return split._replace(netloc=split.netloc.rpartition("@")[2]).geturl()


def unreachable(error: Exception, url: str) -> errors.StoreError:
    """Why nothing came back, and what to do about it."""
    at = shown(url)
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
        return _no_address()
    if isinstance(error, httpx.ConnectTimeout):
        return errors.StoreError(f"the server at {at} does not answer: is NEXUS_URL right, and is no firewall between?")
    if isinstance(error, httpx.ConnectError) and _CERTIFICATE in str(error):
        return errors.StoreError(
            f"the server at {at} shows a certificate that this machine does not trust: use the name that stands in it, "
            "or make its authority known here (SSL_CERT_FILE)"
        )
    if isinstance(error, httpx.ConnectError):
        why = str(error).partition("] ")[2] or str(error)
        return errors.StoreError(
            f"the server at {at} cannot be reached ({why or 'no connection'}): is it running, and NEXUS_URL right?"
        )
    if isinstance(error, httpx.TimeoutException):
        return errors.StoreError(f"the server at {at} has said nothing for too long: look at its log, and try again")
    return errors.StoreError(
        f"the connection to the server at {at} broke ({type(error).__name__}): is it a Nexus, and still running?"
    )


def read(answer: httpx.Response, url: str) -> Json:
    """The JSON of an answer. Raises StoreError for anything else."""
    try:
        found = answer.json()
    except ValueError as error:
        raise _stranger(answer, url) from error
    if not isinstance(found, dict):
        raise _stranger(answer, url)
    return found


def refused(answer: httpx.Response, url: str) -> errors.NexusError:
    """A problem document as the error that it was; who is not let in is told how."""
    at, status, path = shown(url), answer.status_code, answer.request.url.path
    if answer.request.method == "HEAD" and status == HTTPStatus.NOT_FOUND:  # its problem has no body
        return errors.NotFound(f"{path} is not there (any more)")
    try:
        told = answer.json()
        code, detail = str(told["code"]), str(told["detail"])
    except (ValueError, KeyError, TypeError):
        return _stranger(answer, url)
    sent = answer.request.headers.get("authorization", "").removeprefix("Bearer ")
    if sent:  # a server that repeats what it was sent must not have the key printed
        detail = detail.replace(sent, "[key]")
    usual: type[errors.NexusError] = errors.BadInput if answer.is_client_error else errors.StoreError
    kind = known(code, errors.StoreError if status == HTTPStatus.FORBIDDEN else usual)
    no_route = code == errors.NotFound.code and detail == HTTPStatus.NOT_FOUND.phrase
    if status == HTTPStatus.UNAUTHORIZED:
        kind, detail = errors.StoreError, f"the server at {at} wants a key, or another one: set NEXUS_KEY ({detail})"
    elif no_route:
        kind, detail = errors.StoreError, f"the server at {at} does not know {path}: is it an older Nexus?"
    elif status == HTTPStatus.FORBIDDEN and kind is errors.StoreError:
        detail = f"the server at {at} refuses this: {detail}"
    elif kind is errors.Unexpected:
        detail = f"the server at {at} failed: {detail}"
    found = kind(detail)
    found.retryable = bool(told.get("retryable", False))
    return found


def known(code: str, otherwise: type[errors.NexusError]) -> type[errors.NexusError]:
    """The error that a code stands for, of those that server and client share."""
    shared = {errors.__name__, refusals.__name__}
    kinds = {kind.code: kind for kind in _kinds(errors.NexusError) if kind.__module__ in shared}
    return kinds.get(code, otherwise)


def _stranger(answer: httpx.Response, url: str) -> errors.StoreError:
    """Somebody answered who is no Nexus. Only what a proxy says may pass."""
    at, status = shown(url), answer.status_code
    if status in _OF_PROXIES:
        return errors.StoreError(
            f"what stands before the server at {at} says {status} {answer.reason_phrase}: is Nexus running behind it?"
        )
    if answer.is_redirect:
        told = f"{at} leads to {shown(answer.headers['location'])}: write that into NEXUS_URL"
    elif status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        told = f"what stands before the server at {at} lets nobody in ({status}): set NEXUS_KEY"
    else:
        told = f"what answers at {at} is no Nexus (status {status}): is NEXUS_URL right?"
    found = errors.StoreError(told)
    found.retryable = False
    return found


def _kinds(kind: type[errors.NexusError]) -> Iterator[type[errors.NexusError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)

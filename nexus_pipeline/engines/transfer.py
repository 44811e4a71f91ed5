"""One file over https into its place: goes on where it broke, and is believed by its digest alone."""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from nexus_pipeline.domain.errors import Cancelled, ModelMissing

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

PROBE_S = 10.0
"""Seconds without a byte after which a server is given up, also before the first one."""
SLOWEST = 1000
"""Bytes a second over three such spans, below which a connection is taken for broken: others wait behind it."""
TRIES = 5
"""Of a download that breaks; then what has come is kept for the next time."""
REDIRECTS = 5
"""Hubs lead to a store, and that one perhaps to another."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_BLOCK = 1 << 20
_PARTIAL, _UNSATISFIABLE = 206, 416


@dataclass(frozen=True, slots=True)
class Address:
    """Where one file is had: as it is, or as a member of the tar archive that lies there."""

    url: str
    digest: str
    """Of what lies at the address: `sha256:...`, or git's own as hubs tell it for small files, `git:...`."""
    bytes: int
    """Of what lies at the address."""
    member: str | None = None
    """The file's path inside the archive."""


class _Broken(Exception):
    """It began to come and stopped."""


def connected(headers: Mapping[str, str] | None = None, probe_s: float = PROBE_S) -> "httpx.Client":
    """A client that goes where it is sent, by https alone; `headers` are not handed on to other hosts."""
    import httpx

    return httpx.Client(
        headers={**(headers or {}), "Accept-Encoding": "identity"},
        timeout=probe_s,
        follow_redirects=True,
        max_redirects=REDIRECTS,
        event_hooks={"request": [_only_https]},
    )


def download(address: Address, to: Path, client: "httpx.Client", came: Callable[[int], None], stop: Event) -> None:
    """The file at `to`, checked. What has come of it before lies there too, and it goes on from there.

    Args:
        address: Of one file.
        to: A name that stands for these bytes and no others.
        client: As `connected` gives it.
        came: Told how many bytes of it are there.
        stop: Set when nobody wants it any more.

    Raises ModelMissing (the message says who, and why not), Cancelled.
    """
    import httpx

    began = _length(to)
    host = urlsplit(address.url).hostname
    retrying = Retrying(
        retry=retry_if_exception_type(_Broken),
        stop=stop_after_attempt(TRIES),
        wait=wait_exponential(0.25, max=5.0),
        sleep=lambda seconds: _sleep(seconds, stop),
        reraise=True,
    )
    try:
        retrying(_Download(address, to, client, came, stop).go_on)
    except _Broken as error:
        raise ModelMissing(f"the download from {host} broke {TRIES} times; it goes on from there next time") from error
    except httpx.TooManyRedirects as error:
        raise ModelMissing(f"{host} leads on and on") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ModelMissing(f"{host} does not answer ({type(error).__name__})") from error
    if digest(to, address.digest, stop) == address.digest:
        return
    to.unlink()
    if began:  # what lay here may have been at fault
        download(address, to, client, came, stop)
    else:
        raise ModelMissing(f"what {host} sent has another digest than {address.digest}; nothing of it was kept")


def digest(path: Path, like: str, stop: Event) -> str:
    """Of a file, in the form that another digest has. Raises Cancelled."""
    kind = like.partition(":")[0]
    # git's digests are no matter of trust: they are what the hub tells of files that it keeps in git
    summed = hashlib.sha1(usedforsecurity=False) if kind == "git" else hashlib.sha256()
    if kind == "git":
        summed.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            _look(stop)
            summed.update(block)
    return f"{kind}:{summed.hexdigest()}"


@dataclass(slots=True)
class _Download:
    """What `download` was told, and whether something came."""

    address: Address
    to: Path
    client: "httpx.Client"
    came: Callable[[int], None]
    stop: Event
    something: bool = False

    def go_on(self) -> None:
        """From where it is to the end. Raises _Broken when something came, and what httpx raises when nothing did."""
        import httpx

        start = _length(self.to)
        if start > self.address.bytes:
            self.to.unlink()
            start = 0
        if start == self.address.bytes:
            self.came(start)
            return
        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            with self.client.stream("GET", self.address.url, headers=headers) as answer:
                self._write(answer, start)
        except httpx.TransportError as error:
            if self.something:
                log.info("a download broke host=%s at=%d", urlsplit(self.address.url).hostname, _length(self.to))
                raise _Broken from error
            raise

    def _write(self, answer: "httpx.Response", start: int) -> None:
        if answer.status_code == _UNSATISFIABLE:
            self.to.unlink()
            raise _Broken
        if not answer.is_success:
            raise ModelMissing(f"{answer.url.host} answers {answer.status_code} for {answer.url.path}")
        told = answer.headers.get("Content-Range", "")
        goes_on = answer.status_code == _PARTIAL and told.startswith(f"bytes {start}-")
        at, most = start if goes_on else 0, self.address.bytes
        pace = _Pace(3 * (self.client.timeout.read or PROBE_S), at)
        with self.to.open("ab" if goes_on else "wb") as file:
            for block in answer.iter_raw():
                _look(self.stop)
                self.something = True
                at += len(block)
                if at > most:
                    raise ModelMissing(f"{answer.url.host} sends more than the {most} bytes that there should be")
                file.write(block)
                self.came(at)
                pace.look(at)
        if at < most:
            raise _Broken


class _Pace:
    """Whether enough comes. Raises _Broken when not."""

    def __init__(self, span_s: float, at: int) -> None:
        self._span_s, self._at, self._since = span_s, at, time.monotonic()

    def look(self, at: int) -> None:
        passed = time.monotonic() - self._since
        if passed < self._span_s:
            return
        if at - self._at < SLOWEST * passed:
            raise _Broken
        self._at, self._since = at, time.monotonic()


def _only_https(request: "httpx.Request") -> None:
    if request.url.scheme != "https" and request.url.host not in LOOPBACK:
        raise ModelMissing(f"models are fetched by https only, and not from {request.url.scheme}://{request.url.host}")


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _look(stop: Event) -> None:
    if stop.is_set():
        raise Cancelled("stopped while a model was being fetched")


def _sleep(seconds: float, stop: Event) -> None:
    stop.wait(seconds)
    _look(stop)

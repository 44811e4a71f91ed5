"""Vendors' clients, one for each call under way, so that a call can be hung up on and no other one is.

A vendor's client waits for its answer in one thread, and nothing in it ends that wait from another. What does is
shutting down the socket under it: which one that is, the HTTP client tells whoever traces it.
"""

import socket
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nexus_pipeline.engines.cloud import on_leaving

if TYPE_CHECKING:
    import httpx2

C = TypeVar("C")
IDLE = 4
"""Clients that are kept for later calls, each with its connection: as many as are under way at once, usually."""


class Wires(Generic[C]):
    """Clients of one vendor at one address."""

    def __init__(self, make: "Callable[[httpx2.Client], C]", **told: Any) -> None:
        """Opens nothing yet.

        Args:
            make: The vendor's client over an HTTP client. It must not hold these wires: they are closed when nobody
                has them any more, or the process ends.
            told: How the HTTP clients are made.
        """
        self._make, self._told = make, told
        self._lock = threading.Lock()
        self._idle: list[_Wire[C]] = []
        self.close = weakref.finalize(self, _close, self._idle)

    @contextmanager
    def lent(self) -> Iterator[C]:
        """A client for one call, whose connections are shut down when nobody waits for the call any more."""
        with self._lock:
            wire = self._idle.pop() if self._idle else None
        wire = wire or self._new()
        read = True
        try:
            on_leaving(wire.begin())
            yield wire.client
        except GeneratorExit:
            read = False  # of a stream that was not read to its end the vendor's client may leave a connection open
            raise
        finally:
            whole = wire.end() and read
            with self._lock:
                keeps = whole and len(self._idle) < IDLE and self.close.alive
                if keeps:
                    self._idle.append(wire)
            if not keeps:
                wire.close()

    def _new(self) -> "_Wire[C]":
        import httpx2

        with self._lock:  # once: reading the certificates takes longer than all the rest
            if "verify" not in self._told:
                self._told["verify"] = httpx2.create_ssl_context()
        return _Wire(self._make, self._told)


class _Wire(Generic[C]):
    """One client, and what it is connected by."""

    def __init__(self, make: "Callable[[httpx2.Client], C]", told: dict[str, Any]) -> None:
        import httpx2

        hooks = [*told.get("event_hooks", {}).get("request", ()), self._traces]
        self._http = httpx2.Client(**{**told, "event_hooks": {"request": hooks}})
        try:
            self.client = make(self._http)
        except BaseException:
            self._http.close()
            raise
        self._lock = threading.Lock()
        self._streams: deque[Any] = deque(maxlen=2)  # a redirect may lead to a second one
        self._busy = self._gone = False
        self._call = 0

    def begin(self) -> Callable[[], None]:
        """What hangs up on the call that begins, and on none that comes after it."""
        with self._lock:
            self._call += 1
            self._busy = True
            return partial(self._hang_up, self._call)

    def end(self) -> bool:
        """Whether it can serve another call."""
        with self._lock:
            self._busy = False
            return not self._gone

    def _hang_up(self, call: int) -> None:
        with self._lock:
            if self._busy and call == self._call:
                self._gone = True
                for stream in self._streams:
                    _shut(stream)

    def close(self) -> None:
        self._http.close()

    def _traces(self, request: "httpx2.Request") -> None:
        request.extensions["trace"] = self._traced

    def _traced(self, event: str, info: dict[str, Any]) -> None:
        if not event.endswith(("connect_tcp.complete", "start_tls.complete")):
            return
        with self._lock:
            self._streams.append(info["return_value"])
            if self._gone:  # it was left while it connected
                _shut(info["return_value"])


def _shut(stream: Any) -> None:
    """Whoever reads from it or writes to it, in whatever thread, is told at once that it is over."""
    with suppress(OSError):  # it was over before
        # the plain socket's own way: TLS would be taken from under the one who reads
        socket.socket.shutdown(stream.get_extra_info("socket"), socket.SHUT_RDWR)


def _close(idle: list[Any]) -> None:
    for wire in idle:
        wire.close()

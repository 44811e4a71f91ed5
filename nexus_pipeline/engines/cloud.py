"""The line to a vendor's API: calls under way, tokens a minute, retries, a breaker, and a way out for who cancels.

Limits hold for all processes of this machine that share a cache folder; the breaker is each process's own. Vendors'
clients retry nothing themselves: everything is decided here, once for all of them.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from circuitbreaker import CircuitBreaker
from portalocker import NamedBoundedSemaphore
from pyrate_limiter import Duration, Limiter, Rate, SQLiteBucket
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from nexus_pipeline.domain.errors import Cancelled, EngineBusy, EngineDown, NexusError
from nexus_pipeline.engines.site import Cloud
from nexus_pipeline.ports import Cancelled as IsCancelled

log = logging.getLogger(__name__)

R = TypeVar("R")
TRIES = 4
"""Calls in a row for what is momentary; then the step fails or is blocked, and is tried again later."""
WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
"""Before the second call, doubled each time; who asks for a longer wait gets the item back later."""
OUTAGES, OPEN_S = 5, 60.0
"""So many calls in a row without an answer open the breaker; after so many seconds one call tries again."""
LOOK_S = 0.1
"""How often a person's cancellation is looked for."""
UNIT = 1000
"""Tokens are counted in thousands: the limiter keeps a row for each unit."""
_END: Any = object()


class Line:
    """The line to one vendor, for all its engines of this process."""

    def __init__(self, name: str, cloud: Cloud, folder: Path, told: Callable[[Exception], NexusError | None]) -> None:
        """Calls nobody yet.

        Args:
            name: The vendor's; limits are shared under it.
            cloud: How hard it may be asked.
            folder: Where this machine's limits are kept.
            told: A vendor's error as ours: EngineBusy where it asks to wait, EngineDown where it does not answer;
                None for what is no error of the vendor's.
        """
        self.name, self.cloud = name, cloud
        self._folder, self._told = folder, told
        self._breaker = CircuitBreaker(OUTAGES, OPEN_S, EngineDown, name)
        self._lock = threading.Lock()
        self._limiter: Limiter | None = None

    def call(self, do: Callable[[], R], *, tokens: int, cancelled: IsCancelled) -> R:
        """What `do` gives. It may be left behind in its thread when a person cancels: bound it by time-outs.

        Args:
            do: One call of the vendor's client.
            tokens: About how many it costs.
            cancelled: Looked at ten times a second.

        Raises:
            EngineBusy: It asks to wait longer than we do (`retry_after_s`), again and again.
            EngineDown: It does not answer, or the breaker is open.
            Cancelled: A person wants it stopped.
            NexusError: Whatever else `told` makes of the vendor's error.
        """
        return self._again_and_again(lambda: self._once(do, tokens, cancelled), cancelled)

    def stream(self, open_: Callable[[], Iterator[R]], *, tokens: int, cancelled: IsCancelled) -> Iterator[R]:
        """What `open_`'s iterator gives, as it comes; tried again only while nothing has come. Raises as `call`."""
        came, first = self._again_and_again(lambda: self._begun(open_, tokens, cancelled), cancelled)
        while first is not _END:
            yield first
            first = self._outcome(came, cancelled)

    def _begun(self, open_: Callable[[], Iterator[R]], tokens: int, cancelled: IsCancelled) -> "tuple[_Came, Any]":
        came = _Came()
        self._wait_for_tokens(tokens, cancelled)

        def run() -> None:
            try:
                with self._slot(came.left.is_set):
                    for piece in open_():
                        if came.left.is_set():
                            return
                        came.queue.put(piece)
                came.queue.put(_END)
            except Exception as error:  # noqa: BLE001 - handed on to whoever reads
                came.queue.put(_Failed(error))

        threading.Thread(target=run, name=f"{self.name} stream", daemon=True).start()
        return came, self._outcome(came, cancelled)

    def _outcome(self, came: "_Came", cancelled: IsCancelled) -> Any:
        while True:
            if cancelled():
                came.left.set()
                raise Cancelled(f"stopped while {self.name} was answering")
            try:
                piece = came.queue.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            with self._breaker, self._translated():
                if isinstance(piece, _Failed):
                    raise piece.error
            return piece

    def _again_and_again(self, do: Callable[[], R], cancelled: IsCancelled) -> R:
        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = getattr(error, "retry_after_s", None) or 0.0
            return float(max(asked, min(WAIT_S * 2 ** (state.attempt_number - 1), LONGEST_WAIT_S)))

        def enough(state: RetryCallState) -> bool:
            return stop_after_attempt(TRIES)(state) or wait(state) > LONGEST_WAIT_S or self._breaker.opened

        retrying = Retrying(
            retry=retry_if_exception_type((EngineBusy, EngineDown)),
            wait=wait,
            stop=enough,
            sleep=lambda seconds: _sleep(seconds, self.name, cancelled),
            reraise=True,
        )
        answer: R = retrying(self._unless_open, do)
        return answer

    def _unless_open(self, do: Callable[[], R]) -> R:
        if self._breaker.opened:
            raise EngineDown(
                f"{self.name} has not answered {OUTAGES} times in a row; it is asked again in "
                f"{max(1, int(self._breaker.open_remaining))} s"
            )
        return do()

    def _once(self, do: Callable[[], R], tokens: int, cancelled: IsCancelled) -> R:
        self._wait_for_tokens(tokens, cancelled)
        future: Future[R] = Future()
        left = threading.Event()

        def run() -> None:
            try:
                with self._slot(left.is_set):
                    future.set_result(do())
            except Exception as error:  # noqa: BLE001 - handed on to whoever waits
                future.set_exception(error)

        threading.Thread(target=run, name=f"{self.name} call", daemon=True).start()
        while not future.done():
            if cancelled():
                left.set()
                raise Cancelled(f"stopped while {self.name} was asked")
            try:
                future.exception(timeout=LOOK_S)
            except NotYet:
                continue
        with self._breaker, self._translated():
            return future.result()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except NexusError:
            raise
        except Exception as error:
            ours = self._told(error)
            if ours is None:
                raise
            # not `from error`: a vendor's message may carry words of the item
            raise ours from None

    @contextmanager
    def _slot(self, left: Callable[[], bool]) -> Iterator[None]:
        """One of the calls that may be under way on this machine."""
        self._folder.mkdir(parents=True, exist_ok=True)
        slots = NamedBoundedSemaphore(self.cloud.calls, name=self.name, directory=str(self._folder))
        while slots.acquire(timeout=LOOK_S, check_interval=LOOK_S / 2, fail_when_locked=False) is None:
            if left():
                raise Cancelled(f"stopped while waiting for a free call to {self.name}")
        try:
            yield
        finally:
            slots.release()

    def _wait_for_tokens(self, tokens: int, cancelled: IsCancelled) -> None:
        """Until this minute's tokens of this machine suffice; a call larger than a minute's waits for all of them."""
        limit = max(1, self.cloud.tokens_a_minute // UNIT)
        weight = min(limit, -(-tokens // UNIT) or 1)
        while not self._tokens(limit).try_acquire(self.name, weight, blocking=False):
            _sleep(LOOK_S * 5, self.name, cancelled)

    def _tokens(self, limit: int) -> Limiter:
        with self._lock:
            if self._limiter is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                bucket = SQLiteBucket.init_from_file(
                    [Rate(limit, Duration.MINUTE)],
                    table=f"tokens_{self.name}",
                    db_path=str(self._folder / f"{self.name}.sqlite"),
                    use_file_lock=True,
                )
                self._limiter = Limiter(bucket)
            return self._limiter


class _Came:
    """What has come of a stream, and whether anybody still reads it."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.left = threading.Event()


class _Failed:
    def __init__(self, error: Exception) -> None:
        self.error = error


def _sleep(seconds: float, name: str, cancelled: IsCancelled) -> None:
    until = time.monotonic() + seconds
    while (rest := until - time.monotonic()) > 0:
        if cancelled():
            raise Cancelled(f"stopped while waiting for {name}")
        time.sleep(min(LOOK_S, rest))

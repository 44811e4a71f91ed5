"""The line to a vendor's API: calls under way, tokens a minute, retries, a breaker, and a way out for who cancels.

Limits, the breaker and the wait that a vendor asks for hold for all processes of this machine that share a cache
folder. Who is left alone is hung up on, so that it holds no place among the calls under way. Vendors' clients retry
nothing themselves: everything is decided here, once for all of them. What a vendor says stays out of errors and logs,
for it may repeat words of the item: an error of ours carries no trace of the vendor's.
"""

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from portalocker import NamedBoundedSemaphore
from pyrate_limiter import Duration, Rate, RateItem, SQLiteBucket
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_after_delay
from tenacity import wait_exponential_jitter as backoff

from nexus_pipeline.domain.errors import Cancelled, EngineBusy, EngineDown, NexusError
from nexus_pipeline.engines.site import Cloud
from nexus_pipeline.engines.standing import Standing
from nexus_pipeline.ports import Cancelled as IsCancelled

R = TypeVar("R")
TRIES = 4
"""Calls in a row for what is momentary; then the step fails or is blocked, and is tried again later."""
WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
"""Before the second call, doubled each time; who asks for a longer wait gets the item back later."""
OUTAGES, OPEN_S = 5, 60.0
"""So many calls in a row without an answer open the breaker; after so many seconds one call tries again."""
ANSWER_S = 600.0
"""For a whole answer, or from one piece of a stream to the next: a server that drips must not hold an item for ever."""
LOOK_S = 0.1
"""How often a person's cancellation is looked for."""
UNIT = 1000
"""Tokens are counted in thousands: the limiter keeps a row for each unit."""
_END: Any = object()
_here = threading.local()  # `came`: the call that this thread makes


class Barred(EngineDown):
    """It answers, and not to us: a key that is missing or refused, an account without money. Asking again is vain."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a line bears with its vendor; the constants above say what each is."""

    tries: int = TRIES
    wait_s: float = WAIT_S
    longest_wait_s: float = LONGEST_WAIT_S
    outages: int = OUTAGES
    open_s: float = OPEN_S
    answer_s: float = ANSWER_S


class Line:
    """The line to one vendor, for all its engines of this process."""

    def __init__(
        self,
        name: str,
        cloud: Cloud,
        folder: Path,
        told: Callable[[Exception], NexusError | None],
        patience: Patience | None = None,
    ) -> None:
        """Calls nobody yet.

        Args:
            name: The vendor's; limits are shared under it.
            cloud: How hard it may be asked.
            folder: Where this machine's limits are kept.
            told: A vendor's error as ours: EngineBusy where it asks to wait, EngineDown where it does not answer,
                Barred where asking again is vain; None for what is no error of the vendor's.
            patience: How long to bear with it.
        """
        self.name, self.cloud, self.patience = name, cloud, patience or Patience()
        self._folder, self._told = folder, told
        bears = self.patience
        path = folder / f"{name}.standing.sqlite"
        self._standing = Standing(name, path, _who(cloud), outages=bears.outages, open_s=bears.open_s)
        self._first = threading.Lock()  # who waits for tokens first, gets them first
        self._bucket: SQLiteBucket | None = None

    def call(self, do: Callable[[], R], *, tokens: int, cancelled: IsCancelled) -> R:
        """What `do` gives. It is left behind in its thread when a person cancels, and told so by `on_leaving`.

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

    def stream(
        self, open_: Callable[[], Iterator[R]], *, tokens: int, cancelled: IsCancelled
    ) -> Generator[R, None, None]:
        """What `open_`'s iterator gives, as it comes; tried again only while nothing has come. Raises as `call`."""
        came, piece = self._again_and_again(lambda: self._begun(open_, tokens, cancelled), cancelled)
        try:
            while piece is not _END:
                yield piece
                with self._telling():
                    piece = self._next(came, cancelled)
        finally:
            came.leave()

    # ------------------------------------------------------------ one call

    def _once(self, do: Callable[[], R], tokens: int, cancelled: IsCancelled) -> R:
        self._wait_for_tokens(tokens, cancelled)
        future: Future[R] = Future()
        come = _Came()

        def run() -> None:
            _here.came = come
            try:
                with self._slot(come):
                    future.set_result(do())
            except BaseException as error:  # noqa: BLE001 - handed on to whoever waits
                future.set_exception(error)

        threading.Thread(target=run, name=f"{self.name} call", daemon=True).start()
        while not future.done():
            self._look(come, cancelled)
            try:
                future.exception(timeout=LOOK_S)
            except NotYet:
                continue
        error = future.exception()
        if error is not None:
            raise self._ours(error)
        return future.result()

    def _begun(self, open_: Callable[[], Iterator[R]], tokens: int, cancelled: IsCancelled) -> "tuple[_Came, Any]":
        self._wait_for_tokens(tokens, cancelled)
        came = _Came()

        def run() -> None:
            _here.came = came
            try:
                with self._slot(came):
                    pieces = open_()
                    for piece in pieces:
                        if came.left.is_set():
                            break
                        came.put(piece)
                    getattr(pieces, "close", lambda: None)()
                came.put(_END)
            except BaseException as error:  # noqa: BLE001 - handed on to whoever reads
                came.put(_Failed(error))

        threading.Thread(target=run, name=f"{self.name} stream", daemon=True).start()
        return came, self._next(came, cancelled)

    def _next(self, came: "_Came", cancelled: IsCancelled) -> Any:
        while True:
            self._look(came, cancelled)
            try:
                piece = came.queue.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            if isinstance(piece, _Failed):
                raise self._ours(piece.error)
            return piece

    def _look(self, come: "_Came", cancelled: IsCancelled) -> None:
        """Leave it alone when a person wants that, or when it has taken too long."""
        if cancelled():
            come.leave()
            raise Cancelled(f"stopped while {self.name} was asked")
        if come.lives_at is not None and time.monotonic() - come.lives_at > self.patience.answer_s:
            come.leave()
            raise EngineDown(f"{self.name} did not end its answer in {self.patience.answer_s:.0f} s")

    def _ours(self, error: BaseException) -> BaseException:
        """An error as ours; what nobody knows stays itself."""
        if isinstance(error, NexusError) or not isinstance(error, Exception):
            return error
        return self._told(error) or error

    # ------------------------------------------------------------ again, or not

    def _again_and_again(self, do: Callable[[], R], cancelled: IsCancelled) -> R:
        bears = self.patience
        waits = backoff(bears.wait_s, bears.longest_wait_s, jitter=bears.wait_s / 2)
        ends = stop_after_attempt(bears.tries) | stop_after_delay(bears.answer_s)

        def wait(state: RetryCallState) -> float:
            return max(_asked_s(state), float(waits(state)))

        def enough(state: RetryCallState) -> bool:
            return ends(state) or _asked_s(state) > bears.longest_wait_s or self._standing.open

        retrying = Retrying(
            retry=retry_if_exception(lambda e: isinstance(e, EngineBusy | EngineDown) and not isinstance(e, Barred)),
            wait=wait,
            stop=enough,
            sleep=lambda seconds: _sleep(seconds, self.name, cancelled),
            reraise=True,
        )
        answer: R = retrying(self._when_let, do, cancelled)
        return answer

    def _when_let(self, do: Callable[[], R], cancelled: IsCancelled) -> R:
        """Do it when the vendor's own wait is over, unless that is long or the breaker is open."""
        wait_s = self._standing.wait_s
        if wait_s > self.patience.longest_wait_s:
            busy = EngineBusy(f"{self.name} wants to be asked again in {wait_s:.0f} s")
            busy.retry_after_s = wait_s
            raise busy
        _sleep(wait_s, self.name, cancelled)
        tries = self._standing.let()
        try:
            with self._telling():
                answer = do()
            self._standing.answered()
        finally:
            if tries:
                self._standing.gave_up()
        return answer

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Other processes learn of an outage, and of the wait that the vendor asks for."""
        try:
            yield
        except Cancelled:
            raise
        except NexusError as error:
            if isinstance(error, EngineDown) and not isinstance(error, Barred):
                self._standing.outage(str(error))
            else:
                self._standing.answered()
            if error.retry_after_s is not None:
                self._standing.asks_to_wait(error.retry_after_s)
            raise

    # ------------------------------------------------------------ limits

    @contextmanager
    def _slot(self, come: "_Came") -> Iterator[None]:
        """One of the calls that may be under way on this machine."""
        self._folder.mkdir(parents=True, exist_ok=True)
        slots = NamedBoundedSemaphore(self.cloud.calls, name=self.name, directory=str(self._folder))
        while slots.acquire(timeout=LOOK_S, check_interval=LOOK_S / 2, fail_when_locked=False) is None:
            _stop_if(come.left.is_set, self.name)
        try:
            come.lives_at = time.monotonic()
            yield
        finally:
            slots.release()

    def _wait_for_tokens(self, tokens: int, cancelled: IsCancelled) -> None:
        """Until this minute's tokens of this machine suffice; a call larger than a minute's waits for all of them."""
        limit = max(1, self.cloud.tokens_a_minute // UNIT)
        weight = min(limit, -(-tokens // UNIT) or 1)
        while not self._first.acquire(timeout=LOOK_S):
            _stop_if(cancelled, self.name)
        try:
            while not self._taken(limit, weight):
                _sleep(LOOK_S, self.name, cancelled)
        finally:
            self._first.release()

    def _taken(self, limit: int, weight: int) -> bool:
        """Whether the minute had so many units left; only who holds `_first` comes here.

        The bucket is asked without the library's Limiter, which cannot handle today's filelock (pyrate-limiter 4.5.1:
        "timeout must be a number of seconds, not bool") and keeps a thread for what `leak` does here.
        """
        if self._bucket is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._bucket = SQLiteBucket.init_from_file(
                [Rate(limit, Duration.MINUTE)],
                table=f"tokens_{self.name}",
                db_path=str(self._folder / f"{self.name}.sqlite"),
                use_file_lock=True,
            )
        now_ms = time.time_ns() // 1_000_000  # the bucket's own clock
        newest = self._bucket.peek(0)
        if newest is not None and newest.timestamp > now_ms + Duration.MINUTE:
            self._bucket.flush()  # the machine's clock was set back: else nobody is asked until it is that late again
        self._bucket.leak(now_ms)
        return bool(self._bucket.put(RateItem(self.name, now_ms, weight=weight)))


class _Came:
    """What has come of a call, when it last gave a sign of life, and whether nobody waits for it any more."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.left = threading.Event()
        self.lives_at: float | None = None
        self._lock = threading.Lock()
        self._hang_up: Callable[[], None] | None = None

    def put(self, piece: Any) -> None:
        self.lives_at = time.monotonic()
        self.queue.put(piece)

    def leave(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            self.left.set()
            hang_up = self._hang_up
        if hang_up is not None:
            hang_up()

    def on_leaving(self, hang_up: Callable[[], None]) -> None:
        with self._lock:
            self._hang_up = hang_up
        if self.left.is_set():
            hang_up()


def on_leaving(hang_up: Callable[[], None]) -> None:
    """Within a line's call: done at once, in another thread, when nobody waits for the call any more.

    It may be done after the call has ended, too, and more than once.
    """
    came: _Came | None = getattr(_here, "came", None)
    if came is not None:
        came.on_leaving(hang_up)


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def _who(cloud: Cloud) -> str:
    """A key and an address, told apart from others without telling them."""
    key = cloud.key.get_secret_value() if cloud.key else ""
    return hashlib.sha256(f"{cloud.base_url or ''}\0{key}".encode()).hexdigest()[:16]


def _asked_s(state: RetryCallState) -> float:
    """The seconds that the vendor asked to wait."""
    error = state.outcome.exception() if state.outcome else None
    return getattr(error, "retry_after_s", None) or 0.0


def _stop_if(cancelled: IsCancelled, name: str) -> None:
    if cancelled():
        raise Cancelled(f"stopped while waiting for {name}")


def _sleep(seconds: float, name: str, cancelled: IsCancelled) -> None:
    until = time.monotonic() + seconds
    while (rest := until - time.monotonic()) > 0:
        _stop_if(cancelled, name)
        time.sleep(min(LOOK_S, rest))

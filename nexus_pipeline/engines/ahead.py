"""Pieces of one item that are asked for side by side and come back in order."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from nexus_pipeline.ports import Cancelled

P = TypeVar("P")
R = TypeVar("R")


def in_order(
    coming: Iterable[P], do: Callable[[P, Cancelled], R], *, ahead: int, width: int, cancelled: Cancelled
) -> Generator[tuple[P, R], None, None]:
    """Each piece with what `do` makes of it, as soon as that and what was before it are there.

    Close it: whatever is under way is then told to stop, and waited for. Raises what `do` raises.

    Args:
        coming: The pieces; `ahead` more than were taken are held at most.
        do: Called in a thread with a piece, and with what tells it to stop.
        ahead: Pieces that wait or are under way.
        width: Of these, under way at once.
        cancelled: Whether a person wants it stopped.
    """
    over = threading.Event()
    waiting: deque[tuple[P, Future[R]]] = deque()
    pool = ThreadPoolExecutor(min(ahead, width), thread_name_prefix="ahead")

    def stop() -> bool:
        return over.is_set() or cancelled()

    def first() -> tuple[P, R]:
        piece, made = waiting.popleft()
        return piece, made.result()

    try:
        for piece in coming:
            waiting.append((piece, pool.submit(do, piece, stop)))
            while len(waiting) > ahead or (waiting and waiting[0][1].done()):
                yield first()
        while waiting:
            yield first()
    finally:
        over.set()
        pool.shutdown(cancel_futures=True)

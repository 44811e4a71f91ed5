"""What must end before a server can: told by the signal itself, since a server waits for its answers first.

uvicorn begins its shutdown by waiting until all connections are closed, and only then ends the app's lifespan; an
event stream closes when it is told to. So whoever keeps one open puts itself before the server's own handler.
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def before_signals(close: Callable[[], None]) -> Callable[[], None]:
    """Call `close` in this loop when the process is told to end, then what was called before; undone by the answer.

    Outside the main thread, and where nobody ends orderly on a signal, nothing is done: there whoever runs the server
    ends it some other way.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    loop = asyncio.get_running_loop()
    before = {number: old for number in _SIGNALS if callable(old := signal.getsignal(number))}

    def told(number: int, frame: FrameType | None) -> None:
        with suppress(RuntimeError):  # the loop is over
            loop.call_soon_threadsafe(close)
        before[signal.Signals(number)](number, frame)

    for number in before:
        signal.signal(number, told)

    def undo() -> None:
        for number, old in before.items():
            if signal.getsignal(number) is told:  # else somebody else has put itself before us
                signal.signal(number, old)

    return undo

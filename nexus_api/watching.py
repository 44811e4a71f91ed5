"""When a waiting client looks again: when something has happened, and once in a while anyway.

A server's events say that it is time to look, not what there is to see: what is true stands in the items. So a stream
that breaks, is held up by a proxy or was never there costs some seconds and nothing else.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

NEAR_S = 0.3
"""How often the stores of this machine are looked at, and a server at most."""
FAR_S = 5.0
"""How often a server is looked at where its events say nothing."""
AGAIN_S = 2.0
"""After so long a stream that has ended or broken is opened again."""


def near() -> Iterator[None]:
    """For stores that are cheap to look at."""
    while True:
        yield
        time.sleep(NEAR_S)


def far(http: "httpx.Client", patience_s: float = FAR_S) -> Iterator[None]:
    """For a server: at once, then whenever its events tell that something happened."""
    happened, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=_hear, args=(http, happened, over), daemon=True)
    thread.start()
    try:
        while True:
            happened.clear()
            yield
            happened.wait(patience_s)
            time.sleep(NEAR_S)  # what comes together is seen together
    finally:
        over.set()


def _hear(http: "httpx.Client", happened: threading.Event, over: threading.Event) -> None:
    """Read the stream of all events, again and again; only that there are some is of interest."""
    import httpx

    patience = httpx.Timeout(60.0, connect=10.0)
    while not over.is_set():
        with suppress(httpx.HTTPError), http.stream("GET", "/api/events", timeout=patience) as answer:
            happened.set()  # what came before is seen now
            for text in answer.iter_lines():
                if over.is_set():
                    return
                if text.startswith("data:"):
                    happened.set()
        over.wait(AGAIN_S)

"""An exchange on HTTP: as server-sent events or as one body; in both a client that goes away stops the engine.

An exchange runs in a thread of its own, since engines block; what it says comes back to the loop through a queue.
Closing the connection is how a running answer is stopped: it needs no id, works from every kind of client, and what was
said until then stands in the chat's history.
"""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from fastapi.responses import Response
from fastapi.sse import format_sse_event
from starlette.types import Receive, Scope, Send

from nexus_api.answering.reading import DONE, MEDIA_TYPE, PROBLEM
from nexus_api.shown import Json
from nexus_pipeline.domain.errors import Cancelled, NexusError, Unexpected

if TYPE_CHECKING:
    from nexus_api.answering.exchanges import Event, Exchange

log = logging.getLogger(__name__)

STILL_S = 10.0
"""After so long without a word a stream says that it is still there: proxies cut silent ones off after a minute."""
PATIENCE_S = 30.0
"""So long one event may wait until the client takes it."""
_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


class Running:
    """An exchange in its thread."""

    def __init__(self, exchange: "Exchange") -> None:
        """Begins at once; belongs to the running loop."""
        self._exchange = exchange
        self._stop = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        threading.Thread(target=self._run, name=f"answer {exchange.chat_id}", daemon=True).start()

    def stop(self) -> None:
        """The engine stops as soon as it looks: several times a second."""
        self._stop.set()

    def _run(self) -> None:
        try:
            for event in self._exchange.events(self._stop.is_set):
                self._put(event)
        except Exception as error:  # noqa: BLE001 - handed on to whoever reads
            self._put(error)
        self._put(None)

    def _put(self, told: "Event | Exception | None") -> None:
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, told)
        except RuntimeError:  # the loop has ended: nobody reads
            self._stop.set()

    async def events(self) -> "AsyncIterator[Event | None]":
        """Events as they come, None after each STILL_S without one. Raises what the exchange raised."""
        while True:
            try:
                async with asyncio.timeout(STILL_S):
                    told = await self._queue.get()
            except TimeoutError:
                yield None
                continue
            if isinstance(told, Exception):
                raise told
            if told is None:
                return
            yield told


async def whole(exchange: "Exchange", receive: Receive) -> Json:
    """The body of an answer. Raises what the exchange raises, and Cancelled where the client has gone."""
    running = Running(exchange)
    try:
        body: Json = await _unless_gone(_last(running), receive)
        return body
    finally:
        running.stop()


async def _last(running: Running) -> Json:
    body: Json = {}
    async for event in running.events():
        if event is not None and event.event == DONE:
            body = event.data
    return body


async def _unless_gone(doing: Any, receive: Receive) -> Any:
    """What is done, if the client waits for it."""
    work, gone = asyncio.ensure_future(doing), asyncio.ensure_future(_gone(receive))
    try:
        done, _ = await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)
    return (work if work in done else gone).result()


async def _gone(receive: Receive) -> Any:
    """Until the client is; it has nothing more to say."""
    while (await receive())["type"] != "http.disconnect":
        pass
    raise Cancelled("whoever asked has gone")


class AnswerStream(Response):
    """An exchange as server-sent events: `token`, `citation`, at last `done` with the whole body, or `problem`."""

    media_type = MEDIA_TYPE

    def __init__(self, exchange: "Exchange") -> None:
        """Begins when it is sent; without a length, which nobody knows yet."""
        self._exchange = exchange
        self.status_code = 200
        self.background = None
        self.init_headers(_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """Send until its end, or until the client is gone, or takes nothing."""
        running = Running(self._exchange)
        try:
            await _unless_gone(self._send(running, send), receive)
        except (Cancelled, TimeoutError, OSError):
            log.info("an answer was stopped: its client has gone chat_id=%s", self._exchange.chat_id)
        finally:
            running.stop()

    async def _send(self, running: Running, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for frame in self._frames(running):
            async with asyncio.timeout(PATIENCE_S):
                await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _frames(self, running: Running) -> AsyncIterator[bytes]:
        try:
            async for event in running.events():
                yield format_sse_event(comment="still here") if event is None else frame(event.event, event.data)
        except NexusError as error:
            yield frame(PROBLEM, _problem(error))
        except Exception:
            log.exception("unexpected while answering chat_id=%s", self._exchange.chat_id)
            yield frame(
                PROBLEM, _problem(Unexpected("Nexus itself failed; its log has the details. Please report it."))
            )


def _problem(error: NexusError) -> Json:
    return {
        "type": "about:blank",
        "title": type(error).__name__,
        "status": error.http_status,
        "detail": str(error),
        "code": error.code,
        "item_id": None,
        "retryable": error.retryable,
    }


def frame(event: str, data: Json) -> bytes:
    """One server-sent event."""
    told: bytes = format_sse_event(event=event, data_str=json.dumps(data, ensure_ascii=False))
    return told


def wants_stream(accept: str | None) -> bool:
    """Whether a client asks for events rather than for a body: the first of the two that it names."""
    told = [part.partition(";")[0].strip().lower() for part in (accept or "").split(",")]
    kinds = [kind for kind in told if kind in {MEDIA_TYPE, "application/json"}]
    return bool(kinds) and kinds[0] == MEDIA_TYPE

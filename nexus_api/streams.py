"""Event streams on the wire: server-sent events and a WebSocket over the same messages.

A client that takes nothing for half a minute is cut off; it resumes where it was.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from starlette.types import Send

from nexus_api import messages
from nexus_api.events import Events, Opened
from nexus_api.problems import BadRequest
from nexus_pipeline.domain.errors import NexusError

log = logging.getLogger(__name__)

PATIENCE_S = 30.0
"""So long one message may wait until the client takes it."""
CURSOR = r"^[0-9]{0,18}$"
"""How an event's id is written; the databases' whole numbers have 63 bits."""
_REASON_BYTES = 123  # RFC 6455, 5.5: a control frame has 125, two of them the code
_GOING_AWAY, _TOO_SLOW = 1012, 1013  # IANA's registry of close codes: service restart, try again later
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def cursor(told: str | None) -> int | None:
    """Where to resume: an `id` that was received before; None where none is given. Raises BadRequest for nonsense."""
    if not told:
        return None
    if not re.fullmatch(CURSOR, told):
        raise BadRequest("Last-Event-ID must be the id of an event that was received before: a whole number")
    return int(told)


class EventStream(StreamingResponse):
    """An opened stream as server-sent events: `retry`, messages with `id`, a comment when there is nothing to say.

    Not FastAPI's own, which encodes each message anew for each client and runs two tasks for it.
    """

    media_type = "text/event-stream"

    def __init__(self, events: Events, opened: Opened, *, patience_s: float = PATIENCE_S) -> None:
        super().__init__(self._frames(events, opened), headers=_HEADERS)
        self._patience_s = patience_s

    async def _frames(self, events: Events, opened: Opened) -> AsyncIterator[bytes]:
        # an id without data is no event, but from now on what a browser resumes from
        at = None if opened.item_id is not None else str(opened.after)
        yield format_sse_event(retry=messages.RECONNECT_MS, id=at)
        try:
            async with aclosing(events.follow(opened)) as told:
                async for some in told:
                    yield b"".join(one.sse for one in some) or format_sse_event(comment="still here")
        except NexusError as error:
            log.warning("a stream ended, its client may resume code=%s: %s", error.code, error)

    async def stream_response(self, send: Send) -> None:
        """As ever, but for clients that take nothing, and the frames' generator is closed with the response."""
        frames: Any = self.body_iterator
        try:
            async with aclosing(frames):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                async for frame in frames:
                    async with asyncio.timeout(self._patience_s):
                        await send({"type": "http.response.body", "body": frame, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            log.info("a stream was cut off: its client took nothing for %.0f s", self._patience_s)


async def talk(socket: WebSocket, events: Events, owner: str, item_id: str, after: str | None) -> None:
    """An item's stream over a WebSocket: text messages `{"id", "event", "data"}`, closed with 1000 after `end`.

    An item that is not there closes it with 4404, a bad cursor with 4422, a store that is down with 4503.
    """
    await socket.accept()
    try:
        opened = await events.open(owner, cursor(after), item_id)
    except NexusError as error:
        await _close(socket, 4000 + error.http_status, str(error))
        return
    sending = asyncio.create_task(_send(socket, events, opened))
    hearing = asyncio.create_task(_until_gone(socket))
    try:
        await asyncio.wait({sending, hearing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, hearing):
            task.cancel()
        ended = await asyncio.gather(sending, hearing, return_exceptions=True)
    for why in ended:
        if isinstance(why, Exception) and not isinstance(why, WebSocketDisconnect):
            raise why


async def _send(socket: WebSocket, events: Events, opened: Opened) -> None:
    code, reason = _GOING_AWAY, "the server ends: resume with last_event_id"
    try:
        async with aclosing(events.follow(opened, for_ever=True)) as told:
            async for some in told:
                for one in some:
                    async with asyncio.timeout(PATIENCE_S):
                        await socket.send_text(one.text)
                    if one.event == messages.END:
                        code, reason = 1000, ""
    except TimeoutError:
        code, reason = _TOO_SLOW, "too slow: resume with last_event_id"
    except NexusError as error:
        code, reason = 4000 + error.http_status, str(error)
    await _close(socket, code, reason)


async def _until_gone(socket: WebSocket) -> None:
    """A client has nothing to say; what it says is dropped."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    cut = reason.encode()[:_REASON_BYTES].decode(errors="ignore")
    with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):  # it is gone, or takes nothing
        async with asyncio.timeout(1.0):
            await socket.close(code, cut)

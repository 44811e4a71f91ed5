"""What happens, as it happens: server-sent events of all items or of one, and a WebSocket of one.

Dependencies are `async` although they wait for nothing: others run in threads, and hundreds may connect at once.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, WebSocket
from starlette.requests import HTTPConnection

from nexus_api import problems
from nexus_api.deps import ItemIdPath
from nexus_api.events import Events
from nexus_api.streams import CURSOR, EventStream, cursor, talk
from nexus_pipeline.domain.items import LOCAL

router = APIRouter(tags=["events"], responses=problems.ANY)


async def _events(connection: HTTPConnection) -> Events:
    events: Events = connection.app.state.events
    return events


_LAST = "The id of the last event that was received: the stream goes on after it."
_FORM = {"pattern": CURSOR}


async def _cursor(
    header: Annotated[str | None, Header(alias="Last-Event-ID", description=_LAST, json_schema_extra=_FORM)] = None,
    last_event_id: Annotated[
        str | None, Query(description=f"{_LAST} The header counts more.", json_schema_extra=_FORM)
    ] = None,
) -> int | None:
    """A browser that connects again says in the header what is newer than the address that it was given."""
    return cursor(header or last_event_id)


EventsDep = Annotated[Events, Depends(_events)]
CursorDep = Annotated[int | None, Depends(_cursor)]


@router.get("/api/events", status_code=200, response_class=EventStream)
async def all_items(events: EventsDep, after: CursorDep) -> EventStream:
    """Every step and item from now on, or after an event: `step`, `item`, `reset`. Ends after minutes: resume."""
    return EventStream(events, await events.open(LOCAL, after))


@router.get("/api/media/{item_id}/events", status_code=200, response_class=EventStream, responses=problems.OF_ITEM)
async def one_item(item_id: ItemIdPath, events: EventsDep, after: CursorDep) -> EventStream:
    """How the item stands and what happens to it, with the segments as they are heard, until `end`."""
    return EventStream(events, await events.open(LOCAL, after, item_id))


@router.websocket("/ws/status/{item_id}")
async def status(socket: WebSocket, item_id: str, events: EventsDep, last_event_id: str | None = None) -> None:
    """The same messages of one item, as JSON: `{"id", "event", "data"}`."""
    await talk(socket, events, LOCAL, item_id, last_event_id)

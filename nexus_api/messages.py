"""What event streams say: lines of `changes` as messages, in the forms of SSE and of a WebSocket.

A message is made once and shared by all who hear it. One that tells of a window of speech is empty until somebody
reads the window (`events`), since most lines of that kind have no listener.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from fastapi.sse import format_sse_event

from nexus_api import shown
from nexus_api.shown import Json
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.listing import Change
from nexus_pipeline.domain.states import StepStatus
from nexus_pipeline.domain.timeline import Coverage, Segment, Transcript

STEP, ITEM, SEGMENTS, RESET, END = "step", "item", "segments", "reset", "end"
ERASED = "erased"
"""The last state that an item is said to have."""

RECONNECT_MS = 2_000
"""So long a browser waits before it connects again."""
AFTER_END_MS = 60_000
"""And after `end`, if it has not closed its stream by then."""


@dataclass(eq=False)
class Message:
    """One event. `id` is where a client resumes that has seen it: the line's, or None where it is not a line."""

    event: str
    data: Json | None
    id: int | None = None
    window: Change | None = None
    """The line of `changes` whose window is to be read into `data`."""
    reading: "asyncio.Future[None] | None" = None
    """Whoever reads it: the first who needs it."""

    @cached_property
    def sse(self) -> bytes:
        """As text/event-stream has it."""
        said = json.dumps(self.data, ensure_ascii=False, separators=(",", ":"))
        told = None if self.id is None else str(self.id)
        retry = AFTER_END_MS if self.event == END else None
        return format_sse_event(data_str=said, event=self.event, id=told, retry=retry)

    @cached_property
    def text(self) -> str:
        """As a WebSocket's message: the same in one JSON object."""
        told = {"id": self.id, "event": self.event, "data": self.data}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def of_line(line: Change) -> Message:
    """What a line says; its window is not read yet."""
    if line.kind == SEGMENTS:
        return Message(SEGMENTS, None, line.id, line)
    data: Json = {"item_id": line.item_id, "state": line.state, "at": shown.instant(line.at)}
    if line.kind == STEP:
        data |= {"step": line.step, "phase": line.phase, "progress": round(line.progress, 4)}
    return Message(line.kind, data, line.id)


def of_item(item: Item, at: int, windows: Iterable[Change] = ()) -> list[Message]:
    """The steps as they are now and what has been heard so far, for whoever has seen nothing; it goes on after `at`."""
    told = [Message(STEP, _step(item, step)) for step in item.steps]
    told += [Message(SEGMENTS, None, window=line) for line in windows]
    # the last one carries the cursor: who is cut off before it hears all of it again
    told.append(Message(ITEM, {"item_id": item.id, "state": "changed", "at": shown.instant(item.updated_at)}, at))
    return told


def segments(line: Change, heard: Sequence[Segment]) -> Json:
    """The contract's segments, of one window."""
    told = shown.transcript(line.item_id, Transcript(None, "", tuple(heard), Coverage(0.0, 0.0)))
    return {"item_id": line.item_id, "segments": told["segments"], "at": shown.instant(line.at)}


def reset(newest: int) -> Message:
    """The cursor leads nowhere (any more): the client starts anew from what it reads now, and goes on from here."""
    return Message(RESET, {"at": shown.instant(datetime.now(UTC))}, newest)


def end(item_id: str, state: str) -> Message:
    """Nothing more is to be expected soon."""
    return Message(END, {"item_id": item_id, "state": state, "at": shown.instant(datetime.now(UTC))})


def _step(item: Item, step: StepStatus) -> Json:
    at = step.ended_at or step.started_at or item.created_at
    told = {"item_id": item.id, "step": step.step, "state": step.state, "phase": step.phase}
    return told | {"progress": round(step.progress, 4), "at": shown.instant(at)}

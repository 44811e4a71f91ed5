"""Server-sent events as a client reads them: what they are called, and lines to events."""

import json
from collections.abc import Iterable, Iterator

from nexus_api.shown import Json

MEDIA_TYPE = "text/event-stream"
TOKEN, CITATION, DONE = "token", "citation", "done"
PROBLEM = "problem"
"""The event of an answer that could not be given, in place of `done`: a problem document."""


def read(lines: Iterable[str]) -> Iterator[tuple[str, Json]]:
    """Events out of a stream's lines, without their ends; comments are left out."""
    event, data = "message", ""
    for line in lines:
        if not line:
            if data:
                yield event, json.loads(data)
            event, data = "message", ""
        elif line.startswith("event:"):
            event = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            data += line.removeprefix("data:").removeprefix(" ")

"""Scenes: what can be seen, from second to second. No step looks for them yet, and whoever asks is told so."""

from typing import NoReturn

from pydantic import BaseModel

from nexus_api.local import Local
from nexus_pipeline.domain.errors import NotFound
from nexus_pipeline.domain.states import State


class Scene(BaseModel):
    """A timed picture."""

    n: int
    start_s: float
    end_s: float
    keyframe_url: str
    description: str | None
    text_in_picture: str | None
    objects: list[str]
    state: State


class Scenes(BaseModel):
    """Those of an item, in order of time."""

    items: list[Scene]
    next_cursor: str | None


def of(nexus: Local, item_id: str) -> NoReturn:
    """Raises NotFound: for an item that is not there, else saying that nobody has looked for scenes."""
    item = nexus.item(item_id)
    raise NotFound(f"item {item.id} has no scenes: this version of Nexus does not look at pictures yet")

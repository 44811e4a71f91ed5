"""Action items as the API takes and answers them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from nexus_api.schemas import ActionItem, Body, Text


class Changes(Body):
    """What a person changes; what is left out stays."""

    done: bool | None = None
    task: Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)] | None = None
    priority: Literal["low", "medium", "high"] | None = None
    assignee: Text | None = Field(None, description="Empty: nobody.")
    estimate: Text | None = Field(None, description="Empty: none.")


class Listing(Body):
    """A page of them over all items."""

    done: bool | None = Field(None, description="Only those that are, or are not; both if none is said.")
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, StringConstraints(max_length=2000)] | None = None


class Promise(ActionItem):
    """An action item with the item in which it was said."""

    item_id: str
    title: str


class Promises(BaseModel):
    """A page of them, those of the newest item first."""

    items: list[Promise]
    next_cursor: str | None

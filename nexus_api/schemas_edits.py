"""What people write over a transcript, as the API takes and answers it."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from nexus_api import schemas

Spoken = Annotated[str, StringConstraints(max_length=20_000, strip_whitespace=True)]


class SegmentPatch(schemas.Body):
    """A person's word on one segment of the transcript, named by its id; what is left out stays."""

    id: Annotated[int, Field(ge=0)]
    text: Spoken | None = Field(None, description="What was said; empty: nothing was; null takes a person's word back.")
    speaker: schemas.Label | None = Field(None, description="Who said it, by label or name; null takes it back.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not {"text", "speaker"} & self.model_fields_set:
            msg = "a segment wants text, speaker or both"
            raise ValueError(msg)
        return self


class Patch(schemas.Patch):
    """What a person changes, segments too."""

    segments: Annotated[list[SegmentPatch], Field(max_length=200)] | None = None


class Edit(BaseModel):
    """What a person wrote over a stretch of the transcript: what was said there (text), or who said it (speaker)."""

    start_s: float
    end_s: float
    what: Literal["text", "speaker"]
    old: str
    new: str
    at: schemas.Instant
    segments: list[int] = Field(description="Ids of the segments that it stands in; none: its place is gone.")


class Edits(BaseModel):
    """In the order in which they were written."""

    items: list[Edit]
    next_cursor: str | None

"""Who asks, what they may do and what they have here, as the API tells it."""

from typing import Literal

from pydantic import BaseModel, Field

from nexus_api.local import Local
from nexus_api.shown import Json


class Limits(BaseModel):
    """What is taken of one item at most."""

    max_bytes: int = Field(description="Of one file.")
    max_duration_s: float


class Used(BaseModel):
    """What there is of theirs; bytes as fetched."""

    items: int
    bytes: int
    duration_s: float


class Me(BaseModel):
    """Where nobody signs in (`auth` is none) everything is one owner's, who may do everything."""

    owner: str
    auth: Literal["none"]
    role: Literal["admin"]
    limits: Limits
    used: Used


def of(nexus: Local) -> Json:
    """For the owner who asks."""
    settings, used = nexus.parts.settings, nexus.parts.catalog.used(nexus.owner)
    return {
        "owner": nexus.owner,
        "auth": "none",
        "role": "admin",
        "limits": {"max_bytes": settings.max_bytes, "max_duration_s": settings.max_duration_s},
        "used": {"items": used.items, "bytes": used.bytes, "duration_s": round(used.duration_s, 3)},
    }

"""Who asks."""

from typing import Any

from fastapi import APIRouter

from nexus_api import me, problems
from nexus_api.deps import NexusDep

router = APIRouter(prefix="/api", tags=["me"], responses=problems.ANY)


@router.get("/me", response_model=me.Me)
def who(nexus: NexusDep) -> dict[str, Any]:
    """Who I am, what is taken of me at most, and what I have here."""
    return me.of(nexus)

"""How Nexus is: what runs and waits, what failed and why, what comes through, space, engines."""

from typing import Any

from fastapi import APIRouter

from nexus_api import overview, problems
from nexus_api.deps import NexusDep

router = APIRouter(prefix="/api", tags=["overview"], responses=problems.ANY)


@router.get("/overview", response_model=overview.Overview)
def how(nexus: NexusDep) -> dict[str, Any]:
    """All of it, as it is now."""
    return overview.of(nexus)

"""Engines, and which of their models are on the server's machine."""

from typing import Any

from fastapi import APIRouter

from nexus_api import models, problems
from nexus_api.deps import NexusDep

router = APIRouter(prefix="/api", tags=["models"], responses=problems.ANY)


@router.get("/models", response_model=models.Models)
def listed(nexus: NexusDep, *, check: bool = False) -> dict[str, Any]:
    """Every engine with its usual models; `check`: those that are there are compared with their digests."""
    return {"models": nexus.models(check=check)}

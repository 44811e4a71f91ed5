"""For machines: does it live, can it work."""

from fastapi import APIRouter

from nexus_api import problems, schemas
from nexus_api.deps import PartsDep

router = APIRouter(prefix="/health", tags=["health"], responses=problems.ANY)


@router.get("/live", response_model=schemas.Health)
def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@router.get("/ready", response_model=schemas.Health)
def ready(parts: PartsDep) -> dict[str, str]:
    """The stores answer, too. One that does not is a problem document with 503."""
    parts.catalog.pointer("ready")
    next(iter(parts.blobs.under("items/.ready/")), None)
    return {"status": "ready"}

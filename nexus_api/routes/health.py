"""For machines: does it live, can it work."""

from fastapi import APIRouter

from nexus_api.deps import PartsDep

router = APIRouter(prefix="/health")


@router.get("/live")
def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@router.get("/ready")
def ready(parts: PartsDep) -> dict[str, str]:
    """The catalog answers, too. A store that does not is a problem document with 503."""
    parts.catalog.counts()
    return {"status": "ready"}

"""Search: the moment at which something was said."""

from typing import Any

from fastapi import APIRouter, Request

from nexus_api import problems, schemas
from nexus_api.deps import NexusDep

router = APIRouter(prefix="/api", tags=["search"], responses=problems.ANY)


@router.post("/search", response_model=schemas.Found)
def search(told: schemas.Search, request: Request, nexus: NexusDep) -> dict[str, Any]:
    """Find passages by their words and by their meaning."""
    return nexus.search(
        told.query,
        mode=told.mode,
        limit=told.limit,
        offset=told.offset,
        filters=told.filters,
        site=str(request.base_url),
    )

"""Search: the moment at which something was said."""

from functools import partial
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request

from nexus_api import problems, schemas
from nexus_api.deps import NexusDep
from nexus_pipeline.wiring import cores

router = APIRouter(prefix="/api", tags=["search"], responses=problems.ANY)

AT_ONCE = max(2, cores())
"""Searches of a process side by side; others wait their turn, as each keeps a core busy. Without this a rush of them
took every thread that other routes have, and 600 MB where now it takes 370 (bench-api at 100,000 passages)."""


async def _turns(request: Request) -> CapacityLimiter:
    """Of this app, made where its event loop runs."""
    state = request.app.state
    if not hasattr(state, "searches"):
        state.searches = CapacityLimiter(AT_ONCE)
    turns: CapacityLimiter = state.searches
    return turns


@router.post("/search", response_model=schemas.Found)
async def search(
    told: schemas.Search, request: Request, nexus: NexusDep, turns: Annotated[CapacityLimiter, Depends(_turns)]
) -> dict[str, Any]:
    """Find passages by their words and by their meaning."""
    find = partial(
        nexus.search,
        told.query,
        mode=told.mode,
        limit=told.limit,
        offset=told.offset,
        filters=told.filters,
        site=str(request.base_url),
    )
    return await to_thread.run_sync(find, limiter=turns)

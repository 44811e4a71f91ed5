"""Search: the moment at which something was said; what one is offered while one types; one's own history."""

from functools import partial
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from nexus_api import problems, schemas
from nexus_api import schemas_searching as told_by
from nexus_api.deps import NexusDep
from nexus_pipeline.machine import cores

router = APIRouter(prefix="/api", tags=["search"], responses=problems.ANY)

AT_ONCE = max(2, cores())
"""Searches of a process side by side; others wait their turn, as each keeps a core busy. Without this a rush of them
took every thread that other routes have, and 600 MB where now it takes 370 (bench-api at 100,000 passages)."""


GONE = 499
"""As nginx counts requests whose client went away; nobody is told it."""


async def _turns(request: Request) -> CapacityLimiter:
    """Of this app, made where its event loop runs."""
    state = request.app.state
    if not hasattr(state, "searches"):
        state.searches = CapacityLimiter(AT_ONCE)
    turns: CapacityLimiter = state.searches
    return turns


SearchId = Annotated[int, Path(ge=1, lt=2**53, description="`search_id` of a search's answer.")]


@router.post("/search", response_model=told_by.Found)
async def search(
    told: told_by.Search, request: Request, nexus: NexusDep, turns: Annotated[CapacityLimiter, Depends(_turns)]
) -> Any:
    """Find passages by their words and by their meaning."""
    find = partial(
        nexus.search,
        told.query,
        mode=told.mode,
        limit=told.limit,
        offset=told.offset,
        filters=told.filters,
        group=told.group,
        merge=told.merge,
        site=str(request.base_url),
    )
    async with turns:
        if await request.is_disconnected():  # who has gone while waiting costs those behind nothing
            return Response(status_code=GONE)
        return await to_thread.run_sync(find)


@router.get("/suggest", response_model=told_by.Suggestions)
def suggest(
    nexus: NexusDep,
    q: Annotated[str, Query(max_length=200, description="What has been typed so far.")],
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> dict[str, Any]:
    """Titles, tags and speakers in which all words stand, the last one as a beginning."""
    return nexus.finding.suggest(q, limit)


@router.get("/searches", response_model=told_by.Searches)
def searches(nexus: NexusDep, told: Annotated[told_by.History, Query()]) -> dict[str, Any]:
    """What you have searched for, where that is kept (`NEXUS_HISTORY`)."""
    return nexus.finding.searches(told.view, told.limit, told.cursor)


@router.delete("/searches", response_model=schemas.Count)
def forget(nexus: NexusDep) -> dict[str, Any]:
    """All of your searches are forgotten; how many there were."""
    return nexus.finding.forget()


@router.post("/searches/{search_id}/opened", status_code=204, responses=problems.OF_ITEM)
def opened(search_id: SearchId, told: told_by.Opening, nexus: NexusDep) -> None:
    """A hit of it was opened: then the search is answered."""
    nexus.finding.opened(search_id, told.item_id, told.start_s)

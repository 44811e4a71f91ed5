"""What routes are given.

Both are `async` although they wait for nothing: else each request would wait for a thread before its route does.
"""

from typing import Annotated

from fastapi import Depends, Path, Request
from starlette.requests import HTTPConnection

from nexus_api.local import Local
from nexus_api.receiving import Passing
from nexus_pipeline.domain.items import LOCAL
from nexus_pipeline.wiring import Parts


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def owner_of(_connection: HTTPConnection) -> str:
    """Who asks: where nobody signs in there is one owner."""
    return LOCAL


async def _nexus(request: Request) -> Local:
    """For the owner who asks."""
    parts: Parts = request.app.state.parts
    return Local(parts.settings, parts=parts, owner=owner_of(request))


async def _passing(request: Request) -> Passing:
    passing: Passing = request.app.state.passing
    return passing


PartsDep = Annotated[Parts, Depends(_parts)]
NexusDep = Annotated[Local, Depends(_nexus)]
"""Nexus as the owner may see it: the one place where owners are enforced."""
PassingDep = Annotated[Passing, Depends(_passing)]
ItemIdPath = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9]+$", description="An item's id.")]

"""What routes are given.

Both are `async` although they wait for nothing: else each request would wait for a thread before its route does.
"""

from typing import Annotated

from fastapi import Depends, Path, Request

from nexus_api.local import Local
from nexus_pipeline.wiring import Parts


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


async def _nexus(request: Request) -> Local:
    """For the owner who asks: where nobody signs in there is one."""
    parts: Parts = request.app.state.parts
    return Local(parts.settings, parts=parts)


PartsDep = Annotated[Parts, Depends(_parts)]
NexusDep = Annotated[Local, Depends(_nexus)]
"""Nexus as the owner may see it: the one place where owners are enforced."""
ItemIdPath = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9]+$", description="An item's id.")]

"""What routes are given."""

from typing import Annotated

from fastapi import Depends, Request

from nexus_pipeline.wiring import Parts


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsDep = Annotated[Parts, Depends(_parts)]

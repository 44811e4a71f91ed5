"""An item's bytes: to play, to show, to keep."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from nexus_api import problems
from nexus_api.deps import ItemIdPath, NexusDep
from nexus_api.serving import file_of

_BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
_RANGES: dict[int | str, dict[str, Any]] = {
    200: {"description": "All of it.", **_BYTES},
    206: {"description": "The range that was asked for.", **_BYTES},
    304: {"description": "The client has this version."},
    307: {"description": "The store serves it itself, for an hour."},
}
router = APIRouter(
    prefix="/api/media",
    tags=["files"],
    responses=problems.ANY | problems.OF_ITEM | problems.BYTES | _RANGES,
    default_response_class=Response,
)


@router.get("/{item_id}/play", response_model=None)
@router.head("/{item_id}/play", response_model=None, include_in_schema=False)
def play(item_id: ItemIdPath, request: Request, nexus: NexusDep) -> Response:
    """What a browser can play, with ranges."""
    return file_of(nexus.item(item_id), "play", request, nexus.parts)


@router.get("/{item_id}/thumbnail", response_model=None)
@router.head("/{item_id}/thumbnail", response_model=None, include_in_schema=False)
def thumbnail(item_id: ItemIdPath, request: Request, nexus: NexusDep) -> Response:
    """A picture of it: WebP."""
    return file_of(nexus.item(item_id), "thumbnail", request, nexus.parts)


@router.get("/{item_id}/file", response_model=None)
@router.head("/{item_id}/file", response_model=None, include_in_schema=False)
def file(
    item_id: ItemIdPath,
    request: Request,
    nexus: NexusDep,
    which: Annotated[Literal["original", "speech"], Query()] = "original",
) -> Response:
    """The bytes as they came, or the 16 kHz speech that was heard."""
    return file_of(nexus.item(item_id), which, request, nexus.parts)

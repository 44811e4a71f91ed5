"""What comes in: addresses and files."""

from typing import Any

from fastapi import APIRouter, Request, Response

from nexus_api import links, problems, schemas
from nexus_api.deps import NexusDep, PassingDep
from nexus_api.problems import BadRequest
from nexus_api.resuming import Resuming
from nexus_api.shown import Json
from nexus_api.uploading import File, Form, Received, receive
from nexus_api.wishes import Process, said
from nexus_pipeline.machine import scratch

router = APIRouter(prefix="/api/media", tags=["adding"], responses=problems.ANY | problems.ADDING)

UPLOADS = frozenset({"/api/media/file", "/api/uploads"})
"""Routes that bound their bodies themselves."""
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "transcript": {"type": "string", "format": "binary", "description": "SRT, VTT or JSON."},
                        **File.model_json_schema(ref_template="#/components/schemas/{model}")["properties"],
                    },
                }
            }
        },
    }
}
_TWICE: dict[int | str, dict[str, Any]] = {
    200: {"model": schemas.Item, "description": "It was there already.", **links.after("/id")},
    202: links.after("/id"),
}


@router.post("/process", status_code=202, response_model=schemas.Item, responses=_TWICE | problems.RESUMING)
def process(told: Process, nexus: NexusDep, passing: PassingDep, response: Response) -> dict[str, Any]:
    """Take what is at an address, or an upload that has come whole. The same asked twice is the same item (200)."""
    if told.source != "url":
        return _answered(*Resuming(nexus, passing).process(told), response)
    if told.transcript is not None:
        raise BadRequest("transcript: an upload beside an upload; an address brings its own subtitles")
    return _answered(*nexus.add_url(told.data, said(told, nexus.owner)), response)


@router.post("/file", status_code=202, response_model=schemas.Item, responses=_TWICE, openapi_extra=_FORM)
async def file(request: Request, response: Response, nexus: NexusDep) -> dict[str, Any]:
    """Take a file. It streams to the disk; the same bytes sent twice are the same item (200)."""
    added: list[tuple[Json, bool]] = []

    def take(received: Received) -> None:
        added.append(nexus.add_file(received.offered, said(received.wishes, nexus.owner)))

    def form(folder: Any) -> Form:
        length = request.headers.get("content-length", "")
        kind = request.headers.get("content-type", "")
        most = nexus.parts.settings.max_bytes
        return Form(kind, int(length) if length.isdecimal() else -1, folder, most)

    await receive(request.stream(), form, scratch(nexus.parts.settings), take)
    return _answered(*added[0], response)


def _answered(item: Json, new: bool, response: Response) -> Json:  # noqa: FBT001  as it comes
    response.status_code = 202 if new else 200
    response.headers["location"] = f"/api/media/{item['id']}"
    return item

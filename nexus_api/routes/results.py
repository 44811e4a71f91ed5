"""What the steps found in an item: transcript, enrichment, scenes, items that share sound with it, peaks."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from nexus_api import problems, scenes, schemas, schemas_edits, voices
from nexus_api.deps import ItemIdPath, NexusDep
from nexus_api.finding import By
from nexus_api.local import Form

router = APIRouter(prefix="/api/media", tags=["results"], responses=problems.ANY | problems.OF_ITEM)

TYPES: dict[Form, str] = {
    "json": "application/json",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "txt": "text/plain",
    "md": "text/markdown",
}
_FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": schemas.Transcript,
        "content": {kind: {"schema": {"type": "string"}} for form, kind in TYPES.items() if form != "json"},
    }
}


@router.get("/{item_id}/transcript", responses=_FORMS, response_class=Response)
def transcript(
    item_id: ItemIdPath,
    nexus: NexusDep,
    format: Annotated[Form, Query()] = "json",  # noqa: A002  the parameter's name
    language: Annotated[
        schemas.Language | None, Query(description="A translation; the spoken language, if none is said.")
    ] = None,
) -> Response:
    """What was said; while it is being heard, what has been heard so far."""
    text = nexus.transcript(item_id, format, language)
    return Response(text, media_type=TYPES[format], headers={"cache-control": "private, no-cache"})


@router.get("/{item_id}/speakers", response_model=voices.Speakers)
def speakers(item_id: ItemIdPath, nexus: NexusDep) -> dict[str, Any]:
    """Who speaks and for how long, and who those without a name may be."""
    return nexus.speakers(item_id)


@router.get("/{item_id}/edits", response_model=schemas_edits.Edits)
def edits(
    item_id: ItemIdPath,
    nexus: NexusDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=20)] = None,
) -> dict[str, Any]:
    """What people wrote over the transcript, in the order in which they did, and where it stands now."""
    return nexus.edits(item_id, limit=limit, cursor=cursor)


@router.get("/{item_id}/enrichment", response_model=schemas.Enrichment)
def enrichment(item_id: ItemIdPath, nexus: NexusDep) -> dict[str, Any]:
    """What a model inferred from it."""
    return nexus.enrichment(item_id)


@router.get("/{item_id}/scenes", response_model=scenes.Scenes, name="scenes")
def seen(item_id: ItemIdPath, nexus: NexusDep) -> dict[str, Any]:
    """What can be seen, from second to second; as long as no step looks at pictures, a 404 that says so."""
    scenes.of(nexus, item_id)


@router.get("/{item_id}/similar", response_model=schemas.Similars)
def similar(
    item_id: ItemIdPath,
    nexus: NexusDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    by: Annotated[By, Query(description="What they share: sound, or what they say.")] = "sound",
) -> dict[str, Any]:
    """Items that share sound with it, and where; or the fifty that most say the like of it."""
    return nexus.similar(item_id, limit, by, cursor)


@router.get("/{item_id}/waveform", response_model=schemas.Waveform)
def waveform(
    item_id: ItemIdPath, nexus: NexusDep, points: Annotated[int, Query(ge=1, le=20_000)] = 1000
) -> dict[str, Any]:
    """Peaks for drawing."""
    return nexus.waveform(item_id, points)

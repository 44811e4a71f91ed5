"""Items: list, show, change, erase."""

from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Query

from nexus_api import links, problems, schemas, schemas_edits
from nexus_api.deps import ItemIdPath, NexusDep

router = APIRouter(prefix="/api/media", tags=["items"], responses=problems.ANY)

_ERASED = problems.OF_ITEM | {202: links.after("/item_id", "receipts_receipt", "items_item")}


@router.get("", response_model=schemas.Items, responses={200: links.after("/items/0/id")})
def page(nexus: NexusDep, told: Annotated[schemas.Listing, Query()]) -> dict[str, Any]:
    """A page of items, the newest first or by title. A cursor survives what is added meanwhile."""
    return nexus.page(**told.filters())


@router.get("/{item_id}", response_model=schemas.Item, responses=problems.OF_ITEM)
def item(item_id: ItemIdPath, nexus: NexusDep) -> dict[str, Any]:
    """One item, with its steps."""
    return nexus.get(item_id)


@router.patch("/{item_id}", response_model=schemas.Item, responses=problems.OF_ITEM)
def patch(item_id: ItemIdPath, told: schemas_edits.Patch, nexus: NexusDep) -> dict[str, Any]:
    """Change title, tags, names of speakers, or what was said in a segment and by whom; what a search finds follows."""
    given = told.model_dump(exclude_unset=True)  # null and left out are two things for a segment
    return nexus.patch(item_id, **{name: value for name, value in given.items() if value is not None})


@router.delete("/{item_id}", status_code=202, response_model=schemas.Erasing, responses=_ERASED)
def erase(item_id: ItemIdPath, nexus: NexusDep, later: BackgroundTasks) -> dict[str, Any]:
    """Gone from every answer at once; the receipt says when nothing of it is left."""
    nexus.bury(item_id)
    later.add_task(nexus.finish_erasing)
    return {"item_id": item_id, "receipt_url": f"/api/receipts/{item_id}"}

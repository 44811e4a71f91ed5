"""What was promised: open action items over all items, and ticking them."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from nexus_api import problems, schemas
from nexus_api.action_items import Changes, Listing, Promises
from nexus_api.deps import ItemIdPath, NexusDep

router = APIRouter(prefix="/api", tags=["action_items"], responses=problems.ANY)

Number = Annotated[int, Path(ge=1, lt=2**31, description="Its number within the item, as the enrichment tells it.")]


@router.get("/action_items", response_model=Promises)
def page(nexus: NexusDep, told: Annotated[Listing, Query()]) -> dict[str, Any]:
    """What was promised in all items, those of the newest item first. A duplicate's are told once, of its first."""
    return nexus.action_items(**told.model_dump())


@router.patch("/media/{item_id}/action_items/{n}", response_model=schemas.ActionItem, responses=problems.OF_ITEM)
def change(item_id: ItemIdPath, n: Number, told: Changes, nexus: NexusDep) -> dict[str, Any]:
    """Tick it or change it; runs that come later keep that."""
    return nexus.change_action_item(item_id, n, **told.model_dump(exclude_none=True))

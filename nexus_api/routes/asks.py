"""What people want done to items: retry, rerun, cancel."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from nexus_api import problems, schemas
from nexus_api.deps import ItemIdPath, NexusDep
from nexus_api.local import TOGETHER

router = APIRouter(prefix="/api", tags=["asks"], responses=problems.ANY | problems.OF_ITEM)


@router.post("/media/{item_id}/retry", status_code=202, response_model=schemas.Item)
def retry(item_id: ItemIdPath, nexus: NexusDep) -> dict[str, Any]:
    """Try again what failed, is blocked or was cancelled; what is done is not done again."""
    return nexus.ask("retry", [item_id])[0]


@router.post("/media/{item_id}/rerun", status_code=202, response_model=schemas.Item)
def rerun(
    item_id: ItemIdPath,
    nexus: NexusDep,
    from_step: Annotated[schemas.StepName | None, Query(alias="from", description="The first step, or all.")] = None,
) -> dict[str, Any]:
    """Do it again, even what is done."""
    return nexus.ask("rerun", [item_id], from_step)[0]


@router.post("/media/{item_id}/cancel", status_code=202, response_model=schemas.Item)
def cancel(item_id: ItemIdPath, nexus: NexusDep) -> dict[str, Any]:
    """Stop it; what has been done stays."""
    return nexus.ask("cancel", [item_id])[0]


@router.post("/asks", status_code=202, response_model=schemas.Count)
def many(told: schemas.AskMany, nexus: NexusDep) -> dict[str, int]:
    """The same for many items: these ids, or all that the filters name. No id must be unknown."""
    if (told.ids is None) == (told.filters is None):
        raise problems.BadRequest("say either `ids` or `filters`; empty filters name every item")
    if told.from_step and told.ask != "rerun":
        raise problems.BadRequest("`from_step` belongs to a rerun")
    if told.ids is not None:
        ids = list(dict.fromkeys(told.ids))
        nexus.all_there(ids)
        some = (ids[at : at + TOGETHER] for at in range(0, len(ids), TOGETHER))
        return {"count": sum(len(nexus.ask(told.ask, one, told.from_step)) for one in some)}
    assert told.filters is not None  # noqa: S101  looked at above
    asked = nexus.ask_all(told.ask, told.from_step, **told.filters.filters())
    return {"count": sum(len(one) for one in asked)}

"""Receipts: proof that an erased item is nowhere any more."""

from typing import Any

from fastapi import APIRouter

from nexus_api import problems, schemas
from nexus_api.deps import ItemIdPath, NexusDep

router = APIRouter(prefix="/api/receipts", tags=["receipts"], responses=problems.ANY | problems.OF_ITEM)


@router.get("/{item_id}", response_model=schemas.Receipt)
def receipt(item_id: ItemIdPath, nexus: NexusDep) -> dict[str, Any]:
    """What went with an item; `at` is null until nothing of it is left in any store."""
    return nexus.receipt(item_id)

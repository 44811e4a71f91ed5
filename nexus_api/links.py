"""Where one goes from an answer: the OpenAPI document's links, for people and for programs that follow them."""

from typing import Any

from fastapi.routing import APIRoute

OF_ITEM = (
    "items_item", "items_patch", "items_erase", "results_transcript", "results_enrichment", "results_scenes",
    "results_similar", "results_speakers", "results_waveform", "files_play", "files_thumbnail", "files_file",
    "asks_retry", "asks_rerun", "asks_cancel",
)  # fmt: skip
"""Operations that take an item's id."""


def operation_id(route: APIRoute) -> str:
    """`items_patch`: the part of the API and the route's own name."""
    return f"{route.tags[0] if route.tags else 'nexus'}_{route.name}"


def after(pointer: str, *operations: str) -> dict[str, Any]:
    """From an answer whose item's id is at this pointer."""
    told = {"parameters": {"item_id": f"$response.body#{pointer}"}}
    return {"links": {name: {"operationId": name, **told} for name in operations or OF_ITEM}}

"""Chat: questions, answers that prove themselves, and what was asked before."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from nexus_api import problems, schemas_chat
from nexus_api.answering import streaming
from nexus_api.answering.reading import MEDIA_TYPE
from nexus_api.deps import NexusDep

router = APIRouter(prefix="/api", tags=["chat"], responses=problems.ANY | problems.OF_ITEM)

ChatIdPath = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9]+$", description="A chat's id.")]
_EVENTS = "`token` {text, supported, citations}, `citation`, at last `done` with the body, or `problem`"
_AS_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "description": _EVENTS}}}}
}


@router.post("/chat", response_model=schemas_chat.Answer, responses=_AS_STREAM)
async def ask(told: schemas_chat.Ask, request: Request, nexus: NexusDep) -> Any:
    """Ask what was said. With `Accept: text/event-stream` the answer comes as events; going away stops it."""
    exchange = await run_in_threadpool(
        nexus.exchange,
        told.question,
        chat_id=told.chat_id,
        item_ids=told.item_ids,
        filters=told.filters,
        site=str(request.base_url),
    )
    if streaming.wants_stream(request.headers.get("accept")):
        return streaming.AnswerStream(exchange)
    return await streaming.whole(exchange, request.receive)


@router.get("/chats", response_model=schemas_chat.Chats)
def page(nexus: NexusDep, told: Annotated[schemas_chat.Listing, Query()]) -> dict[str, Any]:
    """Your chats, the one last spoken in first."""
    return nexus.chats(**told.model_dump())


@router.get("/chats/{chat_id}", response_model=schemas_chat.Conversation)
def messages(chat_id: ChatIdPath, nexus: NexusDep, told: Annotated[schemas_chat.Page, Query()]) -> dict[str, Any]:
    """A chat with its messages, in their order."""
    return nexus.chat_messages(chat_id, **told.model_dump())


@router.delete("/chats/{chat_id}", status_code=204, response_class=Response)
def forget(chat_id: ChatIdPath, nexus: NexusDep) -> None:
    """A chat and all that was said in it is gone."""
    nexus.forget_chat(chat_id)

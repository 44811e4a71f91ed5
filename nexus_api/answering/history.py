"""Chats and messages as the contract writes them."""

from dataclasses import asdict

from nexus_api.shown import Json, instant
from nexus_pipeline.domain.chats import Chat, Chats, Message, Sentence
from nexus_pipeline.ports import Catalog


def chats(told: Chats) -> Json:
    """A page of chats."""
    return {"items": [chat(one) for one in told.items], "next_cursor": told.next_cursor}


def chat(told: Chat) -> Json:
    """A chat without its messages."""
    return {
        "id": told.id,
        "title": told.title,
        "created_at": instant(told.created_at),
        "updated_at": instant(told.updated_at),
    }


def message(told: Message) -> Json:
    """The contract's message."""
    return {
        "n": told.n,
        "role": told.role,
        "text": told.text,
        "at": instant(told.at),
        "citations": [asdict(one) for one in told.citations],
        "item_ids": list(told.item_ids),
        "sentences": [sentence(one) for one in told.sentences],
        "refused": told.refused,
        "engine": told.engine,
        "ended": told.ended,
        "usage": None if told.usage is None else dict(told.usage),
    }


def sentence(told: Sentence) -> Json:
    """A sentence of an answer."""
    return {"text": told.text, "supported": told.supported, "citations": list(told.citations)}


def conversation(catalog: Catalog, owner: str, chat_id: str, limit: int, cursor: str | None) -> Json:
    """A chat with a page of its messages; a cursor is the place of the last one before. Raises NotFound."""
    found = catalog.messages(chat_id, owner, after=int(cursor or 0), limit=limit + 1)
    told = chat(catalog.chat(chat_id, owner))
    more = str(found[limit - 1].n) if len(found) > limit else None
    return {**told, "messages": [message(one) for one in found[:limit]], "more": more}

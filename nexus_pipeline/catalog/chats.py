"""Chats: a person's questions and the answers, kept until the person or an erased item takes them away."""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from nexus_pipeline.catalog.chat_tables import chats, message_items, messages
from nexus_pipeline.catalog.posts import forget_answers
from nexus_pipeline.catalog.store import Reading, Store, Writing
from nexus_pipeline.catalog.tables import EPOCH
from nexus_pipeline.domain.chats import USER, Chat, Citation, Message, Sentence, title_of
from nexus_pipeline.domain.chats import Chats as Page
from nexus_pipeline.domain.errors import BadInput, NotFound

LONGEST = 1000
"""Chats or messages on a page at most."""

_CHAT = (chats.c.id, chats.c.owner, chats.c.title, chats.c.created_at, chats.c.updated_at)
_TICK = timedelta(microseconds=1)


class Conversations(Store):
    """Each of them for its owner only: somebody else's is as if it were not there."""

    def chat(self, chat_id: str, owner: str) -> Chat:
        """One chat. Raises NotFound."""
        with self.reading() as r:
            return _chat(r, chat_id, owner)

    def chats(self, owner: str, *, limit: int = 50, cursor: str | None = None) -> Page:
        """The owner's, the one last spoken in first; at most 1,000. Raises BadInput for a cursor of another listing."""
        after = None if cursor is None else _opened(cursor)
        limit = min(max(limit, 1), LONGEST)
        with self.reading() as r:
            found = [Chat(*row) for row in r.db.execute(select(owner, after).limit(limit + 1))]
        return Page(tuple(found[:limit]), _cursor(found[limit - 1]) if len(found) > limit else None)

    def messages(self, chat_id: str, owner: str, *, after: int = 0, limit: int = LONGEST) -> list[Message]:
        """A chat's messages in their order, those behind a place. Raises NotFound."""
        with self.reading() as r:
            _chat(r, chat_id, owner)
            told = sa.select(messages).where(messages.c.chat_id == chat_id, messages.c.n > after)
            return [_message(row) for row in r.db.execute(told.order_by(messages.c.n).limit(min(limit, LONGEST)))]

    def last_messages(self, chat_id: str, owner: str, limit: int) -> list[Message]:
        """The newest so many, in their order. Raises NotFound."""
        with self.reading() as r:
            _chat(r, chat_id, owner)
            told = sa.select(messages).where(messages.c.chat_id == chat_id)
            found = r.db.execute(told.order_by(messages.c.n.desc()).limit(limit)).all()
        return [_message(row) for row in reversed(found)]

    def say(self, chat_id: str, owner: str, said: Sequence[Message], *, new: bool) -> Chat:
        """Add messages to a chat, which begins with them if it is new; the chat as it is then.

        What an answer quotes of an item that was erased meanwhile is left out. Raises NotFound for somebody else's
        chat, and for one that was deleted while its answer was being made.
        """
        with self.writing() as w:
            chat, last = _begun(w, chat_id, owner, said) if new else _goes_on(w, chat_id, owner)
            reached = sorted({item_id for one in said for item_id in one.reached})
            # locked: whoever buries one of them waits, and finds what is written here
            gone = set(reached) - set(w.items(reached, lock=True))
            for n, one in enumerate(said, last + 1):
                kept = one.without(gone) if gone & one.reached else one
                w.db.execute(
                    messages.insert(), {**_values(kept), "chat_id": chat_id, "owner": owner, "n": n, "at": w.at}
                )
                if kept.reached:
                    rows = [{"item_id": item_id, "chat_id": chat_id, "n": n} for item_id in sorted(kept.reached)]
                    w.db.execute(message_items.insert(), rows)
            return chat

    def forget_chat(self, chat_id: str, owner: str) -> None:
        """A chat goes with all its messages, and answers kept for posts, which repeat them. Raises NotFound."""
        with self.writing() as w:
            _chat(w, chat_id, owner)
            for table in (message_items, messages):
                w.db.execute(table.delete().where(table.c.chat_id == chat_id))
            w.db.execute(chats.delete().where(chats.c.id == chat_id))
            forget_answers(w, owner)


def select(owner: str, after: tuple[Any, str] | None) -> sa.Select[Any]:
    """The statement of a listing, in order, without limit."""
    key = (chats.c.updated_at, chats.c.id)
    told = sa.select(*_CHAT).where(chats.c.owner == owner).order_by(*(one.desc() for one in key))
    if after is None:
        return told
    there = (sa.literal(value, one.type) for value, one in zip(after, key, strict=True))
    return told.where(sa.tuple_(*key) < sa.tuple_(*there))


def unquote(w: Writing, item_id: str) -> int:
    """No answer has words of an item any more; how many rows went or were changed.

    What is left of an answer are sentences that stand on quotes of other items alone.
    """
    here = message_items.c.item_id == item_id
    places = w.db.execute(sa.select(message_items.c.chat_id, message_items.c.n).where(here)).all()
    for chat_id, n in places:
        of = (messages.c.chat_id == chat_id, messages.c.n == n)
        row = w.db.execute(sa.select(messages).where(*of).with_for_update()).one_or_none()
        if row is not None:
            left = _values(_message(row).without([item_id]))
            changed = {name: left[name] for name in ("text", "citations", "sentences")}
            w.db.execute(messages.update().where(*of).values(changed))
    w.db.execute(message_items.delete().where(here))
    return 2 * len(places)


def _chat(r: Reading, chat_id: str, owner: str) -> Chat:
    row = r.db.execute(sa.select(*_CHAT).where(chats.c.id == chat_id, chats.c.owner == owner)).one_or_none()
    if row is None:
        raise _missing(chat_id)
    return Chat(*row)


def _begun(w: Writing, chat_id: str, owner: str, said: Sequence[Message]) -> tuple[Chat, int]:
    first = next(one.text for one in said if one.role == USER)
    chat = Chat(chat_id, owner, title_of(first), w.at, w.at)
    w.db.execute(chats.insert(), asdict(chat))
    return chat, 0


def _goes_on(w: Writing, chat_id: str, owner: str) -> tuple[Chat, int]:
    """The chat and the place of its last message; locked, so that two answers do not take the same place."""
    own = (chats.c.id == chat_id, chats.c.owner == owner)
    if w.db.execute(chats.update().where(*own).values(updated_at=w.at)).rowcount == 0:
        raise _missing(chat_id)
    last = w.db.execute(sa.select(sa.func.max(messages.c.n)).where(messages.c.chat_id == chat_id)).scalar()
    return _chat(w, chat_id, owner), last or 0


def _missing(chat_id: str) -> NotFound:
    return NotFound(f"no chat {chat_id}: GET /api/chats lists those that are there; ask without one to begin a new one")


def _values(one: Message) -> dict[str, Any]:
    return {
        "role": one.role,
        "text": one.text,
        "item_ids": list(one.item_ids),
        "citations": _json(asdict(c) for c in one.citations),
        "sentences": _json(asdict(s) for s in one.sentences),
        "refused": one.refused,
        "engine": one.engine,
        "ended": one.ended,
        "usage": None if one.usage is None else dict(one.usage),
    }


def _message(row: Any) -> Message:
    return Message(
        role=row.role,
        text=row.text,
        item_ids=tuple(row.item_ids),
        citations=tuple(Citation(**told) for told in json.loads(row.citations)),
        sentences=tuple(
            Sentence(told["text"], told["supported"], tuple(told["citations"])) for told in json.loads(row.sentences)
        ),
        refused=row.refused,
        engine=row.engine,
        ended=row.ended,
        usage=row.usage,
        at=row.at,
        n=row.n,
    )


def _json(many: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(many), ensure_ascii=False)


def _cursor(chat: Chat) -> str:
    told = [(chat.updated_at - EPOCH) // _TICK, chat.id]
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


def _opened(cursor: str) -> tuple[Any, str]:
    try:
        at, chat_id = json.loads(base64.urlsafe_b64decode(cursor))
        if not (chat_id.isalnum() and chat_id.isascii()):
            raise ValueError(chat_id)  # noqa: TRY301 - as for what is no cursor in another way
        return EPOCH + timedelta(microseconds=at), chat_id
    except (ValueError, TypeError, AttributeError, OverflowError) as error:  # binascii's error is a ValueError
        raise BadInput("this cursor is none: begin without one") from error

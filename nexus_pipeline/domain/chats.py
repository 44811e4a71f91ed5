"""Chats: what people asked the archive, what it answered, and the quotes on which the answers stand. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

USER, ASSISTANT = "user", "assistant"
"""Who says a message."""
WHOLE, STOPPED = "whole", "stopped"
"""How an answer ended: to its end, or because somebody stopped it; else the code of the error that broke it off."""
DOES_NOT_SAY = "The archive does not say."
TITLE = 80
"""Characters of the first question that a chat is called by."""


@dataclass(frozen=True, slots=True)
class Citation:
    """Words that were said, and when: `n` stands in brackets behind what they prove."""

    n: int
    item_id: str
    start_s: float
    end_s: float
    quote: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer as it stands there, with the space before it; `citations`: those that stand."""

    text: str
    supported: bool
    citations: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One message. An answer's sentences together are its text, unless it refused."""

    role: str
    text: str
    item_ids: tuple[str, ...] = ()
    """What was asked about; nothing: everything."""
    citations: tuple[Citation, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    refused: bool = False
    engine: str | None = None
    ended: str = WHOLE
    usage: Mapping[str, Any] | None = None
    """What its engine reported: `tokens_in`, `tokens_out`."""
    reached: frozenset[str] = frozenset()
    """Items whose passages the engine was shown: with one of them goes what may be its words."""
    at: datetime | None = None
    """None until it is kept."""
    n: int = 0
    """Its place in the chat, from 1; 0 until it is kept."""

    def without(self, item_ids: Collection[str]) -> "Message":
        """What is left of an answer when items are erased: sentences that stand on quotes of other items alone."""
        left = {c.n for c in self.citations if c.item_id not in item_ids}
        sentences = tuple(s for s in self.sentences if s.supported and set(s.citations) <= left)
        used = {n for s in sentences for n in s.citations}
        return replace(
            self,
            text=DOES_NOT_SAY if self.refused else "".join(s.text for s in sentences).strip(),
            sentences=sentences,
            citations=tuple(c for c in self.citations if c.n in used),
            reached=self.reached - set(item_ids),
        )


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation of one owner, called by its first question."""

    id: str
    owner: str
    title: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Chats:
    """Some chats, and where to go on; None at the end."""

    items: tuple[Chat, ...]
    next_cursor: str | None


def title_of(question: str) -> str:
    """The first question as one line, cut at a word."""
    line = " ".join(question.split())
    if len(line) <= TITLE:
        return line
    cut = line[:TITLE].rsplit(" ", 1)[0] if " " in line[:TITLE] else line[: TITLE - 1]
    return f"{cut}…"

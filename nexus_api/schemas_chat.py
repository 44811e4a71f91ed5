"""Chat as the API takes and answers it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from nexus_api.schemas import Body, Hit, Instant, ItemId

ChatId = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9]+$")]


class Ask(Body):
    """A question."""

    question: Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"\S")]
    chat_id: ChatId | None = Field(None, description="The chat that goes on; without one a new one begins.")
    item_ids: Annotated[list[ItemId], Field(max_length=200)] = Field(
        default_factory=list,
        description="Only what was said in these; none: what the chat was about before, or everything.",
    )
    filters: dict[str, Any] = Field(default_factory=dict, description="As those of a search.")


class Citation(BaseModel):
    """Words that were said, and when; `n` stands in brackets behind what they prove."""

    n: int
    item_id: str
    start_s: float
    end_s: float
    quote: str


class Sentence(BaseModel):
    """A sentence of an answer, with the space before it; together they are the answer."""

    text: str
    supported: bool = Field(description="Every claim of it stands on a citation that holds.")
    citations: list[int] = Field(description="Numbers of the citations that hold.")


class Usage(BaseModel):
    """What an engine reported."""

    tokens_in: int | None = None
    tokens_out: int | None = None


class Answer(BaseModel):
    """An answer, of which everything that is marked as supported was compared with what was said."""

    chat_id: str
    answer: str
    citations: list[Citation]
    refused: bool = Field(description="The archive does not say.")
    sentences: list[Sentence]
    nearest: list[Hit] = Field(description="The nearest passages, where nothing of the answer is proven.")
    looked_for: str = Field(description="The question as it was looked for: a follow-up question stands alone here.")
    engine: str | None
    because: str | None = Field(description="Why not the engines before it.")
    ended: str = Field(description="`whole`, `stopped`, or the code of the error that broke it off.")
    usage: Usage | None
    took_ms: float


class Message(BaseModel):
    """One message of a chat."""

    n: int
    role: Literal["user", "assistant"]
    text: str
    at: Instant
    citations: list[Citation]
    item_ids: list[str]
    sentences: list[Sentence]
    refused: bool
    engine: str | None
    ended: str
    usage: Usage | None


class Chat(BaseModel):
    """A chat, called by its first question."""

    id: str
    title: str
    created_at: Instant
    updated_at: Instant


class Chats(BaseModel):
    """A page of chats, the one last spoken in first."""

    items: list[Chat]
    next_cursor: str | None


class Conversation(Chat):
    """A chat and a page of its messages, in their order."""

    messages: list[Message]
    more: str | None = Field(description="The cursor of the messages behind these; null at the end.")


class Listing(Body):
    """A page of chats."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, StringConstraints(max_length=2000)] | None = None


class Page(Body):
    """A page of messages."""

    limit: Annotated[int, Field(ge=1, le=200)] = 200
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")] | None = None

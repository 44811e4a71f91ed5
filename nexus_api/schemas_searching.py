"""What searches, suggestions and one's own history take and answer."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from nexus_api.schemas import Body, Hit, Instant, ItemId


class Search(Body):
    """A search."""

    query: Annotated[str, StringConstraints(min_length=1, max_length=1000)] = Field(
        description='Words; "phrases in quotes" must stand there so, -words and -"phrases" must not. A last word with '
        "nothing behind it may still be being typed."
    )
    limit: Annotated[int, Field(ge=1, le=200)] = 10
    offset: Annotated[int, Field(ge=0, le=1000)] = 0
    mode: Literal["hybrid", "words", "meaning"] = "hybrid"
    filters: dict[str, Any] = Field(
        default_factory=dict,
        description="Field to value, list of values (one of them), or `gte` and `lt`; all fields must hold.",
    )
    group: Literal["item"] | None = Field(
        None, description="The best hits of an item together; limit and offset then count items."
    )
    merge: bool = Field(
        True,  # noqa: FBT003 - its default
        description="Passages that follow one another and are found alike are one hit, which begins with the first.",
    )


class Group(BaseModel):
    """The best hits of an item, best first, and how many more there are."""

    item_id: str
    title: str
    hits: list[Hit]
    more: int


class Found(BaseModel):
    """What a search finds; total and facets count the fused top 1,000. Grouped, `hits` are the best of each group."""

    hits: list[Hit]
    groups: list[Group] | None
    facets: dict[str, dict[str, int]]
    total: int
    total_is_bound: bool
    took_ms: float
    search_id: int | None = Field(description="Its number in the history, where one is kept.")


class Suggestion(BaseModel):
    """A title, a tag or a speaker, and an item that has it."""

    kind: Literal["title", "tag", "speaker"]
    text: str
    item_id: str


class Suggestions(BaseModel):
    """What begins like what was typed."""

    items: list[Suggestion]


class OpenedHit(BaseModel):
    """A hit that was opened."""

    item_id: str
    start_s: float
    at: Instant


class Searched(BaseModel):
    """A search of before: what was asked, how many passages were found, which hits were opened."""

    id: int | None = Field(description="Null in the view of what is frequent.")
    query: str
    count: int = Field(description="How often it was asked.")
    mode: str | None
    filters: dict[str, Any]
    hits: int
    took_ms: float | None
    opened: list[OpenedHit]
    opened_count: int = Field(description="Of items that are erased since, too.")
    at: Instant


class Searches(BaseModel):
    """A page of one's own history."""

    items: list[Searched]
    next_cursor: str | None


class History(Body):
    """Which part of it."""

    view: Literal["all", "unanswered", "frequent"] = Field(
        "all", description="`unanswered`: no hit was opened; `frequent`: asked more than once, the most frequent first."
    )
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, StringConstraints(max_length=2000)] | None = None


class Opening(Body):
    """The hit that was opened."""

    item_id: ItemId
    start_s: Annotated[float, Field(ge=0, lt=10_000_000)] = 0.0

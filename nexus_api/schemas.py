"""What the API takes and answers, as types: the contract's section 4, for checking and for the OpenAPI document."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from nexus_pipeline.domain.items import Kind, Priority
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.domain.timeline import Doubt

ItemId = Annotated[str, StringConstraints(max_length=64)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]
Tags = Annotated[list[Tag], Field(max_length=100)]
Vocabulary = Annotated[list[Tag], Field(max_length=200, description="Names and jargon that may be said.")]
Text = Annotated[str, StringConstraints(max_length=200)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Name = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True)]
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$")]
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
StepName = Literal["raw", "fingerprint", "transcript", "speakers", "translation", "enrichment", "embedding"]
"""A test compares them with the chain's."""


class Body(BaseModel):
    """What a request says: a field that nobody knows is a mistake, not ignored."""

    model_config = ConfigDict(extra="forbid")


class Wishes(Body):
    """What a person says of what they add."""

    title: Title | None = None
    tags: Tags = []
    language: Language | None = None
    prompt: Annotated[str, StringConstraints(max_length=1000)] | None = Field(
        None, description="What the speech engine is told before it listens."
    )
    vocabulary: Vocabulary = []
    priority: Priority = Priority.NORMAL
    engines: Annotated[dict[str, Annotated[str, StringConstraints(max_length=200)]], Field(max_length=20)] = {}


class Patch(Body):
    """What a person changes; what is left out stays."""

    title: Title | None = None
    tags: Tags | None = None
    speakers: Annotated[dict[Label, Name | None], Field(max_length=100)] | None = None
    """Names by the transcript's labels; null takes a name away, labels left out stay."""


class Filters(Body):
    """Which items: those of the listing."""

    state: Annotated[list[ItemState], Field(max_length=10, description="Several: any of them.")] = []
    tag: Text | None = None
    source: Text | None = None
    platform: Text | None = None
    kind: Kind | None = None
    language: Text | None = None
    category: Text | None = None
    sentiment: Text | None = None
    exhausted: bool | None = Field(None, description="Failed for what may pass, and tried no more by itself.")
    q: Text | None = Field(None, description="Any part of the title's first 200 characters.")

    def filters(self) -> dict[str, Any]:
        """As the listing takes them."""
        told = self.model_dump(exclude_none=True)
        states, ids = tuple(told.pop("state")), tuple(told.pop("id", ()))
        return {**told, "states": states, "ids": ids}


class Listing(Filters):
    """A page of a listing."""

    id: Annotated[list[Text], Field(max_length=200, description="Whole ids, or what they begin with.")] = []
    sort: Literal["created_at", "title"] = "created_at"
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, StringConstraints(max_length=2000)] | None = None


class AskMany(Body):
    """An ask for many items: these, or all that the filters name."""

    ask: Literal["retry", "rerun", "cancel"]
    ids: Annotated[list[ItemId], Field(max_length=10_000)] | None = None
    filters: Filters | None = None
    from_step: StepName | None = Field(None, description="Of a rerun: the first step that is done again.")


# ---------------------------------------------------------------- answers


class StepError(BaseModel):
    """Why a step failed or waits."""

    code: str
    message: str | None
    retryable: bool
    next_attempt_at: Instant | None


class Step(BaseModel):
    """How far an item is in one step."""

    step: str
    state: State
    phase: str | None
    reason: str | None
    progress: Annotated[float, Field(ge=0, le=1)]
    attempt: int
    error: StepError | None
    engine: str | None
    seconds: float | None
    cost: float | None
    run_id: str | None
    started_at: Instant | None
    ended_at: Instant | None


class Item(BaseModel):
    """One piece of media."""

    id: str
    title: str
    kind: Kind | None
    source: str
    platform: str
    origin: str
    filename: str | None
    bytes: int | None
    duration_s: float | None
    width: int | None
    height: int | None
    fps: float | None
    channels: int | None
    language: str | None
    author: str | None
    description: str | None
    published_at: Instant | None
    state: ItemState
    duplicate_of: str | None
    tags: list[str]
    summary: str | None
    category: str | None
    sentiment: str | None
    priority: Priority
    created_at: Instant
    updated_at: Instant
    steps: list[Step]


class Items(BaseModel):
    """A page of items."""

    items: list[Item]
    next_cursor: str | None


class Word(BaseModel):
    """One timed word."""

    start_s: float
    end_s: float
    text: str


class Segment(BaseModel):
    """A stretch of speech."""

    id: int
    start_s: float
    end_s: float
    speaker: str | None
    text: str
    words: list[Word]
    language: str | None = Field(description="Where it is another one than the transcript's.")
    doubtful: bool = Field(description="A finding lies over it.")
    edited: bool = Field(description="A person wrote its text.")


class Finding(BaseModel):
    """A span that may be wrong, and why."""

    doubt: Doubt
    start_s: float
    end_s: float


class Coverage(BaseModel):
    """Seconds with a voice in them, seconds that became text, spans that were heard again, what is still in doubt."""

    voiced_s: float
    transcribed_s: float
    repaired: list[tuple[float, float]]
    findings: list[Finding]


class Transcript(BaseModel):
    """What was said, in the spoken language or in another one."""

    item_id: str
    language: str | None
    languages: Annotated[list[str], Field(description="All that there are: the spoken one, then translations.")]
    engine: str
    coverage: Coverage
    speakers: dict[str, str]
    segments: list[Segment]


class Sentiment(BaseModel):
    """From -1 to 1."""

    label: str
    score: float


class Chapter(BaseModel):
    """A titled stretch."""

    start_s: float
    end_s: float
    title: str


class ActionItem(BaseModel):
    """What somebody said they would do."""

    n: int
    task: str
    priority: str
    at_s: float
    context: str
    assignee: str | None
    estimate: str | None
    done: bool


class Entity(BaseModel):
    """Somebody or something that is named: `kind` is person, organization, name (which, nobody knows) or date."""

    name: str
    kind: str
    at_s: float | None


class SpeakerName(BaseModel):
    """Who a speaker seems to be, and the words that show it: a proposal."""

    label: str
    name: str
    quote: str
    at_s: float


class Enrichment(BaseModel):
    """What a model inferred."""

    summary: str
    summary_long: str
    topics: list[str]
    tags: list[str]
    category: str
    sentiment: Sentiment
    chapters: list[Chapter]
    action_items: list[ActionItem]
    entities: list[Entity]
    suggested_title: str
    engine: str
    speakers: list[SpeakerName]


class Stretch(BaseModel):
    """The same sound: from here to there of this item, from here to there of the other."""

    start_s: float
    end_s: float
    other_start_s: float
    other_end_s: float


class Similar(BaseModel):
    """An item that shares sound with this one, or (`meaning`) says the like of it.

    Of an excerpt, `excerpt_id` is the one of the two that is it; `likeness` is told of meaning only, at most 1.
    """

    item_id: str
    title: str
    relation: Literal["duplicate", "excerpt", "shared", "meaning"]
    excerpt_id: str | None
    seconds: float
    stretches: list[Stretch]
    likeness: float | None = None


class Similars(BaseModel):
    """Copies first, then excerpts, then shared stretches; by meaning, the most alike first."""

    items: list[Similar]
    next_cursor: str | None


class Waveform(BaseModel):
    """Peaks for drawing, 0 to 1, evenly over the item's length."""

    item_id: str
    duration_s: float
    peaks: list[float]


class Hit(BaseModel):
    """A found passage."""

    item_id: str
    title: str
    kind: str
    start_s: float
    end_s: float
    text: str
    highlights: list[tuple[int, int]]
    speaker: str | None
    language: str | None
    tags: list[str]
    score: float
    play_url: str
    thumbnail_url: str | None


class Count(BaseModel):
    """How many items an ask concerns."""

    count: int


class Erasing(BaseModel):
    """The item is in no answer any more; its receipt says when nothing of it is left anywhere."""

    item_id: str
    receipt_url: str


class Erased(BaseModel):
    """How much went."""

    blobs: int
    rows: int
    passages: int
    versions: int


class Receipt(BaseModel):
    """An item was erased; `at` is null until the last old version of a table is cleaned."""

    item_id: str
    erased: Erased
    at: Instant | None


class Health(BaseModel):
    """For machines."""

    status: str

"""What was said when: words, segments, transcripts. Times are seconds from the item's start."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Word:
    """One timed word."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech by one speaker."""

    id: int
    start_s: float
    end_s: float
    text: str
    speaker: str | None = None
    words: tuple[Word, ...] = ()

    def shifted(self, by_s: float) -> "Segment":
        """The same, later by so many seconds."""
        return replace(
            self,
            start_s=self.start_s + by_s,
            end_s=self.end_s + by_s,
            words=tuple(replace(w, start_s=w.start_s + by_s, end_s=w.end_s + by_s) for w in self.words),
        )


@dataclass(frozen=True, slots=True)
class Coverage:
    """Seconds with a voice in them against seconds that became text."""

    voiced_s: float
    transcribed_s: float
    repaired: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """All segments of an item, in order of time."""

    language: str | None
    engine: str
    segments: tuple[Segment, ...]
    coverage: Coverage
    speakers: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All of it, a segment a line."""
        return "\n".join(s.text for s in self.segments)


@dataclass(frozen=True, slots=True)
class Window:
    """What an engine heard between two pauses: `start_s` to `end_s` of the item."""

    start_s: float
    end_s: float
    segments: tuple[Segment, ...]
    voiced_s: float
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Chapter:
    """A titled stretch of an item."""

    start_s: float
    end_s: float
    title: str


@dataclass(frozen=True, slots=True)
class ActionItem:
    """Something that somebody said they would do."""

    n: int
    task: str
    priority: str
    at_s: float
    context: str
    assignee: str | None = None
    estimate: str | None = None
    done: bool = False


@dataclass(frozen=True, slots=True)
class Sentiment:
    """`label` is negative, neutral or positive; `score` runs from -1 to 1."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Enrichment:
    """What a model infers from a transcript."""

    summary: str
    summary_long: str
    topics: tuple[str, ...]
    tags: tuple[str, ...]
    category: str
    sentiment: Sentiment
    chapters: tuple[Chapter, ...]
    action_items: tuple[ActionItem, ...]
    entities: tuple[dict[str, str], ...]
    suggested_title: str
    engine: str

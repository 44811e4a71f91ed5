"""What was said when: words, segments, transcripts. Times are seconds from the item's start."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

Span = tuple[float, float]
"""From and to, in seconds."""


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
    language: str | None = None
    """Where it is another one than the transcript's."""
    log_probability: float | None = None
    """The mean over its tokens (0 is certain), where the engine gives it."""
    edited: bool = False
    """A person wrote what stands in it (edits.py)."""

    def shifted(self, by_s: float) -> "Segment":
        """The same, later by so many seconds."""
        return replace(
            self,
            start_s=self.start_s + by_s,
            end_s=self.end_s + by_s,
            words=tuple(replace(w, start_s=w.start_s + by_s, end_s=w.end_s + by_s) for w in self.words),
        )


class Doubt(StrEnum):
    """Why a span of a transcript may be wrong."""

    UNHEARD = "unheard"
    LOOP = "loop"
    FAST = "fast"
    SLOW = "slow"
    JUMP = "jump"
    SILENT = "silent"
    FLIP = "flip"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Finding:
    """A span that may be wrong, and why."""

    doubt: Doubt
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """Seconds with a voice in them against seconds that became text."""

    voiced_s: float
    transcribed_s: float
    repaired: tuple[Span, ...] = ()
    """Spans that were heard again and better."""
    findings: tuple[Finding, ...] = ()
    """What is still in doubt."""

    def shifted(self, by_s: float) -> "Coverage":
        """The same, later by so many seconds."""
        return replace(
            self,
            repaired=tuple((a + by_s, b + by_s) for a, b in self.repaired),
            findings=tuple(replace(f, start_s=f.start_s + by_s, end_s=f.end_s + by_s) for f in self.findings),
        )

    def doubts(self, segment: Segment) -> bool:
        """Whether a segment, or a part of it, is still in doubt."""
        return any(f.start_s < segment.end_s and segment.start_s < f.end_s for f in self.findings)


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
    voiced: tuple[Span, ...] = ()
    """Where somebody speaks, of an engine that knows: without it nobody can tell what it left out."""


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
class Entity:
    """Somebody or something that is named; `kind` is person, organization, name (which, nobody knows) or date."""

    name: str
    kind: str
    at_s: float | None = None
    """When it was first named; None where that was not kept."""


@dataclass(frozen=True, slots=True)
class SpeakerName:
    """Who a speaker seems to be, and what was said that shows it: a proposal."""

    label: str
    name: str
    quote: str
    at_s: float


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
    entities: tuple[Entity, ...]
    suggested_title: str
    engine: str
    speakers: tuple[SpeakerName, ...] = ()

    def shifted(self, by_s: float, until_s: float) -> "Enrichment":
        """The same, later by so many seconds; only what lies between 0 and `until_s` then."""

        def inside(at_s: float) -> bool:
            return 0 <= at_s + by_s < until_s

        def later(at_s: float) -> float:
            return round(at_s + by_s, 3)

        chapters = (
            replace(c, start_s=max(later(c.start_s), 0.0), end_s=min(later(c.end_s), until_s)) for c in self.chapters
        )
        named = (e for e in self.entities if e.at_s is None or inside(e.at_s))
        return replace(
            self,
            chapters=tuple(c for c in chapters if c.start_s < c.end_s),
            action_items=tuple(replace(a, at_s=later(a.at_s)) for a in self.action_items if inside(a.at_s)),
            entities=tuple(e if e.at_s is None else replace(e, at_s=later(e.at_s)) for e in named),
            speakers=tuple(replace(s, at_s=later(s.at_s)) for s in self.speakers if inside(s.at_s)),
        )

"""A transcript as lines for a language model, cut into overlapping parts where it is longer than the model's window."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nexus_pipeline.domain.sentences import Sentence, sentences
from nexus_pipeline.domain.timeline import Segment
from nexus_pipeline.engines.fences import line, tokens

OVERLAP = 0.05
"""Of a part's tokens, which the next part begins with again: who was meant by "she" is said there."""
LONGEST = 2000
"""Letters of a segment that is one line; a longer one is cut into its sentences."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a transcript, as it is shown, and what it is."""

    segment: Segment
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Part:
    """Lines that fit into the window; `seen_s` is where the part before it ended, 0 for the first."""

    lines: Sequence[Line]
    seen_s: float

    @property
    def text(self) -> str:
        """All of them."""
        return "\n".join(one.text for one in self.lines)

    @property
    def tokens(self) -> int:
        """About how many it costs."""
        return sum(one.tokens for one in self.lines)

    @property
    def sentences(self) -> list[Sentence]:
        """What its quotes are looked up in."""
        return list(sentences(one.segment for one in self.lines))


def parts(segments: Sequence[Segment], limit: int, names: Mapping[str, str]) -> list[Part]:
    """Parts of at most `limit` tokens, cut between segments, every line in at least one of them; at least one part.

    `names`: what speakers are called, by their labels; one without a name is shown by its label.
    """
    found: list[Part] = []
    taken: list[Line] = []
    weight, fresh = 0, 0
    seen_s = 0.0
    for one in _lines(segments, names):
        if fresh and weight + one.tokens > limit:
            found.append(Part(tuple(taken), seen_s))
            seen_s = taken[-1].segment.end_s
            taken = _tail(taken, int(limit * OVERLAP), limit - one.tokens)
            weight, fresh = sum(t.tokens for t in taken), 0
        taken.append(one)
        weight, fresh = weight + one.tokens, fresh + 1
    return [*found, Part(tuple(taken), seen_s)]


def _tail(lines: Sequence[Line], wanted: int, most: int) -> list[Line]:
    """The last lines, so many tokens or a little fewer."""
    kept: list[Line] = []
    weight = 0
    for one in reversed(lines):
        weight += one.tokens
        if weight > min(wanted, most):
            break
        kept.insert(0, one)
    return kept


def _lines(segments: Sequence[Segment], names: Mapping[str, str]) -> Iterator[Line]:
    for segment in segments:
        for piece in _pieces(segment):
            said = line(piece.text)
            if not any(c.isalnum() for c in said):
                continue
            who = f"{line(names.get(piece.speaker, piece.speaker))}: " if piece.speaker else ""
            text = f"[{piece.start_s:.1f}] {who}{said}"
            yield Line(piece, text, tokens(text) + 1)


def _pieces(segment: Segment) -> Iterator[Segment]:
    if len(segment.text) <= LONGEST:
        yield segment
        return
    for one in sentences([segment]):
        yield Segment(segment.id, one.start_s, one.end_s, one.text, segment.speaker)

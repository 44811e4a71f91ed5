"""How two items sound alike."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stretch:
    """The same sound in two items: where it lies in this one, and where in the other; seconds."""

    start_s: float
    end_s: float
    other_start_s: float
    other_end_s: float

    @property
    def turned(self) -> "Stretch":
        """The same, seen from the other."""
        return Stretch(self.other_start_s, self.other_end_s, self.start_s, self.end_s)

    def moved(self, by_s: float = 0.0, other_by_s: float = 0.0) -> "Stretch":
        """The same in seconds that are counted from elsewhere."""
        return Stretch(
            self.start_s + by_s, self.end_s + by_s, self.other_start_s + other_by_s, self.other_end_s + other_by_s
        )


@dataclass(frozen=True, slots=True)
class Match:
    """How two fingerprints, `a` and `b`, lie on each other.

    `relation` is `duplicate` (one alignment covers >= 0.85 of both), `excerpt` (all stretches together cover as much of
    the shorter), `shared` (stretches of both) or None; with None every number is 0 but the error rate, which is 1.
    `offset_s` is where in `a` the beginning of `b` lies: time_in_a = time_in_b + offset_s; with several alignments,
    that of the one which covers most. It is negative where `b` begins before `a` does. `error_rate` is the share of
    bits that differ where they match. The coverages are fractions of what can be compared: silence and steady tones
    count for neither. `stretches`, in order of time in `a`, are seen from `a`. `excerpt` says which is one: `a` or `b`.
    """

    relation: str | None = None
    offset_s: float = 0.0
    error_rate: float = 1.0
    coverage_a: float = 0.0
    coverage_b: float = 0.0
    stretches: tuple[Stretch, ...] = ()
    excerpt: str | None = None


RELATIONS = ("duplicate", "excerpt", "shared")
"""How two items can be related by their sound, the closest first."""


@dataclass(frozen=True, slots=True)
class Related:
    """Another item that shares sound with one, seen from that one.

    `relation` is `duplicate`, `excerpt` or `shared`; of an excerpt, `excerpt_id` is the one of the two that is it.
    `stretches` are in order of time, the longest 20 where there are more; none where neither has any sound.
    """

    other_id: str
    relation: str
    stretches: tuple[Stretch, ...] = ()
    excerpt_id: str | None = None

    @property
    def seconds(self) -> float:
        """How much they share."""
        return sum(s.end_s - s.start_s for s in self.stretches)

    @property
    def rank(self) -> tuple[int, float, str]:
        """Its place in a list, the least first: copies, excerpts, then the rest; of each kind those that share most."""
        return RELATIONS.index(self.relation), -self.seconds, self.other_id


def longest(stretches: Iterable[Stretch], most: int) -> tuple[Stretch, ...]:
    """At most so many of them, the longest, in order of time."""
    kept = sorted(stretches, key=lambda s: (s.start_s - s.end_s, s.start_s))[:most]
    return tuple(sorted(kept, key=lambda s: (s.start_s, s.other_start_s)))

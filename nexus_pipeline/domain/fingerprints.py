"""How two items sound alike."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Match:
    """How two fingerprints lie on each other: `b` starts `offset_s` later than `a`... seconds and fractions.

    `relation` is `duplicate` (covers >= 0.85 of both), `excerpt` (of the shorter), `shared` or None.
    """

    relation: str | None
    offset_s: float
    error_rate: float
    coverage_a: float
    coverage_b: float
    start_a_s: float
    end_a_s: float

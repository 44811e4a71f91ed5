"""How two items sound alike."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Match:
    """How two fingerprints, `a` and `b`, lie on each other.

    `offset_s` is where in `a` the beginning of `b` lies: time_in_a = time_in_b + offset_s. It is negative where `b`
    begins before `a` does. `relation` is `duplicate` (covers >= 0.85 of both), `excerpt` (of the shorter), `shared`
    (a stretch of both) or None; with None every number is 0 but the error rate, which is 1. `error_rate` is the share
    of bits that differ where they match. The coverages are fractions of what can be compared: silence and steady tones
    count for neither. `start_a_s` to `end_a_s` is the stretch of `a` that matches, seconds.
    """

    relation: str | None
    offset_s: float
    error_rate: float
    coverage_a: float
    coverage_b: float
    start_a_s: float
    end_a_s: float

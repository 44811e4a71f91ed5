"""What engines say that their calls took, added up: tokens, never prices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens in (question, sound, texts) and out (answer, thoughts); None where the engine reports none."""

    tokens_in: int | None = None
    tokens_out: int | None = None

    def __add__(self, other: "Usage") -> "Usage":
        """Both together; what only one of the two reports counts as it is."""
        return Usage(_sum(self.tokens_in, other.tokens_in), _sum(self.tokens_out, other.tokens_out))

    @property
    def numbers(self) -> Mapping[str, int]:
        """Those that were reported, by name."""
        told = {"tokens_in": self.tokens_in, "tokens_out": self.tokens_out}
        return {name: tokens for name, tokens in told.items() if tokens is not None}


class Meter:
    """Adds up the usage of all that is made with it, also of calls that failed or were refused, from any thread."""

    def __init__(self) -> None:
        """Nothing was reported yet."""
        self._lock = Lock()
        self._usage = Usage()

    def __call__(self, used: Usage) -> None:
        """One call more."""
        with self._lock:
            self._usage += used

    @property
    def usage(self) -> Usage:
        """All of it so far."""
        return self._usage


def shares(usage: Usage, weights: Sequence[int]) -> list[Usage]:
    """What was used together, by weight; the shares' sum is the whole."""
    total = sum(weights)
    if not total:
        return [usage if n == 0 else Usage() for n in range(len(weights))]
    parts = [_cut(tokens, weights, total) for tokens in (usage.tokens_in, usage.tokens_out)]
    return [Usage(tokens_in, tokens_out) for tokens_in, tokens_out in zip(*parts, strict=True)]


def _cut(tokens: int | None, weights: Sequence[int], total: int) -> list[int | None]:
    if tokens is None:
        return [None] * len(weights)
    out: list[int | None] = []
    before = at = 0
    for weight in weights:
        at += weight
        out.append(tokens * at // total - before)
        before = tokens * at // total
    return out


def _sum(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else a + b

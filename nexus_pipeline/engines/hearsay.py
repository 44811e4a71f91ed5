"""Times that a language model says of what it heard: believed where they can be true, else made from the text. Pure.

Such models hear well and count badly: seconds run ahead, fall back, stand still, or leave the recording. So the
longest row of segments whose times agree with each other is believed; what lies between is placed by its letters.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

LETTERS_A_S = 40.0
"""Nobody says more: fast speech has 25."""
_LATE_S = 1.0  # an end so little behind the end of the recording is rounding


@dataclass(frozen=True, slots=True)
class Said:
    """A stretch of speech, in seconds of what was heard."""

    start_s: float
    end_s: float
    text: str
    language: str | None = None
    """Where it is another one than the recording's."""

    @property
    def least_s(self) -> float:
        """Nobody says it in less."""
        return len(self.text) / LETTERS_A_S


def placed(said: Sequence[Said], length_s: float) -> list[Said]:
    """In order, none overlapping, all within 0 to `length_s`; what could not be said in the time there is, is gone."""
    told = [replace(one, text=one.text.strip()) for one in said if one.text.strip()]
    by_times = _around(told, _believed(told, length_s), length_s)
    if len(by_times) == len(told):
        return by_times
    # its clock ran fast: better no times of its own than words lost
    return _spread(told, 0.0, length_s) or by_times


def _believed(said: Sequence[Said], length_s: float) -> list[int]:
    """Positions of the longest row in which each has time to be said before the next begins."""
    possible = [n for n, one in enumerate(said) if _possible(one, length_s)]
    best: dict[int, tuple[int, int | None]] = {}
    for n in possible:
        before = [m for m in best if said[m].start_s + said[m].least_s <= said[n].start_s]
        last = max(before, key=lambda m: best[m][0], default=None)
        best[n] = (1 + (best[last][0] if last is not None else 0), last)
    row: list[int] = []
    at = max(best, key=lambda n: best[n][0], default=None)
    while at is not None:
        row.append(at)
        at = best[at][1]
    return row[::-1]


def _possible(one: Said, length_s: float) -> bool:
    return 0 <= one.start_s < one.end_s <= length_s + _LATE_S and (
        one.start_s + one.least_s <= min(one.end_s, length_s)
    )


def _around(said: Sequence[Said], believed: Sequence[int], length_s: float) -> list[Said]:
    """The believed ones at their times, the others between them, where there is room."""
    out: list[Said] = []
    since, free_s = 0, 0.0
    for k, n in enumerate(believed):
        one = said[n]
        out += _spread(said[since:n], free_s, one.start_s)
        # the next believed one begins where it says
        free_s = min(one.end_s, length_s, *(said[m].start_s for m in believed[k + 1 : k + 2]))
        out.append(replace(one, end_s=free_s))
        since = n + 1
    return out + _spread(said[since:], free_s, length_s)


def _spread(said: Sequence[Said], start_s: float, end_s: float) -> list[Said]:
    """By their letters over a stretch of time; none where it is too short for them."""
    letters = sum(len(one.text) for one in said)
    if not letters or letters / LETTERS_A_S > end_s - start_s:
        return []
    out, at = [], 0
    for one in said:
        begins, ends = (start_s + (end_s - start_s) * n / letters for n in (at, at + len(one.text)))
        out.append(replace(one, start_s=begins, end_s=ends))
        at += len(one.text)
    return out

"""Passages: short turns merged, long ones cut, into pieces of speech that mean something on their own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passage:
    """What is embedded and found. `indexed_text` is title, speakers and text; `position` counts from 0."""

    position: int
    start_s: float
    end_s: float
    text: str
    indexed_text: str
    speaker: str | None = None
    kind: str = "speech"

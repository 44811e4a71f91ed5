"""A speech engine for tests that hears what it is told to: each of its models in its own way."""

from collections.abc import Iterator
from typing import ClassVar

from nexus_pipeline.domain.timeline import Segment, Window, Word

ENTRY = {"hearing": "tests.hearing:Hearing"}
"""For the catalogue SPEECH."""


def spoken(*lines: tuple[float, float, str]) -> tuple[Segment, ...]:
    """Segments with words of equal length."""
    return tuple(Segment(n, a, b, text, words=_words(a, b, text.split())) for n, (a, b, text) in enumerate(lines))


def _words(start_s: float, end_s: float, parts: list[str]) -> tuple[Word, ...]:
    each = (end_s - start_s) / len(parts)
    return tuple(Word(start_s + n * each, start_s + (n + 1) * each, f" {part}") for n, part in enumerate(parts))


class Hearing:
    """`says`: by model, what it hears in any sound."""

    says: ClassVar[dict[str, tuple[Segment, ...]]] = {}

    def __init__(self, model: str) -> None:
        self.model, self.name = model, f"hearing:{model}"

    @classmethod
    def build(cls, model, site):
        return cls(model or "one")

    @classmethod
    def present(cls, model, site):
        return None

    @classmethod
    def get(cls, model, site):
        """Nothing to fetch."""

    def parameters(self):
        return {"engine": "hearing", "model": self.model}

    def transcribe(self, audio, duration_s, hints, cancelled) -> Iterator[Window]:
        yield Window(0.0, duration_s, self.says[self.model], duration_s, language="en")

    def readings(self, audio, start_s, end_s, hints, cancelled):
        return iter(())

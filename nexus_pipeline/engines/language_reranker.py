"""Passages graded by a language model: it reads the question and the best of what a search found."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from nexus_pipeline.engines.fences import DATA, fenced, line
from nexus_pipeline.engines.over_language import OverLanguage
from nexus_pipeline.ports import Cancelled

BEST = 3
"""The highest grade that the model gives."""
ANSWER = 600
"""Tokens of twenty grades."""

SYSTEM = f"""You grade numbered passages of transcripts by how well they answer a question.

{DATA}

- {BEST}: the passage answers the question, or says a part of the answer.
- 2: it is about just that, without the answer.
- 1: it is about something near.
- 0: it is about something else.
- Grade every passage once, by its number. Who speaks stands in front where it is known, and counts where the question \
names somebody."""


class Grade(BaseModel):
    """One passage's."""

    passage: Annotated[int, Field(description="The number in brackets in front of the passage.")]
    grade: Annotated[int, Field(description=f"0 to {BEST}.")]


class Grades(BaseModel):
    """Of all passages."""

    grades: list[Grade]


class LanguageReranker(OverLanguage):
    """Its grades come first, the search's own scores decide among equal ones."""

    depth = 20
    trust = 4.0

    def grade(self, question: str, passages: Sequence[str], cancelled: Cancelled) -> tuple[float, ...]:
        """0 for a passage that the model leaves out, and for those that its window does not take."""
        shown = list(self._fitting(passages, system=SYSTEM, question=question, answer=ANSWER))
        if not shown or not question.strip():
            return (0.0,) * len(passages)
        asked = f"{fenced(chr(10).join(shown))}\n\nThe question: {line(question)}"
        told = self._model.ask(SYSTEM, asked, Grades, cancelled)
        by_number = {one.passage: min(max(one.grade, 0), BEST) / BEST for one in told.grades}
        return tuple(by_number.get(n, 0.0) if n <= len(shown) else 0.0 for n in range(1, len(passages) + 1))


class GeminiReranker(LanguageReranker):
    """By Gemini."""

    language = "gemini"


class OpenAIReranker(LanguageReranker):
    """By OpenAI, or any server that speaks its API."""

    language = "openai"

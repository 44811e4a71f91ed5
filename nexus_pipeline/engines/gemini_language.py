"""Gemini as a language model: what enrichment, translation and answers by Gemini are made of."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from nexus_pipeline.engines import gemini_answers
from nexus_pipeline.engines.gemini_line import GeminiEngine, GeminiLine
from nexus_pipeline.ports import Cancelled as IsCancelled

if TYPE_CHECKING:
    from google.genai.types import Part

S = TypeVar("S")

MODEL = "gemini-3.8-flash"
WINDOW, WIDE = 32_768, 1_048_576
"""Tokens of a model that is not known, such as one of an own server; and of Gemini's own since 1.5."""

_WIDE = re.compile(r"gemini-([2-9]|1\.5)\b.*(flash|pro)")


class GeminiLanguage(GeminiEngine):
    """One model of Gemini's, asked through the process's one line."""

    usual = MODEL

    def __init__(self, model: str, line: GeminiLine) -> None:
        """Asks nothing yet."""
        super().__init__(model, line)
        self.window = WIDE if _WIDE.match(model) else WINDOW

    def parameters(self) -> Mapping[str, str]:
        """What changes its results."""
        return {"engine": "gemini", "model": self.model}

    def ask(self, system: str, question: str, schema: type[S], cancelled: IsCancelled) -> S:
        """One answer in the form of a pydantic model. Raises as the port says."""

        def parts() -> "Sequence[Part]":
            from google.genai.types import Part

            return [Part(text=question)]

        tokens = gemini_answers.cost(system, question)
        return gemini_answers.ask(
            self.line, self.model, system, parts, schema, tokens=tokens, cancelled=cancelled, metering=self._used
        )

    def tell(self, system: str, question: str, cancelled: IsCancelled) -> Iterator[str]:
        """The answer's text in pieces as they come. Raises as the port says."""
        return gemini_answers.tell(self.line, self.model, system, question, cancelled=cancelled, metering=self._used)

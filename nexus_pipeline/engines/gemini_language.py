"""Gemini as a language model: what enrichment, translation and answers by Gemini are made of."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Self, TypeVar

from nexus_pipeline.engines import gemini_answers
from nexus_pipeline.engines.gemini_line import GeminiLine, line_of, missing, model_of
from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.ports import Cancelled as IsCancelled

if TYPE_CHECKING:
    from google.genai.types import Part

S = TypeVar("S")

MODEL = "gemini-3.8-flash"
WINDOW, WIDE = 32_768, 1_048_576
"""Tokens of a model that is not known, such as one of an own server; and of Gemini's own since 1.5."""

_WIDE = re.compile(r"gemini-([2-9]|1\.5)\b.*(flash|pro)")


class GeminiLanguage:
    """One model of Gemini's, asked through the process's one line."""

    def __init__(self, model: str, line: GeminiLine) -> None:
        """Asks nothing yet."""
        self.model, self.line = model, line
        self.name = f"gemini:{model}"
        self.window = WIDE if _WIDE.match(model) else WINDOW

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:
        """Without a model: `gemini-3.8-flash`."""
        return cls(model_of(model, MODEL), line_of(site))

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:  # noqa: ARG003 - all want the same
        """None when it can be asked, else what to set."""
        return missing(site)

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        """Nothing to fetch."""

    def parameters(self) -> Mapping[str, str]:
        """What changes its results."""
        return {"engine": "gemini", "model": self.model}

    def ask(self, system: str, question: str, schema: type[S], cancelled: IsCancelled) -> S:
        """One answer in the form of a pydantic model. Raises as the port says."""

        def parts() -> "Sequence[Part]":
            from google.genai.types import Part

            return [Part(text=question)]

        tokens = gemini_answers.cost(system, question)
        return gemini_answers.ask(self.line, self.model, system, parts, schema, tokens=tokens, cancelled=cancelled)

    def tell(self, system: str, question: str, cancelled: IsCancelled) -> Iterator[str]:
        """The answer's text in pieces as they come. Raises as the port says."""
        return gemini_answers.tell(self.line, self.model, system, question, cancelled)

"""Engines that are made of a vendor's language model: enrichers, answerers, translators, rerankers."""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import ClassVar, Protocol, Self, cast

from nexus_pipeline.engines import LANGUAGES, load
from nexus_pipeline.engines.fences import line, tokens
from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.ports import LanguageModel, Metering, metered


class Language(LanguageModel, Protocol):
    """A language model that is an engine of its own: what it says of itself is part of the version key."""

    def parameters(self) -> Mapping[str, str]:
        """What changes its answers."""


class OverLanguage:
    """Built, present and fetched as its language model is; a vendor's is a subclass of two lines."""

    language: ClassVar[str]
    """The entry of LANGUAGES that a subclass is built over."""

    def __init__(self, model: Language) -> None:
        """Asks nothing yet."""
        self._model = model
        self.name = model.name

    def metered(self, metering: Metering) -> Self:
        """The same engine over the same language model, which tells what its calls take."""
        own = copy(self)
        own._model = metered(self._model, metering)  # noqa: SLF001 - it is one of its kind
        return own

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:
        """Over the vendor's language model; reaches nobody yet."""
        return cls(cast("Language", load(LANGUAGES, cls.language).build(model, site)))

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:
        """What the language model lacks."""
        return load(LANGUAGES, cls.language).present(model, site)

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        """Fetch what the language model needs."""
        load(LANGUAGES, cls.language).get(model, site)

    def _fitting(self, passages: Sequence[str], *, system: str, question: str, answer: int) -> Iterator[str]:
        """Passages with their numbers, the first ones, as many as the window takes beside an answer of so many tokens.

        With small windows a third is kept for the answer. The first passage is always there.
        """
        window = self._model.window
        left = window - min(answer, window // 3) - tokens(system) - tokens(question)
        for n, passage in enumerate(passages, 1):
            told = f"[{n}] {line(passage)}"
            left -= tokens(told)
            if left < 0 and n > 1:
                return
            yield told

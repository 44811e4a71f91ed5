"""Engines that are made of the embedder that is in use: answers and grades without a key or a download of their own."""

from collections.abc import Callable
from typing import Self

from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.ports import Embedder


class OverEmbedder:
    """Built over the site's embedder, which answers for itself."""

    def __init__(self, embedder: Callable[[], Embedder]) -> None:
        """Takes what gives an embedder, asked when it is first needed."""
        self._embedder = embedder

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:  # noqa: ARG003 - the constructor contract
        """Works with the site's embedder; it has no model of its own."""
        return cls(site.embedder)

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:  # noqa: ARG003 - the constructor contract
        """Always here."""
        return None

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        """Nothing to fetch."""

"""What every engine is built with, and what every engine class offers: the door by which a new one comes in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from nexus_pipeline.ports import Embedder


@dataclass(frozen=True, slots=True)
class EngineSite:
    """Plain facts about where an engine runs; an engine takes what it needs and reads nothing else.

    `models` is a folder that is tried before anything is fetched; `cache` holds what can be made again;
    `threads` are for one item, `width` items may be worked on side by side by one loaded engine.
    """

    models: Path | None
    cache: Path
    threads: int
    embedder: Callable[[], Embedder]
    width: int = 1


class Engine(Protocol):
    """The constructor contract: the same for every engine of every kind."""

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:
        """An engine that loads its weights when they are first needed, not here."""

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:
        """None when the weights are on this machine, else what is missing and how to get it; loads nothing."""

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        """Fetch the weights; nothing to do when they are there. Raises ModelMissing when they cannot be had."""

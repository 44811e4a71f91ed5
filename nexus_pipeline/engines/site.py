"""What every engine is built with, and what every engine class offers: the door by which a new one comes in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from pydantic import SecretStr

from nexus_pipeline.ports import Embedder

CALLS, TOKENS_A_MINUTE = 4, 200_000
"""What a vendor's first paid tier bears."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where a vendor's API is, and how hard it may be asked from this machine."""

    key: SecretStr | None = None
    base_url: str | None = None
    calls: int = CALLS
    tokens_a_minute: int = TOKENS_A_MINUTE

    @property
    def there(self) -> bool:
        """Whether a person has set it up: a key, or a server of their own, which may want none."""
        return self.key is not None or self.base_url is not None


@dataclass(frozen=True, slots=True)
class EngineSite:
    """Plain facts about where an engine runs; an engine takes what it needs and reads nothing else.

    `models` is a folder that is tried before anything is fetched; `cache` holds what can be made again;
    `threads` are for one item, `width` items may be worked on side by side by one loaded engine; `gemini` and `openai`
    are where those APIs are.
    """

    models: Path | None
    cache: Path
    threads: int
    embedder: Callable[[], Embedder]
    width: int = 1
    gemini: Cloud = Cloud()
    openai: Cloud = Cloud()


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

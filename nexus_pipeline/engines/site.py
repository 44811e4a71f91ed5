"""What every engine is built with, and what every engine class offers: the door by which a new one comes in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from nexus_pipeline.ports import Cancelled, Embedder, Progress

if TYPE_CHECKING:
    from pydantic import SecretStr

CALLS, TOKENS_A_MINUTE = 4, 200_000
"""What a vendor's first paid tier bears."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where a vendor's API is, and how hard it may be asked from this machine."""

    key: "SecretStr | None" = None
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

    `models` is a folder that is tried before anything is fetched, and fetched into; `cache` holds what can be made
    again; `threads` are for one item, `width` items may be worked on side by side by one loaded engine; `gemini` and
    `openai` are where those APIs are. `whisper` gives the engine that hears with a Whisper model, loaded once for all
    who use it; without a model's name: the one that hears items.
    """

    models: Path | None
    cache: Path
    threads: int
    embedder: Callable[[], Embedder]
    width: int = 1
    gemini: Cloud = Cloud()
    openai: Cloud = Cloud()
    whisper: Callable[[str | None], Any] | None = None


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


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a model before it is fetched."""

    bytes: int | None = None
    licence: str | None = None


@runtime_checkable
class Weighty(Engine, Protocol):
    """What an engine offers besides where it has weights: `nexus models` then lists, fetches, checks, removes them."""

    @classmethod
    def offers(cls, site: EngineSite) -> Mapping[str | None, Known]:
        """The models that people usually take, and those on this machine; None: the one without a name."""

    @classmethod
    def lies(cls, model: str | None, site: EngineSite) -> Path | None:
        """The folder with the weights, if they are on this machine."""

    @classmethod
    def fetch(cls, model: str | None, site: EngineSite, progress: Progress, cancelled: Cancelled) -> None:
        """As `get`, and tells how far it is. Raises ModelMissing, Cancelled."""

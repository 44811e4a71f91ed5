"""One engine after the other: the next one serves where the one before cannot."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from nexus_pipeline.domain.errors import EngineError, EngineFailed
from nexus_pipeline.domain.usage import Meter
from nexus_pipeline.ports import metered

log = logging.getLogger(__name__)


class Chosen(Protocol):
    """What every engine says of itself."""

    name: str

    def parameters(self) -> Mapping[str, str]:
        """What changes its results."""


E = TypeVar("E", bound=Chosen)
R = TypeVar("R")


@dataclass(frozen=True)
class Served(Generic[E, R]):
    """What was made, by whom, and why not by those before it (`gemini:M: engine_down`)."""

    engine: E
    result: R
    because: str | None = None


def counted(engines: Sequence[E]) -> tuple[tuple[E, ...], Meter]:
    """A step's engines for one item, and what all of them take of tokens, also those that failed before one served."""
    meter = Meter()
    return tuple(metered(engine, meter) for engine in engines), meter


def served(engines: Sequence[E], do: Callable[[E], R]) -> Served[E, R]:
    """What the first engine that can do it makes.

    Raises the EngineError after which trying again may help, the first such of several; else the last one's.
    """
    if not engines:
        raise EngineFailed("no engine is chosen for this step: it is switched off")
    failed: list[tuple[E, EngineError]] = []
    for engine in engines:
        because = ", ".join(f"{one.name}: {error.code}" for one, error in failed) or None
        try:
            return Served(engine, do(engine), because)
        except EngineError as error:
            failed.append((engine, error))
            if len(failed) < len(engines):
                log.warning("the next engine serves failed=%s code=%s", engine.name, error.code)
    hopeful = [error for _, error in failed if error.retryable]
    raise (hopeful or [failed[-1][1]])[0]


def parameters(engines: Sequence[Chosen]) -> Mapping[str, str]:
    """Of the version key: all that may serve, in their order; one alone as it always was."""
    if len(engines) == 1:
        return {"engine": engines[0].name, **engines[0].parameters()}
    told = {"engine": ",".join(engine.name for engine in engines) or "none"}
    for n, engine in enumerate(engines):
        told |= {f"{n}.{name}": value for name, value in engine.parameters().items()}
    return told

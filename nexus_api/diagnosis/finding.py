"""One thing that was looked at."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from nexus_api.shown import Json
from nexus_pipeline.domain.errors import NexusError


class Level(StrEnum):
    """How bad it is."""

    FINE = "fine"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found; where that is not fine, the way to mend it and a line that one can type."""

    name: str
    level: Level
    found: str
    hint: str | None = None
    line: str | None = None

    @property
    def ok(self) -> bool:
        """Whether work goes on."""
        return self.level is not Level.WRONG

    def json(self) -> Json:
        """As `nexus doctor --json` says it."""
        told = {"name": self.name, "ok": self.ok, "level": self.level.value}
        return {**told, "found": self.found, "hint": self.hint, "line": self.line}


def fine(name: str, found: str) -> Finding:
    """As it should be."""
    return Finding(name, Level.FINE, found)


def warning(name: str, found: str, hint: str, line: str | None = None) -> Finding:
    """Work goes on."""
    return Finding(name, Level.WARNING, found, hint, line)


def wrong(name: str, found: str, hint: str, line: str | None = None) -> Finding:
    """Work stops."""
    return Finding(name, Level.WRONG, found, hint, line)


def tried(name: str, look: Callable[[], str], hint: str, line: str | None = None) -> Finding:
    """What looking gives, or what goes wrong with it."""
    try:
        return fine(name, look())
    except (NexusError, OSError) as error:
        return wrong(name, str(error), hint, line)

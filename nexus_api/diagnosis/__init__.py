"""What `nexus doctor` looks at: each thing that Nexus needs, whether it is there, and how to mend it.

A finding is wrong when it stops work, a warning when work goes on but not as somebody may expect. None stops the next.
"""

from collections.abc import Iterator, Sequence

from nexus_api.diagnosis import engines, home, items, machine, running, settings, stores
from nexus_api.diagnosis.finding import Finding, Level
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts

__all__ = ["Finding", "Level", "findings", "unusable"]


def findings(told: Settings, *, online: bool = False, full: bool = False) -> Iterator[Finding]:
    """All of them, one after the other. `online`: others are asked, too; `full`: also what takes long."""
    parts = Parts(told)
    yield from settings.looked_at(told)
    yield from machine.looked_at()
    yield from home.looked_at(told)
    yield from stores.looked_at(parts, full=full)
    yield from engines.looked_at(parts, online=online)
    yield from items.looked_at(parts)
    yield from running.looked_at(told)


def unusable(wrong: Sequence[str]) -> Iterator[Finding]:
    """Where settings cannot be read nothing that hangs on them can be looked at; the machine can."""
    yield from settings.strangers()
    for told in wrong:
        name, _, why = told.partition(": ")
        yield Finding(
            "settings", Level.WRONG, told, f"correct or unset it; docs/settings.md says what it takes ({why})",
            f"unset {name}",
        )  # fmt: skip
    yield from machine.looked_at()

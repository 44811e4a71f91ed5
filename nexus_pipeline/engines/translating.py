"""Which languages the chosen translators can translate into, said before anything is translated."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from nexus_pipeline.engines import TRANSLATORS, EngineSpec, load
from nexus_pipeline.engines.site import Engine, EngineSite


@runtime_checkable
class Limited(Engine, Protocol):
    """What a translator offers besides where it does not translate into every language."""

    @classmethod
    def cannot(cls, model: str | None, site: EngineSite, to: str) -> str | None:
        """None when it can translate into this language, else why not and what to choose instead; loads nothing."""


def cannot(specs: Sequence[EngineSpec], site: EngineSite, languages: Sequence[str]) -> str | None:
    """What a person must set because none of these translates into one of the languages; None when all can be had.

    Raises EngineFailed for a spec that names no translator.
    """
    if not specs:
        return None
    kinds = [(load(TRANSLATORS, spec.engine), spec.model) for spec in specs]
    for to in languages:
        why = [kind.cannot(model, site, to) if isinstance(kind, Limited) else None for kind, model in kinds]
        if all(why):
            return why[0]
    return None

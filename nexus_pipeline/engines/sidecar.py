"""The transcript that lies beside the file, by a name of its own: what comes without one is left to the next engine.

A transcript beside the file is taken whatever was chosen, so this engine is only asked where there is none.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from nexus_pipeline.domain.errors import EngineFailed
from nexus_pipeline.domain.timeline import Window
from nexus_pipeline.engines.one_reading import OneReading
from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.ports import Cancelled, Hints


class Sidecar(OneReading):
    """Hears nothing."""

    name = "sidecar"

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:  # noqa: ARG003 - all are built alike
        """There is no model to choose. Raises EngineFailed for one."""
        if model is not None:
            raise EngineFailed(f"sidecar has no models, so there is no {model!r}; write sidecar")
        return cls()

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:  # noqa: ARG003 - as above
        """It has no weights."""
        return None

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        """Nothing to fetch."""

    def parameters(self) -> Mapping[str, str]:
        """Nothing changes its results."""
        return {}

    def transcribe(
        self,
        audio: Path,  # noqa: ARG002 - it does not listen
        duration_s: float,  # noqa: ARG002
        hints: Hints,  # noqa: ARG002
        cancelled: Cancelled,  # noqa: ARG002
    ) -> Iterator[Window]:
        """Raises EngineFailed: no transcript lies beside the file."""
        raise EngineFailed(
            "no transcript lies beside the file: add it again together with an SRT, VTT or JSON of the same name, "
            "or choose an engine that hears (`nexus rerun --from transcript` after changing NEXUS_SPEECH)"
        )

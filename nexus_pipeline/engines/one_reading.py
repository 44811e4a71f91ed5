"""Speech engines that know one way to hear only: whatever they are asked for again, they answer the same."""

from collections.abc import Iterator
from pathlib import Path

from nexus_pipeline.domain.timeline import Segment
from nexus_pipeline.ports import Cancelled, Hints


class OneReading:
    """The port's `readings` for them."""

    def readings(
        self,
        audio: Path,  # noqa: ARG002 - there is nothing to read again
        start_s: float,  # noqa: ARG002
        end_s: float,  # noqa: ARG002
        hints: Hints,  # noqa: ARG002
        cancelled: Cancelled,  # noqa: ARG002
    ) -> Iterator[tuple[Segment, ...]]:
        """None."""
        return iter(())

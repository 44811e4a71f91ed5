"""A line to vendors that are made of functions, and fail in turn."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexus_pipeline.domain.errors import EngineBusy, EngineDown, EngineRefused, NexusError
from nexus_pipeline.engines.cloud import Barred, Line, Patience
from nexus_pipeline.engines.site import Cloud

QUICK = Patience(wait_s=0.05, longest_wait_s=2.0, outages=3, open_s=1.0, answer_s=3.0)


class Outage(Exception):
    """The vendor's own."""


class TooMany(Exception):
    def __init__(self, after_s: float | None = None) -> None:
        self.after_s = after_s


class Unsafe(Exception):
    pass


class KeyRefused(Exception):
    pass


def told(error: Exception) -> NexusError | None:
    if isinstance(error, TooMany):
        busy = EngineBusy("wait")
        busy.retry_after_s = error.after_s
        return busy
    kinds: dict[type, type[NexusError]] = {Outage: EngineDown, Unsafe: EngineRefused, KeyRefused: Barred}
    kind = kinds.get(type(error))
    return kind("in our words") if kind else None


def never() -> bool:
    return False


def line(folder: Path, patience: Patience = QUICK, **cloud: Any) -> Line:
    return Line("vendor", Cloud(**cloud), folder, told, patience)


class Vendor:
    """Fails with these in turn, then answers."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.at: list[float] = []

    def __call__(self) -> str:
        self.at.append(time.monotonic())
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return "answer"

    @property
    def waits_s(self) -> list[float]:
        return [b - a for a, b in zip(self.at, self.at[1:], strict=False)]


def outage(one: Line, vendor: Callable[[], str]) -> NexusError:
    with pytest.raises(EngineDown) as caught:
        one.call(vendor, tokens=1, cancelled=never)
    return caught.value

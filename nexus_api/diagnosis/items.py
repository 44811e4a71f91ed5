"""Items that are stuck: failed, blocked, held by runs that are no more, or waiting for nobody."""

from collections import Counter
from collections.abc import Iterator

from nexus_api import lock
from nexus_api.diagnosis.finding import Finding, fine, warning, wrong
from nexus_pipeline.domain.errors import NexusError
from nexus_pipeline.domain.items import LOCAL
from nexus_pipeline.domain.listing import ItemQuery
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.wiring import Parts

_LOOKED_AT = 200
"""Blocked items whose reasons are read."""


def looked_at(parts: Parts) -> Iterator[Finding]:
    """All of them; nothing where the catalog cannot be read, which its own finding says."""
    try:
        found = [*_failed(parts), *_blocked(parts), *_held(parts), *_waiting(parts)]
    except (NexusError, OSError) as error:
        yield wrong("items", str(error), "look at the catalog above")
        return
    yield from found or [fine("items", "none is stuck")]


def _failed(parts: Parts) -> Iterator[Finding]:
    for told in parts.catalog.standing(LOCAL).open:
        if told.state == State.FAILED and told.error_code:
            yield warning(
                "items",
                f"{told.count} failed in {told.step} ({told.error_code})",
                "docs/errors.md says what to do about it, and `nexus show ID` what happened",
                "nexus ls --state failed" if told.count > 1 else "nexus retry --all",
            )


def _blocked(parts: Parts) -> Iterator[Finding]:
    page = parts.catalog.page(ItemQuery(states=(ItemState.BLOCKED,), limit=_LOOKED_AT))
    reasons = Counter(
        (step.step, step.error_message or step.reason or "for no reason")
        for item in page.items
        for step in item.steps
        if step.state is State.BLOCKED
    )
    for (step, why), count in reasons.items():
        yield warning("items", f"{count} blocked in {step}: {why}", "they go on by themselves once that is mended")


def _held(parts: Parts) -> Iterator[Finding]:
    dead = parts.catalog.dead_leases()
    if dead:
        runs = len({lease.run_id for lease in dead})
        up = lock.holder(parts.settings.root) is not None
        hint = "`nexus up` gives them back within a minute" if up else "they are given back when Nexus runs again"
        yield warning(
            "items", f"{len(dead)} are held by {runs} runs that are no more", hint, None if up else "nexus up"
        )


def _waiting(parts: Parts) -> Iterator[Finding]:
    waits = parts.catalog.counts().get(ItemState.WAITING, 0)
    if waits and lock.holder(parts.settings.root) is None:
        yield warning("items", f"{waits} wait, and nobody works", "start Nexus", "nexus up")

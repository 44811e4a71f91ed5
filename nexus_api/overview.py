"""How Nexus is, as the API tells it: counts from the catalog, space from the disk, engines from the settings."""

import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from nexus_api.local import Local
from nexus_api.models import chosen
from nexus_api.shown import Json
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.errors import NexusError
from nexus_pipeline.domain.states import State
from nexus_pipeline.wiring import CATALOGUES, Parts

SPANS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


class StepStanding(BaseModel):
    """Items that are not done with this step."""

    step: str
    waiting: int
    running: int
    failed: int
    blocked: int
    cancelled: int


class LaneStanding(BaseModel):
    """Items that a run of the lane holds, and that wait for one."""

    lane: str
    running: int
    waiting: int


class Cause(BaseModel):
    """Items that failed in a step for one reason; docs/errors.md says what to do about it."""

    step: str
    code: str
    count: int


class Came(BaseModel):
    """What became searchable, and its seconds."""

    items: int
    duration_s: float


class Space(BaseModel):
    """Bytes as fetched; what is left on the disk, null where the blobs are on no disk of ours."""

    bytes: int
    free_bytes: int | None
    passages: int


class Engine(BaseModel):
    """What does a step (or `answers` questions, or reads what a search found: `reranking`), and what it lacks."""

    step: str
    engine: str
    ready: bool
    missing: str | None


class Overview(BaseModel):
    """All of it."""

    items: dict[str, int]
    duration_s: float
    steps: list[StepStanding]
    lanes: list[LaneStanding]
    failures: list[Cause]
    throughput: dict[str, Came]
    space: Space
    engines: list[Engine]


def of(nexus: Local) -> Json:
    """The contract's overview, for the owner who asks."""
    parts = nexus.parts
    standing, now = parts.catalog.standing(nexus.owner), datetime.now(UTC)
    by_step: dict[str, Counter[str]] = {step: Counter() for step in STEPS}
    for told in standing.open:
        by_step.setdefault(told.step, Counter())[told.state] += told.count
    states = ("waiting", "running", "failed", "blocked", "cancelled")
    since = {name: parts.catalog.throughput(nexus.owner, now - span) for name, span in SPANS.items()}
    return {
        "items": dict(standing.items),
        "duration_s": round(standing.duration_s, 3),
        "steps": [{"step": step, **{state: counts[state] for state in states}} for step, counts in by_step.items()],
        "lanes": [{"lane": lane.lane, "running": lane.running, "waiting": lane.waiting} for lane in standing.lanes],
        "failures": [
            {"step": told.step, "code": told.error_code, "count": told.count}
            for told in sorted(standing.open, key=lambda told: -told.count)
            if told.state == State.FAILED and told.error_code
        ],
        "throughput": {name: {"items": t.items, "duration_s": round(t.duration_s, 3)} for name, t in since.items()},
        "space": {"bytes": standing.bytes, "free_bytes": _free(parts), "passages": parts.archive.count()},
        "engines": [_engine(parts, step) for step in CATALOGUES],
    }


def _free(parts: Parts) -> int | None:
    split = urlsplit(parts.settings.blobs_url)
    if split.scheme != "file":
        return None
    folder = Path(unquote(split.path))
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    return shutil.disk_usage(there).free


def _engine(parts: Parts, step: str) -> Json:
    try:
        name, missing = chosen(parts, step)
    except NexusError as error:  # a setting that names no engine: that is what an overview is for
        name, missing = parts.engines.told(step), str(error)
    return {"step": step, "engine": name, "ready": missing is None, "missing": missing}

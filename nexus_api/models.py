"""Engines and the models that they load: what there is, what is on this machine, and a person's choice among them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from nexus_api.shown import Json
from nexus_pipeline.domain.errors import BadInput, EngineFailed, ModelMissing
from nexus_pipeline.engines import NONE, EngineSpec, load, weights
from nexus_pipeline.engines.site import Engine, EngineSite, Known, Weighty
from nexus_pipeline.ports import Cancelled, Progress
from nexus_pipeline.wiring import CATALOGUES, Parts

OPTIONAL = frozenset({"transcript", "speakers", "translation", "enrichment"})
"""Steps that can be left out, and whose engine a person can choose for one item."""


class Model(BaseModel):
    """An engine with one of its models; `damaged` is null where nobody knows what its files were."""

    engine: str
    step: str
    chosen: bool
    state: Literal["ready", "missing", "damaged"]
    ready: bool
    bytes: int | None
    licence: str | None
    place: str | None
    damaged: list[str] | None
    missing: str | None


class Models(BaseModel):
    """All of them."""

    models: list[Model]


@dataclass(frozen=True, slots=True)
class Kept:
    """A model that lies on this machine."""

    engine: str
    """`engine:model`, `auto` resolved."""
    place: Path
    bytes: int
    chosen: bool


def choice(told: str) -> tuple[str, str]:
    """`STEP=ENGINE[:MODEL]` to step and engine. Raises BadInput, saying what can be chosen."""
    step, mark, spec = told.partition("=")
    if not mark or step not in OPTIONAL:
        raise BadInput(f"an engine is chosen as STEP=ENGINE:MODEL for one of the steps {', '.join(sorted(OPTIONAL))}")
    try:
        several = EngineSpec.parse_all(spec)
        for chosen in several:
            load(CATALOGUES[step], chosen.engine)
    except EngineFailed as error:
        raise BadInput(f"the engine of {step}: {error}") from error
    return step, ",".join(map(str, several)) or NONE


def listed(parts: Parts, *, check: bool = False) -> list[Json]:
    """Every engine with its usual models, those on this machine, and the chosen ones; `check`: by their digests."""
    rows: list[Json] = []
    for step, catalogue in CATALOGUES.items():
        chosen = parts.engines.specs(step)
        taken = {_named(step, spec, parts) for spec in chosen}
        for engine in catalogue:
            kind = load(catalogue, engine)
            offered = _offers(kind, parts.site)
            named = [s.model for s in chosen if s.engine == engine and s.model not in {None, "auto", *offered}]
            for model, known in {**offered, **dict.fromkeys(named, Known())}.items():
                spec = str(EngineSpec(engine, model))
                row = _row(kind, model, known, parts.site, check=check)
                rows.append({"engine": spec, "step": step, "chosen": spec in taken, **row})
    return rows


def get(parts: Parts, told: str, progress: Progress, cancelled: Cancelled) -> str:
    """Fetch an engine's model, anew where it is damaged; its whole name.

    Raises BadInput for an engine that is not there, ModelMissing, Cancelled.
    """
    step, spec, kind = _found(told)
    if issubclass(kind, Weighty):
        at = kind.lies(spec.model, parts.site)
        if at and weights.damaged(at, digests=True):
            weights.remove(at, parts.site)
        kind.fetch(spec.model, parts.site, progress, cancelled)
    else:
        kind.get(spec.model, parts.site)
    missing = kind.present(spec.model, parts.site)
    if missing is not None:
        raise ModelMissing(missing)
    return _named(step, spec, parts)


def kept(parts: Parts, told: str) -> Kept:
    """Where an engine's model lies. Raises BadInput when it is not on this machine, or has none."""
    step, spec, kind = _found(told)
    name = _named(step, spec, parts)
    at = kind.lies(spec.model, parts.site) if issubclass(kind, Weighty) else None
    if at is None:
        raise BadInput(f"{name} has no model on this machine")
    chosen = name in {_named(step, one, parts) for one in parts.engines.specs(step)}
    return Kept(name, at, weights.weight(at), chosen)


def remove(parts: Parts, model: Kept) -> int:
    """Remove it; the bytes that are free now. Raises BadInput where others may use it too."""
    return weights.remove(model.place, parts.site)


def chosen(parts: Parts, step: str) -> tuple[str, str | None]:
    """The engines that a step uses, `auto` resolved, and what they lack on this machine."""
    named = [_named(step, spec, parts) for spec in parts.engines.specs(step)]
    return ",".join(named) or NONE, parts.engines.missing(step)


def _found(told: str) -> tuple[str, EngineSpec, type[Engine]]:
    spec = EngineSpec.parse(told)
    for step, catalogue in CATALOGUES.items():
        if spec.engine in catalogue:
            return step, spec, load(catalogue, spec.engine)
    known = sorted(engine for catalogue in CATALOGUES.values() for engine in catalogue)
    raise BadInput(f"there is no engine {spec.engine!r}; there are {', '.join(known)}")


def _row(kind: type[Engine], model: str | None, known: Known, site: EngineSite, *, check: bool) -> Json:
    missing = kind.present(model, site)
    at = kind.lies(model, site) if issubclass(kind, Weighty) else None
    damaged = weights.damaged(at, digests=check) if at else None
    state = "missing" if missing else "damaged" if damaged else "ready"
    return {
        "state": state,
        "ready": state == "ready",
        "bytes": weights.weight(at) if at else known.bytes,
        "licence": known.licence,
        "place": str(at) if at else None,
        "damaged": damaged,
        "missing": missing,
    }


def _named(step: str, spec: EngineSpec, parts: Parts) -> str:
    engine: Any = load(CATALOGUES[step], spec.engine).build(spec.model, parts.site)
    return str(engine.name)


def _offers(kind: type[Engine], site: EngineSite) -> Mapping[str | None, Known]:
    return kind.offers(site) if issubclass(kind, Weighty) else {None: Known()}

"""Engines and the models that they load: what there is, what is on this machine, and a person's choice among them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nexus_api.shown import Json
from nexus_pipeline.domain.errors import BadInput, EngineFailed, ModelMissing
from nexus_pipeline.engines import NONE, EngineSpec, load
from nexus_pipeline.wiring import CATALOGUES, Parts

OPTIONAL = frozenset({"transcript", "enrichment"})
"""Steps that can be left out, and whose engine a person can choose for one item."""
MB = 1_000_000

KNOWN: dict[str, dict[str | None, int]] = {
    # as the hub lists them, rounded: model.bin of Systran/faster-whisper-* and mobiuslabsgmbh's turbo, read 2026-11
    "faster-whisper": {
        "tiny": 76 * MB,
        "base": 145 * MB,
        "small": 484 * MB,
        "medium": 1530 * MB,
        "large-v3-turbo": 1620 * MB,
        "large-v3": 3090 * MB,
    },
    "minilm": {None: 91 * MB},
}
"""Models that people usually take, with the bytes of their download; engines take others by name too."""


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


def listed(parts: Parts) -> list[Json]:
    """Every engine with the models that people usually take, those in NEXUS_MODELS, and the ones that are chosen."""
    rows: list[Json] = []
    for step, catalogue in CATALOGUES.items():
        chosen = parts.engines.specs(step)
        taken = {_named(step, spec, parts) for spec in chosen}
        for engine in catalogue:
            own = [s.model for s in chosen if s.engine == engine and s.model not in {None, "auto"}]
            for model in dict.fromkeys([*_models(step, engine, parts), *own]):
                spec = str(EngineSpec(engine, model))
                missing = load(catalogue, engine).present(model, parts.site)
                rows.append(
                    {
                        "engine": spec,
                        "step": step,
                        "ready": missing is None,
                        "bytes": _bytes(engine, model, parts),
                        "chosen": spec in taken,
                        "missing": missing,
                    }
                )
    return rows


def get(parts: Parts, told: str) -> str:
    """Fetch an engine's model; its whole name. Raises BadInput for an engine that is not there, ModelMissing."""
    spec = EngineSpec.parse(told)
    for step, catalogue in CATALOGUES.items():
        if spec.engine in catalogue:
            kind = load(catalogue, spec.engine)
            kind.get(spec.model, parts.site)
            missing = kind.present(spec.model, parts.site)
            if missing is not None:
                raise ModelMissing(missing)
            return _named(step, spec, parts)
    known = sorted(engine for catalogue in CATALOGUES.values() for engine in catalogue)
    raise BadInput(f"there is no engine {spec.engine!r}; there are {', '.join(known)}")


def chosen(parts: Parts, step: str) -> tuple[str, str | None]:
    """The engines that a step uses, `auto` resolved, and what they lack on this machine."""
    named = [_named(step, spec, parts) for spec in parts.engines.specs(step)]
    return ",".join(named) or NONE, parts.engines.missing(step)


def _named(step: str, spec: EngineSpec, parts: Parts) -> str:
    engine: Any = load(CATALOGUES[step], spec.engine).build(spec.model, parts.site)
    return str(engine.name)


def _models(step: str, engine: str, parts: Parts) -> Iterator[str | None]:
    yield from KNOWN.get(engine, {None: 0})
    if step == "transcript" and parts.site.models and parts.site.models.is_dir():
        for folder in sorted(parts.site.models.iterdir()):
            if (folder / "model.bin").is_file():
                yield folder.name.removeprefix("faster-whisper-")


def _bytes(engine: str, model: str | None, parts: Parts) -> int | None:
    """Of the download, or of what lies in NEXUS_MODELS; None where nobody knows."""
    known = KNOWN.get(engine, {None: 0}).get(model)
    if known is None and model and parts.site.models:
        folders = (parts.site.models / model, parts.site.models / f"{engine}-{model}")
        known = next((_weight(folder) for folder in folders if folder.is_dir()), None)
    return known


def _weight(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())

"""The weights that tell speakers apart: segmentation and voice embedding, fetched together into one folder.

GitHub tells no digest of files of that age: those here are pinned alike by many projects that use them (read 2026-11).
"""

import json
from pathlib import Path

from nexus_pipeline.domain.errors import ModelMissing
from nexus_pipeline.engines import weights
from nexus_pipeline.engines.site import EngineSite, Known
from nexus_pipeline.engines.transfer import PROBE_S, Address
from nexus_pipeline.engines.weights import Weights
from nexus_pipeline.ports import Cancelled, Progress

SEGMENTATION, EMBEDDING = "segmentation.onnx", "embedding.onnx"
"""What every folder of speaker models holds."""
SETTINGS = "settings.json"
"""What it may hold: `threshold`, the cosine distance from which on two voices are two speakers."""
DEFAULT = "titanet-small"

_RELEASES = "https://github.com/k2-fsa/sherpa-onnx/releases/download"
_PYANNOTE = Address(
    f"{_RELEASES}/speaker-segmentation-models/sherpa-onnx-pyannote-segmentation-3-0.tar.bz2",
    "sha256:24615ee884c897d9d2ba09bb4d30da6bb1b15e685065962db5b02e76e4996488",
    6_958_444,
    member="sherpa-onnx-pyannote-segmentation-3-0/model.onnx",
)


def _model(name: str, embedding: Address, licence: str, threshold: float) -> Weights:
    return Weights(
        f"sherpa-onnx-{name}",
        {SEGMENTATION: _PYANNOTE, EMBEDDING: embedding},
        licence=f"MIT AND {licence}",
        texts={SETTINGS: json.dumps({"threshold": threshold}) + "\n"},
    )


MODELS = {
    # best by far in public comparisons on meetings and broadcasts (AMI, VoxConverse; read 2026-11), at 0.9 to 1.0
    "titanet-small": _model(
        "titanet-small",
        Address(
            f"{_RELEASES}/speaker-recongition-models/nemo_en_titanet_small.onnx",
            "sha256:ad4a1802485d8b34c722d2a9d04249662f2ece5d28a7a039063ca22f515a789e",
            40_257_283,
        ),
        "Apache-2.0",  # NeMo's, which its card on NGC names
        threshold=1.0,
    ),
    "resnet34": _model(
        "resnet34",
        Address(
            f"{_RELEASES}/speaker-recongition-models/wespeaker_en_voxceleb_resnet34_LM.onnx",
            "sha256:e9848563da86f263117134dfd7ad63c92355b37de492b55e325400c9d9c39012",
            26_530_550,
        ),
        "CC-BY-4.0",  # as VoxCeleb, on which it was trained
        threshold=0.6,
    ),
}
"""By the names that people type."""


def offers(site: EngineSite) -> dict[str | None, Known]:
    """What can be fetched, and what lies in folders that hold models."""
    there = weights.lying((SEGMENTATION, EMBEDDING), *weights.places(site))
    offered: dict[str | None, Known] = {name.removeprefix("sherpa-onnx-"): known for name, known in there.items()}
    return offered | {name: Known(model.bytes, model.licence) for name, model in MODELS.items()}


def folder(name: str, site: EngineSite) -> Path | None:
    """The folder with both files, if it is on this machine: below NEXUS_MODELS or the cache, or `name` as a path."""
    kept = MODELS[name].name if name in MODELS else name
    tried = [place / called for place in weights.places(site) for called in (name, kept)]
    return next((at for at in tried if all((at / file).is_file() for file in (SEGMENTATION, EMBEDDING))), None)


def settings(name: str) -> str | None:
    """What a model that can be fetched will say of itself in its settings.json."""
    return MODELS[name].texts[SETTINGS] if name in MODELS else None


def missing(name: str, site: EngineSite) -> str:
    """What to do when it is not."""
    spec = f"sherpa-onnx:{name}"
    if name in MODELS:
        return weights.missing(MODELS[name], site, spec)
    place = weights.places(site)[0] / name
    return (
        f"there is no speaker model {name!r}: put {SEGMENTATION} and {EMBEDDING} into {place}, "
        f"or choose one of {', '.join(MODELS)}"
    )


def fetch(name: str, site: EngineSite, progress: Progress, cancelled: Cancelled, *, probe_s: float = PROBE_S) -> Path:
    """Download both, if they are not there; the folder. Raises ModelMissing, Cancelled."""
    found = folder(name, site)
    if found is not None:
        return found
    if name not in MODELS:
        raise ModelMissing(missing(name, site))
    to = weights.target(weights.places(site))
    try:
        return weights.fetch(MODELS[name], to, progress, cancelled, probe_s=probe_s)
    except ModelMissing as error:
        raise ModelMissing(f"{missing(name, site)} ({error})") from error

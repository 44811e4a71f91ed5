"""Whisper's weights: which model a machine carries, where its folder is, and how it gets here.

Looked for as `{name}` and `faster-whisper-{name}` below NEXUS_MODELS and below the cache, then in Hugging Face's own
cache; a name that is an absolute path is the folder itself. Only `fetch` goes to the network: it asks the hub what the
files are, and takes them with the care of `weights`.
"""

import os
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast

import psutil

from nexus_pipeline.domain.errors import ModelMissing
from nexus_pipeline.engines import weights
from nexus_pipeline.engines.site import Known
from nexus_pipeline.engines.transfer import PROBE_S, Address
from nexus_pipeline.engines.weights import Weights
from nexus_pipeline.ports import Cancelled, Progress

AUTO = "auto"
FILES = ("model.bin", "config.json", "preprocessor_config.json", "tokenizer.json", "vocabulary.*")
"""What a folder of CTranslate2 holds."""
MODELS: dict[str | None, Known] = {
    # as the hub lists them, rounded: model.bin of Systran/faster-whisper-* and mobiuslabsgmbh's turbo, read 2026-11
    "tiny": Known(76_000_000, "MIT"),
    "base": Known(145_000_000, "MIT"),
    "small": Known(484_000_000, "MIT"),
    "medium": Known(1_530_000_000, "MIT"),
    "large-v3-turbo": Known(1_620_000_000, "MIT"),
    "large-v3": Known(3_090_000_000, "MIT"),
}
"""Those that people usually take. Others that faster-whisper knows, and repositories of the hub, do too."""

_GIB = 2**30


def carried() -> str:
    """The best model that this machine carries, for `auto`.

    | machine | model | why |
    |---|---|---|
    | CUDA | large-v3-turbo | 1.6 GB of weights, far faster than real time |
    | >= 8 cores and >= 8 GiB | small | 1.7 x real time on one core at beam 5, so 2 items and more side by side |
    | >= 2 GiB | base | 5 x real time on one core, 0.4 GB |
    | less | tiny | 9 x real time on one core |

    Speeds are of int8 on one core, measured with faster-whisper 1.2.1.
    """
    import ctranslate2

    if ctranslate2.get_cuda_device_count() > 0:
        return "large-v3-turbo"
    memory = psutil.virtual_memory().total
    if len(os.sched_getaffinity(0)) >= 8 and memory >= 8 * _GIB:  # noqa: PLR2004 - the table above
        return "small"
    return "base" if memory >= 2 * _GIB else "tiny"


def published(name: str) -> bool:
    """Whether faster-whisper knows it by name: OpenAI's weights and their kin, whose word times are good."""
    from faster_whisper import available_models

    return name.removeprefix("faster-whisper-") in available_models()


def offers(*places: Path | None) -> dict[str | None, Known]:
    """What people usually take, and what lies in folders that hold models."""
    there = weights.lying(("model.bin",), *places)
    return {**{name.removeprefix("faster-whisper-"): known for name, known in there.items()}, **MODELS}


def folder(name: str, *places: Path | None) -> Path | None:
    """The folder with the weights, if they are on this machine; `places` are folders that hold models."""
    tried = [Path(name)] if Path(name).is_absolute() else []
    tried += [place / called for place in places if place for called in (name, f"faster-whisper-{name}", _kept(name))]
    found = next((f for f in tried if (f / "model.bin").is_file()), None)
    return found or _cached(name)


def missing(name: str, *places: Path | None) -> str:
    """What to do when they are not."""
    place = next(filter(None, places), "NEXUS_MODELS")
    if not _askable(name):
        from faster_whisper import available_models

        known = ", ".join(available_models())
        return f"there is no speech model {name!r}: put its CTranslate2 folder into {place}, or choose one of {known}"
    return (
        f"the speech model {name} is not on this machine: get it with `nexus models get faster-whisper:{name}`, or put "
        f"its CTranslate2 folder ({', '.join(FILES)} of huggingface.co/{_repository(name)}) into {place} as {name}"
    )


def fetch(
    name: str,
    *places: Path | None,
    progress: Progress = lambda _: None,
    cancelled: Cancelled = lambda: False,
    probe_s: float = PROBE_S,
    endpoint: str | None = None,
) -> Path:
    """Download into the first of the places in which one may write; the folder.

    Args:
        name: As faster-whisper knows it, or `OWNER/NAME` on the hub.
        places: Folders that hold models.
        progress: Told from another thread.
        cancelled: Looked at ten times a second; the next call goes on from there.
        probe_s: Seconds in which the hub must answer.
        endpoint: Another hub than HF_ENDPOINT's or Hugging Face's own.

    Raises ModelMissing when the hub does not answer in time or gives something else than it says, Cancelled.
    """
    there = [place for place in places if place]
    if not there or not _askable(name):
        raise ModelMissing(missing(name, *places))
    to = weights.target(there)
    from huggingface_hub import get_token

    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        told = weights.aside(lambda _: _told(name, probe_s, endpoint), cancelled)
        return weights.fetch(told, to, progress, cancelled, headers=headers, probe_s=probe_s)
    except ModelMissing as error:
        raise ModelMissing(f"{missing(name, *places)} ({error})") from error


def _told(name: str, probe_s: float, endpoint: str | None) -> Weights:
    """What the hub says of a model's files at this moment: addresses, lengths and digests of one commit."""
    from huggingface_hub import HfApi

    repository = _repository(name)
    unreachable: tuple[type[Exception], ...] = (*_unreachable(), OSError, ValueError)
    try:
        info = HfApi(endpoint=endpoint).model_info(repository, files_metadata=True, timeout=probe_s)
    except unreachable as error:
        raise ModelMissing(f"the hub said: {type(error).__name__}") from error
    except (KeyError, TypeError) as error:
        raise ModelMissing("what answers at HF_ENDPOINT is no hub") from error
    wanted = [one for one in info.siblings or () if any(fnmatch(one.rfilename, pattern) for pattern in FILES)]
    if not any(one.rfilename == "model.bin" for one in wanted):
        raise ModelMissing(f"{repository} on the hub has no model.bin: it is no model of CTranslate2")
    licence = next((tag.partition(":")[2] for tag in info.tags or () if tag.startswith("license:")), None)
    files = {one.rfilename: _address(repository, one, info.sha, endpoint) for one in wanted}
    return Weights(_kept(name), files, licence)


def _address(repository: str, told: Any, commit: str | None, endpoint: str | None) -> Address:
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(repository, told.rfilename, revision=commit, endpoint=endpoint)
    large = told.lfs
    if large is None and (told.blob_id is None or told.size is None):
        raise ModelMissing(f"the hub tells no digest of {told.rfilename}, and nothing is taken without one")
    if large is None:
        return Address(url, f"git:{told.blob_id}", told.size)
    return Address(url, f"sha256:{large.sha256}", large.size)


def _unreachable() -> tuple[type[Exception], ...]:
    """What the hub's client raises without an answer: the error of whatever HTTP library it uses."""
    from huggingface_hub.errors import HfHubHTTPError

    return tuple(c for c in HfHubHTTPError.__mro__[1:] if c.__name__ == "HTTPError")


def _askable(name: str) -> bool:
    """Whether the hub could have it."""
    return published(name) or ("/" in name and not Path(name).is_absolute())


def _kept(name: str) -> str:
    """The folder into which it is fetched."""
    known = name.removeprefix("faster-whisper-")
    return known.replace("/", "--") if "/" in known else f"faster-whisper-{known}"


def _repository(name: str) -> str:
    from faster_whisper.utils import _MODELS

    known = name.removeprefix("faster-whisper-")
    return cast("str", _MODELS.get(known, known))


def _cached(name: str) -> Path | None:
    from faster_whisper import download_model

    try:
        found = Path(download_model(name.removeprefix("faster-whisper-"), local_files_only=True))
    except (OSError, ValueError):  # not in the cache, or no name the hub could know
        return None
    return found if (found / "model.bin").is_file() else None

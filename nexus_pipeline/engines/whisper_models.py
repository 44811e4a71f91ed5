"""Whisper's weights: which model a machine carries, where its folder is, and how it gets here.

Looked for in `{models}/{name}`, `{models}/faster-whisper-{name}` and Hugging Face's own cache, in this order; a name
that is an absolute path is the folder itself. Only `fetch` goes to the network, and asks with a time limit first: a
network that swallows packets would hang it for ever.
"""

import logging
import os
from pathlib import Path
from typing import cast

import psutil

from nexus_pipeline.domain.errors import ModelMissing

log = logging.getLogger(__name__)

AUTO = "auto"
PROBE_S = 10.0
"""Seconds in which the hub must answer before a download begins."""

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


def folder(name: str, models: Path | None) -> Path | None:
    """The folder with the weights, if they are on this machine."""
    tried = [Path(name)] if Path(name).is_absolute() else []
    tried += [models / name, models / f"faster-whisper-{name}"] if models else []
    found = next((f for f in tried if (f / "model.bin").is_file()), None)
    return found or _cached(name)


def missing(name: str, models: Path | None) -> str:
    """What to do when they are not."""
    place = models or "NEXUS_MODELS"
    if not published(name) and "/" not in name:
        from faster_whisper import available_models

        known = ", ".join(available_models())
        return f"there is no speech model {name!r}: put its CTranslate2 folder into {place}, or choose one of {known}"
    return (
        f"the speech model {name} is not on this machine: get it with `nexus models get faster-whisper:{name}`, "
        f"or put its CTranslate2 folder into {place} as {name}"
    )


def fetch(name: str, models: Path | None, *, probe_s: float = PROBE_S) -> Path:
    """Download into Hugging Face's cache; the folder. Raises ModelMissing when the hub does not answer in time."""
    if not published(name) and "/" not in name:
        raise ModelMissing(missing(name, models))
    from faster_whisper import download_model
    from huggingface_hub import HfApi

    known = name.removeprefix("faster-whisper-")
    unreachable: tuple[type[Exception], ...] = (*_unreachable(), OSError, ValueError)
    try:
        HfApi().model_info(_repository(known), timeout=probe_s)
        log.info("downloading engine=faster-whisper model=%s", name)
        return Path(download_model(known))
    except unreachable as error:
        raise ModelMissing(f"{missing(name, models)} (the hub said: {type(error).__name__})") from error


def _unreachable() -> tuple[type[Exception], ...]:
    """What the hub's client raises without an answer: the error of whatever HTTP library it uses."""
    from huggingface_hub.errors import HfHubHTTPError

    return tuple(c for c in HfHubHTTPError.__mro__[1:] if c.__name__ == "HTTPError")


def _repository(name: str) -> str:
    from faster_whisper.utils import _MODELS

    return cast("str", _MODELS.get(name, name))


def _cached(name: str) -> Path | None:
    from faster_whisper import download_model

    try:
        found = Path(download_model(name.removeprefix("faster-whisper-"), local_files_only=True))
    except (OSError, ValueError):  # not in the cache, or no name the hub could know
        return None
    return found if (found / "model.bin").is_file() else None

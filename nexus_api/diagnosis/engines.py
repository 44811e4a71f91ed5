"""The engines of each step: which one is chosen and why, whether its model is here, and whether it can be asked."""

from collections.abc import Iterator
from http import HTTPStatus

from nexus_api.diagnosis.finding import Finding, fine, warning, wrong
from nexus_api.shown import size
from nexus_pipeline.domain.errors import NexusError
from nexus_pipeline.engines import NONE, load
from nexus_pipeline.engines.site import Weighty
from nexus_pipeline.machine import cores
from nexus_pipeline.wiring import CATALOGUES, Parts, clouds

SETTING = {
    "transcript": "NEXUS_SPEECH",
    "speakers": "NEXUS_SPEAKERS",
    "translation": "NEXUS_TRANSLATOR",
    "enrichment": "NEXUS_ENRICHER",
    "embedding": "NEXUS_EMBEDDER",
    "answers": "NEXUS_ANSWERER",
}
"""By which setting a step's engine is chosen."""
ANSWERS_S = 10.0
_KEY_REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
"""Google says 400 to a key that is none."""


def looked_at(parts: Parts, *, online: bool) -> Iterator[Finding]:
    """Each step's; `online`: whether models can be fetched, and keys are taken."""
    for step in CATALOGUES:
        yield _engine(parts, step)
    if online:
        yield from _hub(parts)
        yield from _keys(parts)


def _engine(parts: Parts, step: str) -> Finding:
    """What the step uses, and why, where a person left the choice to Nexus."""
    from nexus_api.models import chosen

    try:
        name, missing = chosen(parts, step)
    except (NexusError, OSError) as error:
        return wrong(step, str(error), f"look at {SETTING[step]}; these engines there are", "nexus models")
    name += _why(parts, step, name)
    if missing is None:
        return fine(step, name)
    spec = next((one for one in name.partition(" ")[0].split(",")), name)
    if _fetched(parts, step):
        return warning(step, f"{name}: its model is not here", f"it is fetched when it is first needed. {missing}",
                       f"nexus models get {spec}")  # fmt: skip
    return wrong(step, name, missing, f"export {SETTING[step]}={_instead(step)}")


def _fetched(parts: Parts, step: str) -> bool:
    """Whether it has weights that come by themselves; a cloud engine wants a key, which does not."""
    return any(issubclass(load(CATALOGUES[step], spec.engine), Weighty) for spec in parts.engines.specs(step))


def _instead(step: str) -> str:
    """What works on this machine alone."""
    alone = {"transcript": "faster-whisper:auto", "embedding": "minilm", "translation": "whisper"}
    return alone.get(step, "auto" if step in {"enrichment", "answers"} else NONE)


def _why(parts: Parts, step: str, name: str) -> str:
    if step == "transcript" and parts.settings.speech.endswith(":auto"):
        import psutil

        memory = size(psutil.virtual_memory().total)
        gpu = "a CUDA GPU" if "large" in name else "no CUDA GPU"
        return f" (auto: the best for {cores()} cores, {memory} of memory and {gpu})"
    told = {"enrichment": parts.settings.enricher, "answers": parts.settings.answerer}
    if told.get(step) == "auto":
        local = name in {"local", "extractive"}
        set_up = "a cloud engine is set up" if not local else "no key or server of another engine is set"
        return f" (auto: {set_up})"
    if step == "translation" and name != NONE:
        return f" (into {', '.join(parts.settings.translate_to)})"
    return ""


# ---------------------------------------------------------------- asking others


def _hub(parts: Parts) -> Iterator[Finding]:
    """Whether models that are not here can be had."""
    lacking = [step for step in CATALOGUES if _lacks(parts, step)]
    if not lacking:
        return
    from huggingface_hub import constants

    told = _status(str(constants.ENDPOINT), {})
    if isinstance(told, int):
        yield fine("hub", f"{constants.ENDPOINT} answers: models can be fetched")
    else:
        yield wrong(
            "hub",
            f"{constants.ENDPOINT} does not answer ({told}), and the model of {', '.join(lacking)} is not here",
            "bring the model's folder here by hand (docs/engines.md), or mend the network",
            "export NEXUS_MODELS=/path/to/models",
        )


def _lacks(parts: Parts, step: str) -> bool:
    try:
        return parts.engines.missing(step) is not None and _fetched(parts, step)
    except NexusError:
        return False


def _keys(parts: Parts) -> Iterator[Finding]:
    """Whether the keys that are set are taken: their vendors list the models for them."""
    from nexus_pipeline.engines.gemini_line import ADDRESS
    from nexus_pipeline.engines.openai_line import BASE_URL

    for name, cloud in clouds(parts.settings).items():
        if not cloud.there:
            continue
        key = cloud.key.get_secret_value().strip() if cloud.key else "none"
        base = (cloud.base_url or {"gemini": ADDRESS, "openai": BASE_URL}[name]).rstrip("/")
        setting = f"NEXUS_{name.upper()}"
        headers = {"x-goog-api-key": key} if name == "gemini" else {"authorization": f"Bearer {key}"}
        told = _status(f"{base}/v1beta/models" if name == "gemini" else f"{base}/models", headers)
        if not isinstance(told, int):
            hint = f"look at the network, a proxy, or {setting}_BASE_URL"
            yield wrong("keys", f"{name} does not answer ({told})", hint, f"curl -I {base}")
        elif told in _KEY_REFUSED:
            hint = "take one that is valid and may use the model"
            yield wrong("keys", f"{name} refuses the key ({told})", hint, f"export {setting}_API_KEY=...")
        else:
            yield fine("keys", f"{name} answers" + ("" if cloud.key is None else ", and takes the key"))


def _status(url: str, headers: dict[str, str]) -> int | str:
    """What is answered, or why nothing is; never the message, in which a key could stand."""
    import httpx

    try:
        return httpx.get(url, headers=headers, timeout=ANSWERS_S, follow_redirects=False).status_code
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return type(error).__name__

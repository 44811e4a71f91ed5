"""Settings that are none, and settings that do not go together."""

from collections.abc import Iterator

from nexus_api.diagnosis.finding import Finding, fine, warning, wrong
from nexus_pipeline.domain.errors import NexusError
from nexus_pipeline.domain.translations import same
from nexus_pipeline.engines import NONE, EngineSpec
from nexus_pipeline.settings import Settings, unknown


def looked_at(told: Settings) -> Iterator[Finding]:
    """All that can be seen without opening anything."""
    found = [*strangers(), *_together(told)]
    yield from found or [fine("settings", _set(told))]


def strangers() -> Iterator[Finding]:
    """Names that begin as ours and mean nothing: most are slips of the pen."""
    for name, nearest in unknown().items():
        if nearest is None:
            yield warning("settings", f"{name} is no setting", "docs/settings.md lists all of them", f"unset {name}")
        else:
            line = f'export {nearest}="${name}"; unset {name}'
            yield warning("settings", f"{name} is no setting and does nothing", f"did you mean {nearest}?", line)


def _set(told: Settings) -> str:
    names = sorted(told.model_fields_set - {"dagster_home"})
    return f"{len(names)} set: {', '.join(f'NEXUS_{name.upper()}' for name in names)}" if names else "all as by default"


def _together(told: Settings) -> Iterator[Finding]:
    if told.key and not told.url:
        yield warning("settings", "NEXUS_KEY is set, and NEXUS_URL is not", "a key is for a server", "unset NEXUS_KEY")
    if told.s3_endpoint and not any(_is_s3(url) for url in (told.blobs_url, told.inbox_url, told.archive_path)):
        yield warning(
            "settings",
            "NEXUS_S3_ENDPOINT is set, and nothing lies on S3",
            "say what shall lie there, or unset it",
            "export NEXUS_BLOBS=s3://BUCKET/PREFIX",
        )
    if told.know_voices and told.speakers == NONE:
        yield warning(
            "settings",
            "NEXUS_KNOW_VOICES is set, and speakers are not told apart",
            "voices are known by their speakers",
            "export NEXUS_SPEAKERS=sherpa-onnx",
        )
    if told.models is not None and not told.models.expanduser().is_dir():
        yield warning(
            "settings",
            f"NEXUS_MODELS: there is no folder {told.models}",
            "models are fetched into it when they are needed; one that should be there is elsewhere",
            f"ls {told.models}",
        )
    yield from _translating(told)


def _is_s3(url: str) -> bool:
    return url.startswith("s3://")


def _translating(told: Settings) -> Iterator[Finding]:
    """Who is wanted to translate, and into what."""
    if not told.translate_to:
        if "translator" in told.model_fields_set and told.translator != NONE:
            yield warning(
                "settings",
                "NEXUS_TRANSLATOR is set, and NEXUS_TRANSLATE_TO names no language",
                "nothing is translated without one",
                "export NEXUS_TRANSLATE_TO=en",
            )
        return
    if told.translator == NONE:
        yield warning(
            "settings",
            f"NEXUS_TRANSLATE_TO wants {', '.join(told.translate_to)}, and NEXUS_TRANSLATOR is none",
            "nothing is translated",
            "unset NEXUS_TRANSLATOR",
        )
        return
    try:
        whispers = _only_whisper(told)
    except NexusError:  # it names no engine, which the engine's own finding says
        return
    others = [to for to in told.translate_to if not same(to, "en")]
    if whispers and others:
        yield wrong(
            "settings",
            f"NEXUS_TRANSLATE_TO wants {', '.join(others)}, and the speech model translates into English only",
            "choose a language model as translator, or take English alone",
            "export NEXUS_TRANSLATOR=openai:MODEL",
        )


def _only_whisper(told: Settings) -> bool:
    from nexus_pipeline.wiring import auto

    chosen = auto(told, "whisper") if told.translator == "auto" else told.translator
    return all(spec.engine == "whisper" for spec in EngineSpec.parse_all(chosen))

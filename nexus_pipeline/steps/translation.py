"""translation: the transcript in the languages that a person wants: the same segments, ids and times in other words.

Each language is kept as soon as it is there, under a key of its own: one that fails costs no other one, and one that
is wanted later does not have the others made again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial

from pydantic import TypeAdapter

from nexus_pipeline import results
from nexus_pipeline.domain.errors import EngineError
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.states import Skipped
from nexus_pipeline.domain.timeline import Transcript
from nexus_pipeline.domain.translations import Translation, same
from nexus_pipeline.ports import Progress, Sound, Translator
from nexus_pipeline.steps.serving import counted, parameters, served
from nexus_pipeline.steps.step import Landed, Step, Work, one_by_one, silent
from nexus_pipeline.versions import version_key
from nexus_pipeline.wiring import Parts

NAME, CODE = "translation", "1"

_translation = TypeAdapter(Translation)


def translation(work: Work, parts: Parts) -> Landed:
    """Into each language in turn. Where some fail, what was made of the others stands beside the error."""
    said = results.said(work.item, parts)
    engines, meter = counted(parts.engines.translators(work.item))
    wanted = _wanted(work.item, parts)
    found: dict[str, Translation] = {}
    failed: list[EngineError] = []
    instead: dict[str, str] = {}
    for n, to in enumerate(wanted):

        def progress(done: float, n: int = n) -> None:
            work.progress((n + done) / len(wanted))

        try:
            found[to], because = _into(to, work, parts, said, engines=engines, progress=progress)
        except EngineError as refused:
            failed.append(_named(refused, to))
        else:
            instead |= {to: because} if because else {}
    error = next((e for e in failed if e.retryable), failed[0] if failed else None)
    if error is not None and not found:
        raise error
    if failed:  # what there was before of the languages that could not be made again still stands
        found = {to: t for to, t in results.translations(work.item, parts).items() if to in wanted} | found
    numbers = {"languages": len(found), "segments": sum(len(t.segments) for t in found.values())}
    return Landed(
        work,
        result={to: asdict(t) for to, t in found.items()},
        error=error,
        reason="; ".join(f"{to}: {because}" for to, because in instead.items()) or None,
        numbers={**numbers, **meter.usage.numbers},
        engine=",".join(dict.fromkeys(t.engine for t in found.values())) or None,
    )


def _into(
    to: str, work: Work, parts: Parts, said: Transcript, *, engines: Sequence[Translator], progress: Progress
) -> tuple[Translation, str | None]:
    """The kept translation, or a new one, which is kept; and who could not make it, where another engine did."""
    of = results.said_key(work.item, parts)
    key = version_key(NAME, CODE, {"to": to, **parameters(engines)}, [("said", of)])
    kept = work.item.key(NAME, to, f"{key}.json")
    for there in () if work.redo else (kept, work.item.key(NAME, to, results.INHERITED)):
        if parts.blobs.exists(there):
            old = _translation.validate_json(parts.blobs.read(there))
            if _fits(old, said):
                return replace(old, key=key, of=of), None
    hints, sound = parts.hints(work.item), _sound(work.item, parts)
    done = served(
        engines, lambda e: e.translate(said, to, hints=hints, sound=sound, progress=progress, cancelled=work.cancelled)
    )
    made = Translation(done.engine.name, key, of, done.result)
    parts.blobs.put(kept, _translation.dump_json(made))
    return made, done.because


def _fits(old: Translation, said: Transcript) -> bool:
    """Whether it is of these segments: a copy's inherited one is not, once speakers have been told apart anew."""
    own, now = ([(s.id, s.start_s, s.end_s, s.speaker) for s in one.segments] for one in (old, said))
    return own == now


def _sound(item: Item, parts: Parts) -> Sound | None:
    key = results.read(item, "raw", results.RawResult, parts).files.get("speech")
    return partial(parts.blobs.local, key) if key else None


def _named(error: EngineError, to: str) -> EngineError:
    """The same error, which says into which language."""
    told = type(error)(f"into {to}: {error}")
    told.retry_after_s = error.retry_after_s
    return told


def _wanted(item: Item, parts: Parts) -> list[str]:
    return [to for to in parts.settings.translate_to if not same(to, item.language)]


def _skip(item: Item, parts: Parts) -> Skipped | None:
    reason = silent(item, parts)
    if reason is None and not (parts.settings.translate_to and parts.engines.translators(item)):
        reason = Skipped.SWITCHED_OFF
    if reason is None and not _wanted(item, parts):
        reason = Skipped.SAME_LANGUAGE
    return reason


def _parameters(item: Item, parts: Parts) -> Mapping[str, str]:
    to = ",".join(sorted(parts.settings.translate_to))
    return {"to": to, **parameters(parts.engines.translators(item) if to else ())}


TRANSLATION = Step(
    name=NAME,
    code_version=CODE,
    run=one_by_one(translation),
    needs=("raw", "transcript"),
    wants=tuple(name for name in results.SAID if name != "transcript"),
    parameters=_parameters,
    skip=_skip,
    description="The transcript in other languages, with the same segments and times.",
    kinds=("ai",),
)

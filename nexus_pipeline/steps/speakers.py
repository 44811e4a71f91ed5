"""speakers: who speaks when, told apart by voice or by channel; laid over the transcript wherever it is read."""

import time
from collections.abc import Mapping

from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.labels import labelled
from nexus_pipeline.domain.speaking import Speaking
from nexus_pipeline.domain.states import Skipped
from nexus_pipeline.domain.timeline import Transcript
from nexus_pipeline.ports import Speakers
from nexus_pipeline.results import RawResult, read, spoken
from nexus_pipeline.steps.serving import parameters, served
from nexus_pipeline.steps.step import Landed, Step, Work, one_by_one, silent
from nexus_pipeline.wiring import Parts

NAMED = "the transcript names its speakers"
"""Why nobody listened: whoever wrote the file beside the item knows better."""


def speakers(work: Work, parts: Parts) -> Landed:
    """Turns, voices and labels: those of the run before, where the voices are the same."""
    if _named(work.item, parts):
        return Landed(work, result=Speaking(()), reason=NAMED, numbers={"speakers": 0, "turns": 0})
    began = time.monotonic()
    done = served(parts.engines.speakers(work.item), lambda engine: _told_apart(work, parts, engine))
    found = labelled(done.result, _before(work.item, parts))
    if parts.settings.know_voices:
        _know(work.item, found, parts)
    duration_s = work.item.duration_s or 0.0
    numbers = {
        "speakers": len({turn.speaker for turn in found.turns}),
        "turns": len(found.turns),
        "real_time_factor": (time.monotonic() - began) / duration_s if duration_s else 0.0,
    }
    return Landed(work, result=found, reason=done.because, numbers=numbers, engine=done.engine.name)


def _told_apart(work: Work, parts: Parts, engine: Speakers) -> Speaking:
    item, made = work.item, read(work.item, "raw", RawResult, parts)
    key = made.original if engine.hears == "original" else made.files["speech"]
    with parts.blobs.local(key) as audio:
        return engine.tell_apart(audio, item.duration_s or 0.0, item.channels or 1, work.progress, work.cancelled)


def _know(item: Item, found: Speaking, parts: Parts) -> None:
    speaking = {turn.speaker for turn in found.turns}
    parts.archive.know(item, {label: v for label, v in found.voices.items() if label in speaking}, found.space)
    if item.id not in parts.catalog.find([item.id]):  # its rows were taken out before these came
        parts.archive.remove([item.id])


def _named(item: Item, parts: Parts) -> bool:
    return any(segment.speaker for segment in read(item, "transcript", Transcript, parts).segments)


def _before(item: Item, parts: Parts) -> Speaking | None:
    """The newest that was ever found, also where the step was switched off since: its labels may carry names."""
    kept = sorted(parts.blobs.under(item.key("speakers", "")), key=lambda info: info.modified_at, reverse=True)
    return next((one for info in kept if (one := spoken(parts.blobs.read(info.key))).labels), None)


def _skip(item: Item, parts: Parts) -> Skipped | None:
    reason = silent(item, parts) or (None if parts.engines.speakers(item) else Skipped.SWITCHED_OFF)
    return reason or (None if item.channels else Skipped.NO_AUDIO)


def _parameters(item: Item, parts: Parts) -> Mapping[str, str]:
    return parameters(parts.engines.speakers(item))


SPEAKERS = Step(
    name="speakers",
    code_version="2",
    run=one_by_one(speakers),
    needs=("raw", "transcript"),
    parameters=_parameters,
    skip=_skip,
    description="Who speaks when, and whose voice it is; labels stay with the voice when it is done again.",
    kinds=("onnx",),
)

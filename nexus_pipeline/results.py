"""What steps have left as blobs, read back: by later steps, by upkeep, by people."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from nexus_pipeline.domain import edits, errors
from nexus_pipeline.domain.edits import Laid
from nexus_pipeline.domain.items import Item, MediaFacts
from nexus_pipeline.domain.passages import Passage, passages, summaries
from nexus_pipeline.domain.speaking import Speaking, laid, named
from nexus_pipeline.domain.states import State
from nexus_pipeline.domain.timeline import Coverage, Enrichment, Segment, Transcript
from nexus_pipeline.domain.translations import Translation
from nexus_pipeline.ports import ItemPassages, Vectors
from nexus_pipeline.wiring import Parts

R = TypeVar("R")


@dataclass(frozen=True)
class RawResult:
    """What raw has kept: keys of the bytes as fetched, of the transcript beside them, of `files` made from them."""

    original: str
    files: dict[str, str]
    transcript: str | None = None
    media: MediaFacts | None = None


INHERITED = "inherited.json"
"""A transcript or a translation that a copy took over when its first was erased: it is not made again."""

SAID = ("transcript", "speakers")
"""Steps that `said` is made of; where nobody is told apart, of the first alone."""

APART = 1_000_000
"""Between the positions of two languages' passages: their ids never meet, and neighbours are of one language."""

_segments = TypeAdapter(list[Segment])
_transcript = TypeAdapter(Transcript)
_speaking: TypeAdapter[Speaking | None] = TypeAdapter(Speaking | None)
_translation = TypeAdapter(Translation)
_translations = TypeAdapter(dict[str, Translation])


def result_of(kind: type[R], data: bytes) -> R:
    """The result inside what was kept."""
    return TypeAdapter(kind).validate_python(json.loads(data)["result"])


def read(item: Item, step: str, kind: type[R], parts: Parts) -> R:
    """The result of a step that counts now. Raises NotFound when there is none."""
    blob = item.step(step).blob
    if blob is None:
        raise errors.NotFound(f"item {item.id} has no {step} yet")
    return result_of(kind, parts.blobs.read(blob))


def said(item: Item, parts: Parts) -> Transcript:
    """What was said and by whom, as people edited it: what later steps read. Raises NotFound without a transcript."""
    return edits.without_empty(edited(item, parts).transcript)


def heard(item: Item, parts: Parts) -> Transcript:
    """The transcript that counts, speakers laid over it, with the names that people gave, without people's edits.

    Raises NotFound where there is no transcript.
    """
    return laid(read(item, "transcript", Transcript, parts), speaking_of(item, parts).turns, item.speakers)


def edited(item: Item, parts: Parts) -> Laid:
    """The same with people's edits over it, and which of them stand where. Raises NotFound."""
    if item.edited is None:
        return Laid(heard(item, parts))
    wrote = parts.catalog.edits(item.id)
    found = edits.lay(heard(item, parts), wrote, item.duration_s)
    if not any(one.what == "speaker" for one in wrote):
        return found
    return replace(found, transcript=named(found.transcript, item.speakers))


def said_key(item: Item, parts: Parts) -> str:
    """The version of the segments that `said` gives: a translation's are the same ones."""
    made = [item.step(name) for name in SAID if name != "speakers" or speaking_of(item, parts).turns]
    return "+".join(status.version_key or "" for status in made)


def speaking_of(item: Item, parts: Parts) -> Speaking:
    """Who speaks when; nobody where the step was left out, or did not land yet."""
    blob = item.step("speakers").blob
    try:
        return spoken(parts.blobs.read(blob)) if blob else Speaking(())
    except errors.NotFound:
        return Speaking(())


def spoken(data: bytes) -> Speaking:
    """What the step speakers has kept; nobody where it was left out."""
    return _speaking.validate_python(json.loads(data)["result"]) or Speaking(())


def transcript_of(item: Item, parts: Parts, *, as_heard: bool = False) -> Transcript | None:
    """What people read: a duplicate's is the first's, shifted; what has been heard so far while it is being heard.

    A segment that a person emptied is there, without text. `as_heard`: without people's edits.
    """
    if item.duplicate_of is not None:
        first = transcript_of(parts.catalog.get(item.duplicate_of), parts, as_heard=as_heard)
        return _shifted(first, -item.duplicate_offset_s, item.duration_s) if first else None
    if item.step("transcript").blob is not None:
        try:
            return heard(item, parts) if as_heard else edited(item, parts).transcript
        except errors.NotFound:
            return None
    return _partial(item, parts)


def dumped(transcript: Transcript) -> bytes:
    """A transcript as JSON."""
    return _transcript.dump_json(transcript)


def handed_on(told: Transcript) -> bytes:
    """A translation that people read as JSON, for an item whose transcript is not known yet."""
    return _translation.dump_json(Translation(told.engine, "", "", told.segments))


def _shifted(first: Transcript, by_s: float, duration_s: float | None) -> Transcript:
    """Only what lies in the copy: it may lack the first's beginning or end."""
    until_s = duration_s or float("inf")
    segments = tuple(s.shifted(by_s) for s in first.segments if s.end_s + by_s > 0 and s.start_s + by_s < until_s)
    return Transcript(first.language, first.engine, segments, first.coverage.shifted(by_s), first.speakers)


def window_of(owner: str, item_id: str, n: int, parts: Parts) -> tuple[Segment, ...]:
    """What was heard in one window, while it is being heard. Raises NotFound once the transcript has replaced it."""
    key = f"items/{owner}/{item_id}/transcript/partial/{n}.json"
    return tuple(_segments.validate_json(parts.blobs.read(key)))


def _partial(item: Item, parts: Parts) -> Transcript | None:
    keys = [info.key for info in parts.blobs.under(item.key("transcript", "partial", ""))]
    segments: list[Segment] = []
    for key in sorted(keys, key=lambda k: int(k.rsplit("/", 1)[1].removesuffix(".json"))):
        segments += _segments.validate_json(parts.blobs.read(key))
    return Transcript(item.language, "", tuple(segments), Coverage(0.0, 0.0)) if segments else None


def translations(item: Item, parts: Parts) -> dict[str, Translation]:
    """By language, what was made of the transcript that counts; also where a language is still to come."""
    status = item.step("translation")
    if status.blob is None or status.state is State.SKIPPED:
        return {}
    try:
        told = json.loads(parts.blobs.read(status.blob))["result"]
    except errors.NotFound:
        return {}
    # none: it was skipped before, and has not been made yet
    found, key = _translations.validate_python(told or {}), said_key(item, parts)
    standing = {to: one for to, one in sorted(found.items()) if one.of == key}
    if item.edited is None or not standing:
        return standing
    now = {segment.id: segment for segment in said(item, parts).segments}
    return {to: _followed(one, now) for to, one in standing.items()}


def _followed(told: Translation, now: Mapping[int, Segment]) -> Translation:
    """Nothing of what a person took out, and by whom they say that it was said; new words come when it is made anew."""
    kept = (replace(s, speaker=now[s.id].speaker) for s in told.segments if s.id in now)
    return replace(told, segments=tuple(kept))


def translations_of(item: Item, parts: Parts) -> dict[str, Transcript]:
    """What people read, by language; a duplicate's are the first's, shifted."""
    if item.duplicate_of is not None:
        found = translations_of(parts.catalog.get(item.duplicate_of), parts)
        return {to: _shifted(one, -item.duplicate_offset_s, item.duration_s) for to, one in found.items()}
    told = translations(item, parts)
    whole = transcript_of(item, parts) if told else None
    return {to: replace(whole, language=to, engine=t.engine, segments=t.segments) for to, t in told.items() if whole}


def enrichment_of(item: Item, parts: Parts) -> Enrichment | None:
    """The enrichment that counts, if there is one, with what people did to its action items.

    A duplicate's is the first's, in its own seconds.
    """
    if item.duplicate_of is not None:
        first = enrichment_of(parts.catalog.get(item.duplicate_of), parts)
        return first.shifted(-item.duplicate_offset_s, item.duration_s or float("inf")) if first else None
    found = _enriched(item, parts)
    if found is None:
        return None
    # none: it was enriched before the catalog kept them, or nothing was promised
    return replace(found, action_items=parts.catalog.action_items(item.id) or found.action_items)


def peaks_key(item: Item, version_key: str) -> str:
    """Where the peaks of an item's sound are kept."""
    return item.key("fingerprint", f"{version_key}.peaks")


def peaks_of(item: Item, parts: Parts) -> bytes | None:
    """Peaks for drawing, as domain.waveform made them; None where there is no sound or nobody listened yet."""
    version_key = item.step("fingerprint").version_key
    key = peaks_key(item, version_key) if version_key else None
    return parts.blobs.read(key) if key and parts.blobs.exists(key) else None


# ---------------------------------------------------------------- passages and vectors


def cut(item: Item, parts: Parts) -> list[Passage]:
    """The item's passages: of the transcript that counts, of its translations, and of the summary that a model made."""
    transcript = said(item, parts)
    found = passages(transcript.segments, title=item.title, names=transcript.speakers)
    for n, (language, told) in enumerate(translations(item, parts).items(), 1):
        own = passages(told.segments, title=item.title, names=transcript.speakers)
        found += [replace(p, position=n * APART + p.position, language=language) for p in own]
    enriched = _enriched(item, parts)
    if enriched is not None:
        until_s = item.duration_s or max((p.end_s for p in found), default=0.0)
        text = enriched.summary_long or enriched.summary
        found += summaries(text, title=item.title, until_s=until_s, said=found)
    return found


def _enriched(item: Item, parts: Parts) -> Enrichment | None:
    status = item.step("enrichment")
    return read(item, "enrichment", Enrichment, parts) if status.state == "done" and status.blob else None


def rows(item: Item, found: list[Passage], vectors: Vectors, parts: Parts) -> ItemPassages:
    """What stands in the archive for the item, with the tags that people gave and a model inferred."""
    enriched = _enriched(item, parts)
    tags = tuple(sorted({*item.tags, *(enriched.tags if enriched else ())}))
    return ItemPassages(item, found, vectors, tags=tags, language=item.language)


def vectors_key(item: Item, version_key: str) -> str:
    """Where an item's vectors are kept."""
    return item.key("embedding", f"{version_key}.arrow")


def arrow(vectors: Vectors) -> bytes:
    """Arrow IPC file of one column `vector`, fixed-size lists of float32."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    table, sink = pa.table({"vector": column}), io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def vectors_of(data: bytes) -> Vectors:
    """The vectors inside a kept Arrow file: shape (n, dimensions)."""
    column = pa.ipc.open_file(pa.BufferReader(data)).read_all().column("vector").combine_chunks()
    flat = np.asarray(column.flatten(), np.float32)
    return flat.reshape(len(column), column.type.list_size)

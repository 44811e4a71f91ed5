"""What people say of an item: title, tags, names of speakers, and what stands in its transcript.

Names and segments of a copy are its first's, as action items are: whoever reads one of the two reads the other.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from nexus_api.shown import Json, instant
from nexus_pipeline import results
from nexus_pipeline.domain.edits import Edit, Wish, told
from nexus_pipeline.domain.errors import BadInput, NotFound
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.timeline import Transcript
from nexus_pipeline.wiring import Parts

FOLLOWS = "embedding"
"""The step in whose result all of it stands."""

_MACHINES = re.compile(r"S\d+")


def patch(
    item: Item,
    parts: Parts,
    *,
    speakers: Mapping[str, str | None] | None = None,
    segments: Sequence[Json] = (),
    **fields: Any,
) -> Item:
    """The item as it is then; what is searched follows, by a run that is asked for in the same transaction.

    Raises BadInput for a label or a segment that is not there, NotFound for segments without a transcript.
    """
    first = item if item.duplicate_of is None else parts.catalog.get(item.duplicate_of)
    _labels_are_there(first, speakers or {}, parts)
    fresh, gone = _edits(first, segments, parts)
    of_first: dict[str, Any] = {"speakers": speakers, "edits": fresh, "taken_back": gone}
    if first.id == item.id:
        return parts.catalog.edit(item.id, again=FOLLOWS, **of_first, **fields)
    if any(of_first.values()):
        parts.catalog.edit(first.id, again=FOLLOWS, **of_first)
    return parts.catalog.edit(item.id, again=FOLLOWS, **fields) if fields else parts.catalog.get(item.id)


def history(item: Item, parts: Parts, limit: int, cursor: str | None) -> Json:
    """What people wrote over the transcript, in the order in which they did; of a copy: over its first's.

    Raises BadInput for a cursor that is none.
    """
    if cursor is not None and not cursor.isdecimal():
        raise BadInput("this cursor is none: begin without one")
    first = item if item.duplicate_of is None else parts.catalog.get(item.duplicate_of)
    wrote = [one for one in parts.catalog.edits(first.id) if one.id > int(cursor or 0)]
    standing = _standing(first, parts) if wrote else {}
    by_s = item.duplicate_offset_s if item.duplicate_of else 0.0
    page, rest = wrote[:limit], wrote[limit:]
    items = [_shown(one, by_s, standing.get(one.id, [])) for one in page]
    return {"items": items, "next_cursor": str(page[-1].id) if rest else None}


def _standing(item: Item, parts: Parts) -> dict[int, list[int]]:
    """By an edit's id the segments in which it stands; none where there is no transcript now."""
    found: dict[int, list[int]] = {}
    try:
        laid = results.edited(item, parts)
    except NotFound:
        return found
    for segment_id, ids in laid.by_segment.items():
        for number in ids:
            found.setdefault(number, []).append(segment_id)
    return found


def _shown(one: Edit, by_s: float, segments: list[int]) -> Json:
    at = {"start_s": round(one.start_s - by_s, 3), "end_s": round(one.end_s - by_s, 3)}
    return {**at, "what": one.what, "old": one.old, "new": one.new, "at": instant(one.at), "segments": sorted(segments)}


def _labels_are_there(item: Item, labels: Collection[str], parts: Parts) -> None:
    if not labels:
        return
    found = results.transcript_of(item, parts)
    there = {s.speaker for s in found.segments if s.speaker} if found else set()
    unknown = sorted(set(labels) - there - set(item.speakers))
    if unknown:
        told = ", ".join(sorted(there)) or "no speakers"
        raise BadInput(f"nobody in item {item.id} is labelled {', '.join(unknown)}: its transcript has {told}")


# ---------------------------------------------------------------- segments


def _edits(item: Item, segments: Sequence[Json], parts: Parts) -> tuple[list[Edit], set[int]]:
    if not segments:
        return [], set()
    if item.step("transcript").blob is None:
        raise NotFound(f"item {item.id} has no whole transcript yet: what is said in it can be changed when it has")
    now = results.edited(item, parts).transcript
    wishes = [wish for one in segments for wish in _wishes(one, now)]
    try:
        return told(results.heard(item, parts), parts.catalog.edits(item.id), wishes, item.duration_s)
    except KeyError as error:
        ids = sorted(s.id for s in now.segments)
        has = f"those of {ids[0]} to {ids[-1]}" if ids else "none"
        raise BadInput(f"item {item.id} has no segment {error.args[0]}: its transcript has {has}") from error


def _wishes(one: Json, now: Transcript) -> Iterator[Wish]:
    if "text" in one:
        yield Wish(one["id"], "text", one["text"])
    if "speaker" in one:
        told = one["speaker"]
        yield Wish(one["id"], "speaker", None if told is None else _label(told, now))


def _label(told: str, now: Transcript) -> str:
    """A label of the transcript, the one of this name, or a new one, which no machine may give to another voice."""
    labels = {s.speaker for s in now.segments if s.speaker}
    named = [label for label in labels if now.speakers.get(label, "").casefold() == told.casefold()]
    if told in labels:
        return told
    if len(named) == 1:
        return named[0]
    if _MACHINES.fullmatch(told):
        has = ", ".join(sorted(labels)) or "no speakers"
        raise BadInput(f"nobody is labelled {told}: the transcript has {has}; who is new has a name")
    return told

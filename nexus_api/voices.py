"""Who speaks in an item, and who they may be: names that the same voice has in other items of its owner."""

from pydantic import BaseModel

from nexus_api.shown import Json
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.labels import ALIKE
from nexus_pipeline.wiring import Parts


class Proposal(BaseModel):
    """A name that a voice like this one has in another item; `likeness` is at most 1."""

    name: str
    item_id: str
    label: str
    likeness: float


class Speaker(BaseModel):
    """Somebody who speaks, for so many seconds; `name` is null until a person gives one."""

    label: str
    name: str | None
    seconds: float
    proposals: list[Proposal]


class Speakers(BaseModel):
    """Who speaks in an item, the longest first; of a copy, in its first."""

    item_id: str
    speakers: list[Speaker]


def speakers(item: Item, parts: Parts) -> Json:
    """Everybody who speaks, the longest first; proposals for those without a name, the most alike first."""
    from nexus_pipeline.results import speaking_of

    speaking = speaking_of(item, parts)
    seconds: dict[str, float] = {}
    for turn in speaking.turns:
        seconds[turn.speaker] = seconds.get(turn.speaker, 0.0) + turn.end_s - turn.start_s
    told = [
        {
            "label": label,
            "name": item.speakers.get(label),
            "seconds": round(s, 3),
            "proposals": []
            if label in item.speakers
            else proposals(item, speaking.space, speaking.voices.get(label), parts),
        }
        for label, s in sorted(seconds.items(), key=lambda pair: -pair[1])
    ]
    return {"item_id": item.id, "speakers": told}


def proposals(item: Item, space: str, voice: tuple[float, ...] | None, parts: Parts) -> list[Json]:
    """Names of voices like this one; none where nobody asked for that."""
    if voice is None or not parts.settings.know_voices:
        return []
    found = parts.archive.alike(voice, space, owner=item.owner, but=item.id, least=ALIKE)
    items = parts.catalog.find(list(dict.fromkeys(one.item_id for one in found)))
    named: dict[str, Json] = {}
    for one in found:
        name = items[one.item_id].speakers.get(one.label) if one.item_id in items else None
        if name and name not in named:
            told = {"item_id": one.item_id, "label": one.label, "likeness": round(one.likeness, 4)}
            named[name] = {"name": name, **told}
    return list(named.values())

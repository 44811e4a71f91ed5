"""A language model's answer as an enrichment: what has no quote in the transcript is dropped, odd values are set right.

The second of everything is the one at which its quote stands, not the one that the model wrote.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from nexus_pipeline.domain.timeline import ActionItem, Chapter, Entity, Sentiment, SpeakerName
from nexus_pipeline.engines.extractive import CATEGORIES, OTHER
from nexus_pipeline.engines.forms import KINDS, PRIORITIES, SENTIMENTS, Feeling, Told, Whole
from nexus_pipeline.engines.quotes import Said, names, plain

MOST_CHAPTERS, MOST_ACTION_ITEMS, MOST_ENTITIES, MOST_SPEAKERS = 40, 100, 50, 40
MOST_TOPICS, MOST_TAGS = 8, 12
SHORTEST_CHAPTER_S = 10.0
"""Of two chapters that begin closer together the later one is dropped."""
SAME_S = 10.0
"""Two parts of a transcript overlap: the same thing said within so many seconds was found twice."""
SAME = 80.0
"""Of 100: so alike are two tasks that are one."""

_SUMMARY, _SUMMARY_LONG, _TITLE, _PHRASE, _TASK, _NAME = 1000, 8000, 200, 60, 300, 100  # letters
_NEUTRAL = 0.2  # a score as near to 0 as this is neutral, where the label is none of ours


@dataclass(frozen=True, slots=True)
class Proven:
    """What stands in one transcript, or in one part of it; chapters still without their ends."""

    chapters: tuple[Chapter, ...]
    action_items: tuple[ActionItem, ...]
    entities: tuple[Entity, ...]
    speakers: tuple[SpeakerName, ...]


def proven(told: Told, said: Said, labels: Collection[str]) -> Proven:
    """The lists of an answer, as far as their quotes stand. `labels`: speakers that have no name yet."""
    return Proven(
        tuple(_chapters(told, said)),
        tuple(_action_items(told, said)),
        tuple(_entities(told, said)),
        tuple(_speakers(told, said, labels)),
    )


def joined(parts: Sequence[tuple[Proven, float]], ends_s: float) -> Proven:
    """The lists of several parts as one, in order and without what two of them found in their overlap.

    With each part comes the second at which the part before it ended: what begins before, that one has seen too.
    """
    chapters = [c for part, seen_s in parts for c in part.chapters if c.start_s >= seen_s]
    found = sorted(_once(part.action_items for part, _ in parts), key=lambda a: a.at_s)
    entities: dict[str, Entity] = {}
    speakers: dict[str, SpeakerName] = {}
    for part, _ in parts:
        for entity in part.entities:
            entities.setdefault(plain(entity.name), entity)
        for speaker in part.speakers:
            speakers.setdefault(speaker.label, speaker)
    return Proven(
        _ended(chapters, ends_s),
        tuple(replace(a, n=n) for n, a in enumerate(found[:MOST_ACTION_ITEMS], 1)),
        tuple(entities.values())[:MOST_ENTITIES],
        tuple(speakers.values())[:MOST_SPEAKERS],
    )


def category(told: Whole) -> str:
    """One of ours."""
    found = told.category.strip().lower()
    return found if found in CATEGORIES else OTHER


def sentiment(feelings: Sequence[tuple[Feeling, float]]) -> Sentiment:
    """The mean of parts of these lengths, between -1 and 1; the label is that of the only part, or follows."""
    weights = sum(weight for _, weight in feelings) or 1.0
    score = round(sum(_score(feeling) * weight for feeling, weight in feelings) / weights, 4)
    label = feelings[0][0].label.strip().lower() if len(feelings) == 1 else ""
    if label not in SENTIMENTS:
        label = "neutral" if abs(score) < _NEUTRAL else "positive" if score > 0 else "negative"
    return Sentiment(label, score)


def phrases(told: Iterable[str], most: int, *, lower: bool = False) -> tuple[str, ...]:
    """Topics or tags: each once, without regard to case, so many at most."""
    kept: dict[str, str] = {}
    for one in told:
        if key := plain(one):
            kept.setdefault(key, short(one.lower() if lower else one, _PHRASE))
    return tuple(kept.values())[:most]


def summaries(told: Whole) -> tuple[str, str]:
    """Short and long; paragraphs of the long one stay."""
    paragraphs = [short(p, _SUMMARY_LONG) for p in told.summary_long.splitlines() if p.strip()]
    brief = short(told.summary, _SUMMARY)
    return brief, _cut("\n\n".join(paragraphs), _SUMMARY_LONG) or brief


def title(told: Whole, instead: str) -> str:
    """What it might be called."""
    return short(told.suggested_title, _TITLE).strip("\"'“”„") or instead


def short(text: str, most: int) -> str:
    """One line without control characters, cut at a word."""
    return _cut(" ".join("".join(c if c.isprintable() else " " for c in text).split()), most)


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return text[: most - 1].rsplit(" ", 1)[0].rstrip() + "…"


def _score(feeling: Feeling) -> float:
    return min(max(feeling.score, -1.0), 1.0) if math.isfinite(feeling.score) else 0.0


def _near(second: float) -> float:
    return second if math.isfinite(second) else 0.0


def _chapters(told: Told, said: Said) -> Iterable[Chapter]:
    for one in told.chapters:
        place = said.find(one.quote, _near(one.start_s))
        if place and (name := short(one.title, _NAME)):
            yield Chapter(place.at_s, place.at_s, name)


def _ended(chapters: Iterable[Chapter], ends_s: float) -> tuple[Chapter, ...]:
    """In order, each up to the next one, the last one to the item's end."""
    kept: list[Chapter] = []
    for one in sorted(chapters, key=lambda c: c.start_s):
        if not kept or one.start_s - kept[-1].start_s >= SHORTEST_CHAPTER_S:
            kept.append(one)
    kept = kept[:MOST_CHAPTERS]
    ends = [after.start_s for _, after in pairwise(kept)] + [ends_s]
    return tuple(replace(c, end_s=round(max(end, c.start_s), 3)) for c, end in zip(kept, ends, strict=False))


def _action_items(told: Told, said: Said) -> Iterable[ActionItem]:
    for one in told.action_items:
        place, task = said.find(one.quote, _near(one.at_s)), short(one.task, _TASK)
        if place is None or not task:
            continue
        priority = one.priority.strip().lower()
        yield ActionItem(
            n=0,
            task=task,
            priority=priority if priority in PRIORITIES else "medium",
            at_s=place.at_s,
            context=place.text,
            assignee=short(one.assignee or "", _NAME) or None,
            estimate=short(one.estimate or "", _NAME) or None,
        )


def _once(parts: Iterable[Iterable[ActionItem]]) -> list[ActionItem]:
    """Of all parts; what a part found that one before it has found, too, is left out."""
    from rapidfuzz import fuzz

    kept: list[ActionItem] = []
    for part in parts:
        before = tuple(kept)
        for one in part:
            twins = (k for k in before if abs(k.at_s - one.at_s) <= SAME_S)
            if not any(fuzz.token_sort_ratio(plain(one.task), plain(twin.task)) >= SAME for twin in twins):
                kept.append(one)
    return kept


def _entities(told: Told, said: Said) -> Iterable[Entity]:
    for one in told.entities:
        place, name = said.find(one.quote, _near(one.at_s)), short(one.name, _NAME)
        if place and names(name, place.text):
            kind = one.kind.strip().lower()
            yield Entity(name, kind if kind in KINDS else "name", place.at_s)


def _speakers(told: Told, said: Said, labels: Collection[str]) -> Iterable[SpeakerName]:
    for one in told.speakers:
        label, name = one.label.strip(), short(one.name, _NAME)
        place = said.find(one.quote, _near(one.at_s))
        if place and label in labels and names(name, place.text):
            yield SpeakerName(label, name, place.text, place.at_s)

"""What a question says besides the words that are looked for. Pure.

Whom it names, which item by its title, when in an item, whether of an item as a whole, and what it tells in passing
only. Read for English; in other languages names and titles are found, too, and times as numbers (`12:30`).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from nexus_pipeline.domain.asking import SCAFFOLDING, STOP

LOWER = 0.5
"""How surely a single word in small letters names somebody: `marketing` may be the subject as well as the role."""
LEAST = 0.4
"""Share of a name, by the rarity of its words, that must stand in the question."""
LEAST_OF_TITLE = 0.6
"""The same of a title: fewer of its words may be what the question is about."""
NEAR_S = 90.0
"""Around a second that a question tells."""

_WORD = re.compile(r"[^\W_]+")
_SCAFFOLDING = STOP | SCAFFOLDING
_PARTS = re.compile(r"[()\[\],;/·|]|\s[\u2013\u2014-]\s")
_SMALL = frozenset({"of", "the", "and", "for", "to", "in", "a", "an", "de", "la", "von", "van", "und", "der", "die"})
_CLOCK = r"(?:(\d{1,2}):)?(\d{1,3}):([0-5]\d)"
_MINUTE = r"(\d{1,3})(?:st|nd|rd|th)?"
_TIME = rf"(?:{_CLOCK}|minute\s+{_MINUTE}|{_MINUTE}\s+minutes?)"
_AT = re.compile(rf"\b(?:at|around|near|about|by)\s+(?:the\s+)?{_TIME}\b", re.IGNORECASE)
_FIRST = re.compile(rf"\bfirst\s+{_MINUTE}\s+minutes\b", re.IGNORECASE)
_SIDE = re.compile(rf"\b(after|before)\s+{_TIME}\b", re.IGNORECASE)
ITEM = r"(?:recording|video|meeting|session|episode|talk|call|podcast|interview|lecture|film|show)s?"
"""What people call an item."""
_WHOLE = re.compile(
    rf"\b(?:summary|overview|gist|recap)\b"
    rf"|\b(?:summari[sz]e|sum\s+up)\s+(?:(?:the|this|that|each|whole|entire)\s+)*{ITEM}\b"
    rf"|\bwhat\b.{{0,30}}\b{ITEM}\s+(?:\w+\s+)?about\W*$",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"\s*,?\s*\b(?:when|while)\s+\w+ing\b"
    r"|\s*,?\s*\bduring\s+the\s+\w+(?:\s+\w+)?\s+(?:of|about|on)\b",
    re.IGNORECASE,
)


def main(text: str) -> str:
    """The question without the clause that tells on which occasion: `when discussing the budget`, `while cooking`.

    What is said there is said around the moment rather than in it. The whole text where nothing stands before it.
    """
    found = _ASIDE.search(text)
    before = text[: found.start()].strip() if found else ""
    return before or text


def whole(text: str) -> bool:
    """Whether it asks what an item is about as a whole (a summary answers), and not for a moment in it."""
    return _WHOLE.search(text) is not None


@dataclass(frozen=True, slots=True)
class When:
    """Seconds of an item that a question asks for."""

    start_s: float
    end_s: float


def when(text: str) -> When | None:
    """`around minute 12`, `at 1:02:30`, `in the first 5 minutes`, `after 10:00`; None where no time is told."""
    if found := _FIRST.search(text):
        return When(0.0, 60.0 * int(found[1]))
    if found := _SIDE.search(text):
        at_s = _seconds(found.groups()[1:])
        return When(at_s, float("inf")) if found[1].lower() == "after" else When(0.0, at_s)
    if found := _AT.search(text):
        at_s = _seconds(found.groups())
        return When(at_s - NEAR_S, at_s + NEAR_S)
    return None


def _seconds(groups: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, *alone = groups
    if minutes is not None:
        return 3600.0 * int(hours or 0) + 60.0 * int(minutes) + int(seconds or 0)
    return 60.0 * int(next(one for one in alone if one is not None))


@dataclass(frozen=True, slots=True)
class _Label:
    """One way to call a speaker: a name or a role; `front` is what stands before the brackets of its label."""

    front: str
    words: tuple[str, ...]


def named(text: str, labels: Iterable[str]) -> dict[str, float]:
    """How surely each speaker's label is named in a question, 0 to 1; those that are not are left out.

    A label may hold a role in brackets: `Ann Lee (Minister of Health)`; then `Ann Lee` alone is the same person. Words
    count by their rarity among the speakers, so `Bains` names `Hon. Navdeep Bains` and `Hon.` nobody, and `Grad F` is
    not also `Grad E`.
    """
    there = [label for label in dict.fromkeys(labels) if label.strip()]
    found = _called(_Told(text), there, LEAST)
    beaten = {a for a in found for b in found if found[a].words < found[b].words}
    return {label: found[f].sure for label in there if (f := _front(label)) in found and f not in beaten}


def entitled(text: str, titles: Iterable[str]) -> dict[str, float]:
    """How surely each title is named in a question, 0 to 1; those that are not are left out.

    Words count by their rarity among the titles. One word in small letters is a subject and no title; and words that
    stand in several titles alike name none of them.
    """
    plain = {title: " ".join(w for w in _WORD.findall(title) if w.lower() not in _SCAFFOLDING) for title in titles}
    called = _called(_Told(text, letters=True), [told for told in plain.values() if told], LEAST_OF_TITLE)
    alike = {a for a in called for b in called if a != b and called[a].words <= called[b].words}
    sure = {front: one.sure for front, one in called.items() if front not in alike and one.sure > LOWER}
    return {title: sure[front] for title, told in plain.items() if (front := _front(told)) in sure}


@dataclass(frozen=True, slots=True)
class _Called:
    """How surely something is named, and with which words."""

    sure: float
    words: frozenset[str]


def _called(told: "_Told", labels: Iterable[str], least: float) -> dict[str, _Called]:
    """What is named with so great a share of its words at least, by what stands before its brackets."""
    calls = _calls(labels)
    rarity = _rarity(calls.values())
    found: dict[str, _Called] = {}
    for front, ways in calls.items():
        if not any(told.words.intersection(way) for way in ways):
            continue
        best = max(ways, key=lambda way: told.share(way, rarity))
        share = told.share(best, rarity)
        if share >= least:
            found[front] = _Called(share, frozenset(told.found(best)))
    return found


class _Told:
    """The words of a question, and which of them are written as names.

    `letters`: whether single letters and digits of a name count; else where the question has any.
    """

    def __init__(self, text: str, *, letters: bool = False) -> None:
        words = _WORD.findall(text)
        self.words = {w.lower() for w in words}
        # a sentence may begin with the article `A`
        named = [*(w for w in words[:1] if len(w) > 1), *words[1:]]
        self.large = {w.lower() for w in named if w[0].isupper() or w[0].isdigit()}
        self.letters = letters or any(len(w) == 1 for w in self.large)

    def found(self, way: tuple[str, ...]) -> list[str]:
        return [w for w in way if w in (self.large if len(w) == 1 else self.words)]

    def share(self, way: tuple[str, ...], rarity: Mapping[str, float]) -> float:
        """Of a name's words, by their rarity."""
        counted = [w for w in way if len(w) > 1 or self.letters] or list(way)
        found = [w for w in counted if w in (self.large if len(w) == 1 else self.words)]
        whole = sum(rarity[w] for w in counted)
        if not found or not whole:
            return 0.0
        share = sum(rarity[w] for w in found) / whole
        if any(w in self.large for w in found):
            return share
        if len(found) < len(counted):
            return 0.0
        return share if len(found) > 1 else LOWER * share


@lru_cache(maxsize=10_000)
def _front(label: str) -> str:
    return _PARTS.split(label, maxsplit=1)[0].strip().lower() or label.strip().lower()


def _calls(labels: Iterable[str]) -> dict[str, set[tuple[str, ...]]]:
    """Every way to call each speaker, by what stands before the brackets."""
    found: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for label in labels:
        found[_front(label)].update(_ways(label))
    return found


@lru_cache(maxsize=10_000)
def _ways(label: str) -> frozenset[tuple[str, ...]]:
    """The whole label and each of its parts, as words."""
    told = (tuple(w for w in _WORD.findall(part.lower()) if w not in _SMALL) for part in (label, *_PARTS.split(label)))
    return frozenset(words for words in told if words)


def _rarity(calls: Iterable[set[tuple[str, ...]]]) -> dict[str, float]:
    """One over the number of speakers in whose names a word stands."""
    often: dict[str, int] = defaultdict(int)
    for ways in calls:
        for word in {w for way in ways for w in way}:
            often[word] += 1
    return {word: 1.0 / n for word, n in often.items()}

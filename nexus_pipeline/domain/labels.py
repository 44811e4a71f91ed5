"""Labels of speakers stay with the voice when a step runs again: matched by how alike they are, never by order."""

from collections.abc import Iterator
from itertools import count

from nexus_pipeline.domain.speaking import Speaking, Turn

ALIKE = 0.5
"""Voices of the same recording are the same from this cosine on; without voices, turns that share this much time."""


def labelled(found: Speaking, kept: Speaking | None) -> Speaking:
    """`found` with the labels that its voices had in `kept`, and new ones (`S1`, `S2` ...) for voices that are new.

    A label is given once: whoever is not found this time keeps label and voice for the next.
    """
    before = kept or Speaking(())
    own = list(dict.fromkeys(t.speaker for t in sorted(found.turns, key=lambda t: t.start_s)))
    names = _matched(found, before)
    fresh = _fresh(before)
    names |= {one: next(fresh) for one in own if one not in names}
    turns = tuple(Turn(t.start_s, t.end_s, names[t.speaker]) for t in found.turns)
    voices = dict(before.voices) if before.space == found.space else {}
    voices |= {names[one]: voice for one, voice in found.voices.items() if one in names}
    labels = tuple(dict.fromkeys((*before.labels, *(names[one] for one in own))))
    return Speaking(turns, voices, found.space, labels)


def cosine(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Of two unit vectors: 1 for the same voice."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def _matched(found: Speaking, before: Speaking) -> dict[str, str]:
    """The most alike first, each once."""
    alike = list(_by_voice(found, before) if found.space and found.space == before.space else _by_time(found, before))
    names: dict[str, str] = {}
    for likeness, one, label in sorted(alike, key=lambda pair: (-pair[0], pair[1:])):
        if likeness >= ALIKE and one not in names and label not in names.values():
            names[one] = label
    return names


def _by_voice(found: Speaking, before: Speaking) -> Iterator[tuple[float, str, str]]:
    for one, voice in found.voices.items():
        for label, kept in before.voices.items():
            yield cosine(voice, kept), one, label


def _by_time(found: Speaking, before: Speaking) -> Iterator[tuple[float, str, str]]:
    """The share of the shorter one's seconds that both have: one recording, heard by two engines."""
    own, kept = _spoken(found), _spoken(before)
    for one, turns in own.items():
        for label, others in kept.items():
            least = min(_seconds(turns), _seconds(others))
            yield (_shared(turns, others) / least if least > 0 else 0.0), one, label


def _spoken(speaking: Speaking) -> dict[str, list[Turn]]:
    by: dict[str, list[Turn]] = {}
    for turn in sorted(speaking.turns, key=lambda t: t.start_s):
        by.setdefault(turn.speaker, []).append(turn)
    return by


def _seconds(turns: list[Turn]) -> float:
    return sum(t.end_s - t.start_s for t in turns)


def _shared(a: list[Turn], b: list[Turn]) -> float:
    """Seconds that two lists share, each in order and without overlaps in itself."""
    shared, i, j = 0.0, 0, 0
    while i < len(a) and j < len(b):
        shared += max(0.0, min(a[i].end_s, b[j].end_s) - max(a[i].start_s, b[j].start_s))
        if a[i].end_s <= b[j].end_s:
            i += 1
        else:
            j += 1
    return shared


def _fresh(before: Speaking) -> Iterator[str]:
    taken = {*before.labels, *before.voices, *(t.speaker for t in before.turns)}
    return (label for label in (f"S{n}" for n in count(1)) if label not in taken)

"""Passages: short turns merged, long ones cut, into pieces of speech that mean something on their own.

Whole sentences are packed to at most 60 words across segments, without overlap, and indexed as
"title · speakers: text": of the lengths and overlaps tried on meeting transcripts (60, 120, 200 words; half overlap)
this found the moment most often within the first words returned.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nexus_pipeline.domain.sentences import PAUSE_S, Sentence, Token, sentences, written
from nexus_pipeline.domain.timeline import Segment

WORDS = 60
"""Words of a passage at most."""
SPEAKERS = 3
"""Names in front of a passage at most: more say little about it."""

_WORD = re.compile(r"[^\W_]+")
_UNNAMED = re.compile(r"^(speaker|spk|s)?[\s_-]*\d+$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Passage:
    """What is embedded and found. `indexed_text` is title, speakers and text.

    `position` counts from 0; translations' begin further on (results.APART). `language`: only where it is another than
    the item's.
    """

    position: int
    start_s: float
    end_s: float
    text: str
    indexed_text: str
    speaker: str | None = None
    kind: str = "speech"
    language: str | None = None


def passages(
    segments: Sequence[Segment],
    *,
    title: str,
    names: Mapping[str, str] | None = None,
    words: int = WORDS,
    pause_s: float = PAUSE_S,
) -> list[Passage]:
    """All that was said, in order, every word once; an item shorter than a passage is one.

    Args:
        title: Stands in front of each passage's indexed text.
        names: Speakers' names by their labels, as a transcript has them; a label without a name stays.
        words: Words of a passage at most.
        pause_s: A silence of more seconds than this ends a passage.
    """
    packed: list[list[Sentence]] = []
    weight = 0
    for sentence in sentences(segments, limit=words, pause_s=pause_s):
        fits = packed and weight + sentence.weight <= words
        if fits and sentence.start_s - packed[-1][-1].end_s <= pause_s:
            packed[-1].append(sentence)
            weight += sentence.weight
        else:
            packed.append([sentence])
            weight = sentence.weight
    return [_passage(i, several, title, names or {}) for i, several in enumerate(packed)]


def summaries(text: str, *, title: str, until_s: float, said: Sequence[Passage]) -> list[Passage]:
    """What an item says on the whole, from its first second to its last, cut as speech is.

    A piece that stands in one passage of what was said, word for word, would only be found twice: it is left out.
    """
    told = [_plain(passage.text) for passage in said]
    made = passages([Segment(0, 0.0, until_s, text)], title=title) if text.strip() else []
    fresh = [piece for piece in made if not any(_plain(piece.text) in one for one in told)]
    end_s = round(until_s, 3)
    return [replace(one, position=n, kind="summary", start_s=0.0, end_s=end_s) for n, one in enumerate(fresh)]


def _plain(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.lower()))} "


def is_named(speaker: str | None) -> bool:
    """Whether it is a name, and no machine's label such as `S1`."""
    return bool(speaker) and not _UNNAMED.match(speaker or "")


def _passage(position: int, several: Sequence[Sentence], title: str, names: Mapping[str, str]) -> Passage:
    tokens = [t for sentence in several for t in sentence.tokens]
    text = written(tokens)
    speakers = _speakers(tokens, names)
    told = ", ".join(name for name in speakers if name and not _UNNAMED.match(name))
    front = " · ".join(part for part in (title.strip(), told) if part)
    return Passage(
        position=position,
        start_s=round(min(t.start_s for t in tokens), 3),
        end_s=round(max(t.end_s for t in tokens), 3),
        text=text,
        indexed_text=f"{front}: {text}" if front else text,
        speaker=speakers[0],
    )


def _speakers(tokens: Sequence[Token], names: Mapping[str, str]) -> list[str | None]:
    """Those who speak, most seconds first (then most words, then who came first), at most three."""
    seconds: dict[str | None, tuple[float, int]] = {}
    for t in tokens:
        before = seconds.get(t.speaker, (0.0, 0))
        seconds[t.speaker] = (before[0] + t.end_s - t.start_s, before[1] + t.weight)
    ranked = sorted(seconds, key=lambda speaker: seconds[speaker], reverse=True)
    return [names.get(s, s) if s is not None else None for s in ranked[:SPEAKERS]]

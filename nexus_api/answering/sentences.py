"""An engine's stream as sentences, each with the marks behind it: `It moved. [1]` is one."""

import re
from collections.abc import Iterable, Iterator

_END = re.compile(
    r"(?:[.?!\u2026]+[\"'\u201d\u2019\u00bb)\]]*(?:[ \t]*\[\d+\])*(?=\s+[^\s\[])"  # a stop, then what is no mark
    r"|[\u3002\uff01\uff1f]+[\u300d\u300f\uff09\u201d]*(?:[ \t]*\[\d+\])*(?=\s*[^\s\[])"  # the same without spaces
    r"|(?<=\S)(?=\s*\n\s*[^\s\[]))"
)
_ABBREVIATIONS = frozenset({"mr", "mrs", "ms", "dr", "prof", "st", "vs", "e.g", "i.e", "approx", "fig", "no", "etc"})
_LAST = re.compile(r"(\S+?)[.]$")


def sentences(pieces: Iterable[str]) -> Iterator[str]:
    """As soon as each is whole; together they are the text, with the space before each but the first."""
    held, begun = "", False
    for piece in pieces:
        held += piece
        while (end := _whole(held)) is not None:
            told, held = held[:end], held[end:]
            yield told if begun else told.lstrip()
            begun = True
    if held.strip():
        told = held.rstrip()
        yield told if begun else told.lstrip()


def _whole(text: str) -> int | None:
    """Where the first sentence ends, once it is clear that it does."""
    lead = len(text) - len(text.lstrip())
    for found in _END.finditer(text, lead):
        if found.end() > lead and not _goes_on(text[lead : found.end()]):
            return found.end()
    return None


def _goes_on(text: str) -> bool:
    """Whether a full stop is no end: behind `Mr`, an initial, or the number of a list."""
    found = _LAST.search(text)
    if found is None:
        return False
    word = found[1].lower().lstrip("([\"'")
    return (
        word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha()) or (word.isdigit() and text.strip()[:-1] == word)
    )

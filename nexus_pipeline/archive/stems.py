"""Words of other languages than English, as their stems: LanceDB's index of words knows one language, ours is English.

So an item's own language is stemmed here before its text is indexed, and every word of it is marked with that language
(`häusern` of a German item is indexed as `haus0de0`): stems of two languages never meet, and the index's own English
stemmer leaves what ends in a digit as it is. A search asks for a word as it is and as the stem of each language that
the archive has (docs/adr/0010). English, and languages without a stemmer here, are indexed as they are written.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from nexus_pipeline.domain.syntax import WORD

STEMMERS = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "tr": "turkish",
}
"""Snowball's algorithms by language; those of scripts whose words hold signs that are no letters are left out."""
_SAME = {"nb": "no", "nn": "no", "iw": "he", "in": "id"}
LONGEST = 34
"""Characters of a stem: with its mark no longer than what the index keeps (40)."""


def family(language: str | None) -> str | None:
    """The language whose stemmer fits: `de` for `de-CH`; None where words are indexed as they are written."""
    base = (language or "").lower().partition("-")[0]
    base = _SAME.get(base, base)
    return base if base in STEMMERS else None


def families(languages: Iterable[str | None]) -> tuple[str, ...]:
    """Those that these languages have, in order."""
    return tuple(sorted({one for language in languages if (one := family(language))}))


def stemmed(words: Sequence[str], language: str | None) -> list[str]:
    """Each word as a passage of this language is indexed: marked stems, or the words themselves."""
    own = family(language)
    if own is None:
        return list(words)
    stems = _stemmer(own).stemWords([unicodedata.normalize("NFC", word).lower() for word in words])
    return [f"{stem[:LONGEST]}0{own}0" for stem in stems]


def indexed(text: str, language: str | None) -> str:
    """A passage's text as the index of words gets it: the same words in the same order."""
    if family(language) is None:
        return text
    return " ".join(stemmed(WORD.findall(text), language))


def plain(token: str) -> str:
    """A token of the index without the mark of its language."""
    front, _, own = token.removesuffix("0").rpartition("0")
    return front if own in STEMMERS and token.endswith("0") else token


def _stemmer(own: str) -> Any:
    """One for each call: Snowball's are not to be shared between threads, and cost next to nothing to make."""
    import Stemmer

    return Stemmer.Stemmer(STEMMERS[own])

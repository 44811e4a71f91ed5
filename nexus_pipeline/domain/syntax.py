"""What a person may write in a search: words, "phrases in quotes", -without, and a last word still being typed. Pure.

Whatever else is written counts as words: a quote without its other half, a dash between two words, signs of any kind.
"""

import re
from dataclasses import dataclass

from nexus_pipeline.domain.errors import BadInput

WITHOUT_AT_MOST = 16
"""Words and phrases that one search leaves out; more are left unread."""

WORD = re.compile(r"[^\W_]+")
"""A word as the index of words splits it."""

_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»″", '"'))
_WITHOUT = re.compile(r'(?:(?<=\s)|^)-(?:"([^"]*)"|(?=[^\W_])([^\s"]+))')
_PHRASE = re.compile(r'"([^"]+)"')
_TYPED = re.compile(r"[^\W_]+\Z")


@dataclass(frozen=True, slots=True)
class Written:
    """A search's text, taken apart.

    `text` is what is looked for in the person's own order, without quotes and without what is left out: what is
    embedded. `loose` are the same words but for the phrases. `typed` is the last word where nothing stands behind it.
    """

    text: str
    loose: str
    phrases: tuple[str, ...]
    without: tuple[str, ...]
    typed: str | None


def read(text: str) -> Written:
    """Take a search's text apart. Raises BadInput where it only says what is to be left out."""
    plain = text.translate(_QUOTES)
    left_out = [_words(found[1] or found[2] or "") for found in _WITHOUT.finditer(plain)]
    rest = _WITHOUT.sub(" ", plain)
    phrases = tuple(phrase for found in _PHRASE.findall(rest) if (phrase := _words(found)))
    loose = _PHRASE.sub(" ", rest)
    wanted = rest.replace('"', " ")
    without = tuple(dict.fromkeys(one for one in left_out if one))[:WITHOUT_AT_MOST]
    if without and not WORD.search(wanted):
        raise BadInput("this search only says what to leave out: write at least one word that is to be found")
    typed = _TYPED.search(loose)
    return Written(" ".join(wanted.split()), loose, phrases, without, typed[0] if typed else None)


def muted(text: str) -> str:
    """The text, letter for letter, where quotes stand in place of phrases and of what is left out."""
    plain = text.translate(_QUOTES)
    for pattern in (_PHRASE, _WITHOUT):
        plain = pattern.sub(lambda found: '"' * len(found[0]), plain)
    return plain


def _words(text: str) -> str:
    return " ".join(WORD.findall(text))

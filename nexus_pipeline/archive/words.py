"""What is asked, as words: stop words and question scaffolding cut, phrases kept, and words found again in a text.

"What did the professor think about the new microphones?" asks for "professor new microphones": its other words are in
every passage, or in none that answers. Tuned for English; other languages keep all their words.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lancedb.query import BooleanQuery, MatchQuery, Occur, PhraseQuery

from nexus_pipeline.archive.schema import WORDS

WORDS_AT_MOST = 64
"""Of one search: a pasted page must not become a search of a thousand words."""

REMEMBERED = 100_000
"""Stems kept, some 10 MB."""

_WORD = re.compile(r"[^\W_]+")
_PHRASE = re.compile(r'"([^"]+)"')
_STOP = frozenset(
    """a about above after again against all am an and any are as at be because been before being below between both
    but by can could did do does doing down during each few for from further had has have having he her here hers him
    his how i if in into is it its itself just me more most my no nor not now of off on once only or other our out over
    own same she should so some such than that the their them then there these they this those through to too under
    until up us very was we were what when where which while who whom why will with would you your s t re ve ll d m
    """.split()  # noqa: SIM905 - a list of a hundred words reads better as a text
)
_ASKING = frozenset(
    """what how why who whom when where which did does do is are was were summarize summarise describe explain tell
    discuss give find show list can could should would according""".split()  # noqa: SIM905 - the same
)
_SCAFFOLDING = frozenset(
    """summarize summarise summary summaries describe describes described explain explains explained tell told
    discuss discusses discussed discussing discussion discussions talk talks talked talking say says said saying
    mention mentioned mentions think thinks thought thoughts feel felt opinion opinions view views attitude attitudes
    idea ideas conclusion conclusions conclude concluded regarding concerning considered consider toward towards
    according meeting meetings group team people someone everyone give gave find show list whole
    """.split()  # noqa: SIM905 - the same
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A search's text: the words that matter, and the phrases that must stand there as they are."""

    words: tuple[str, ...]
    phrases: tuple[str, ...]

    @property
    def all_words(self) -> tuple[str, ...]:
        """Of phrases, too: what is highlighted."""
        return (*self.words, *(w for phrase in self.phrases for w in spoken(phrase)))

    def query(self) -> MatchQuery | PhraseQuery | BooleanQuery | None:
        """For the index of words; None where nothing is asked by words."""
        words = MatchQuery(" ".join(self.words), WORDS) if self.words else None
        if not self.phrases:
            return words
        parts = [(Occur.MUST, PhraseQuery(phrase, WORDS)) for phrase in self.phrases]
        if words is None and len(parts) == 1:
            return parts[0][1]
        return BooleanQuery([*parts, *([(Occur.SHOULD, words)] if words else [])])


def asked(text: str) -> Asked:
    """What a person typed; words in double quotes are a phrase."""
    phrases = tuple(" ".join(spoken(p)) for p in _PHRASE.findall(text) if spoken(p))
    return Asked(tuple(_that_matter(_PHRASE.sub(" ", text))), phrases)


def cut(text: str) -> str:
    """The words that matter, for a second embedding of a question beside the first."""
    return " ".join(_that_matter(text))


def spoken(text: str) -> list[str]:
    """Its words, as the index splits them."""
    return _WORD.findall(text)


def _that_matter(text: str) -> list[str]:
    words = spoken(text)[:WORDS_AT_MOST]
    kept = [w for w in words if w.lower() not in _STOP]
    if words and words[0].lower() in _ASKING:
        kept = [w for w in kept if w.lower() not in _SCAFFOLDING]
    return kept or words


class Stems:
    """Words as the table's own index stems them, remembered."""

    def __init__(self, tokenize: Callable[[str], Sequence[tuple[int, str]]]) -> None:
        """`tokenize` tells (number of the word, stem) for words separated by spaces."""
        self._tokenize = tokenize
        self._known: dict[str, str] = {}

    def of(self, words: Iterable[str]) -> dict[str, str]:
        """The stem of each word; one call for all that are new. Words that the index leaves out stay as they are."""
        wanted = list(dict.fromkeys(words))
        fresh = [w for w in wanted if w not in self._known]
        if len(self._known) + len(fresh) > REMEMBERED:
            self._known.clear()
            fresh = wanted
        if fresh:
            self._known.update(zip(fresh, fresh, strict=True))
            self._known.update((fresh[n], stem) for n, stem in self._tokenize(" ".join(fresh)) if n < len(fresh))
        return {w: self._known[w] for w in wanted}

    def highlights(self, words: Sequence[str], text: str) -> tuple[tuple[int, int], ...]:
        """[from, to) offsets of characters where a word of these stands in the text, in whatever form."""
        found = [(m.start(), m.end(), m[0]) for m in _WORD.finditer(text)]
        stems = self.of([*words, *(w for *_, w in found)])
        wanted = {stems[w] for w in words}
        return tuple((start, end) for start, end, word in found if stems[word] in wanted)

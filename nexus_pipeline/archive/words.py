"""What is asked, as words: stop words and question scaffolding cut, phrases kept, and words found again in a text.

"What did the professor think about the new microphones?" asks for "professor new microphones": its other words are in
every passage, or in none that answers. Tuned for English; other languages keep all their words.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lancedb.query import BooleanQuery, MatchQuery, Occur, PhraseQuery

from nexus_pipeline.archive.schema import WORDS
from nexus_pipeline.archive.stems import stemmed
from nexus_pipeline.domain import asking, syntax
from nexus_pipeline.domain.asking import SCAFFOLDING, STOP
from nexus_pipeline.domain.syntax import WORD

WORDS_AT_MOST = 64
"""Of one search: a pasted page must not become a search of a thousand words."""

REMEMBERED = 100_000
"""Stems kept, some 10 MB."""

_ASKING = frozenset(
    """what how why who whom when where which did does do is are was were summarize summarise describe explain tell
    discuss give find show list can could should would according""".split()  # noqa: SIM905 - a list reads better as a text
)

WordQuery: TypeAlias = MatchQuery | PhraseQuery | BooleanQuery
"""What the index of words can be asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A search's text: the words that matter, phrases that must stand there as they are, and what must not.

    `typed` is one of the words, the last one, where it may only have begun.
    """

    words: tuple[str, ...]
    phrases: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    typed: str | None = None

    @property
    def all_words(self) -> tuple[str, ...]:
        """Of phrases, too: what is highlighted."""
        return (*self.words, *(w for phrase in self.phrases for w in spoken(phrase)))

    def query(self, languages: Sequence[str] = (), endings: Sequence[str] = ()) -> WordQuery | None:
        """For the index of words, in the stems of these languages, too; None where nothing is asked by words.

        `endings` are what the typed word may become.
        """
        wanted = [*forms(self.words, languages), *endings]
        words = MatchQuery(" ".join(wanted), WORDS) if wanted else None
        if not self.phrases and (words is None or not self.without):
            return words
        parts: list[tuple[Occur, WordQuery]] = [(Occur.MUST, _phrase(phrase, languages)) for phrase in self.phrases]
        if words is not None:
            parts.append((Occur.SHOULD if parts else Occur.MUST, words))
        elif len(parts) == 1 and not self.without:
            return parts[0][1]
        return BooleanQuery([*parts, *((Occur.MUST_NOT, one) for one in self._out(languages))])

    def left_out(self, languages: Sequence[str] = ()) -> WordQuery | None:
        """What finds the passages that must not be found; None where there are none such."""
        out = self._out(languages)
        return _any(out) if out else None

    def _out(self, languages: Sequence[str]) -> list[WordQuery]:
        return [
            _phrase(one, languages) if " " in one else MatchQuery(" ".join(forms([one], languages)), WORDS)
            for one in self.without
        ]


def forms(words: Sequence[str], languages: Sequence[str]) -> tuple[str, ...]:
    """The words as they are, and as the index has them of passages in these languages."""
    return (*words, *(form for language in languages for form in stemmed(words, language)))


def _phrase(phrase: str, languages: Sequence[str]) -> WordQuery:
    ways = dict.fromkeys([phrase, *(" ".join(stemmed(spoken(phrase), language)) for language in languages)])
    return _any([PhraseQuery(way, WORDS) for way in ways])


def _any(queries: Sequence[WordQuery]) -> WordQuery:
    """What any of them finds."""
    return queries[0] if len(queries) == 1 else BooleanQuery([(Occur.SHOULD, one) for one in queries])


def asked(text: str) -> Asked:
    """What a person's text asks for; phrases in quotes are kept whole, and so is what is left out.

    Raises BadInput where it only says what is to be left out.
    """
    told = syntax.read(text)
    words = tuple(_that_matter(told.loose))
    return Asked(words, told.phrases, told.without, told.typed if told.typed in words else None)


def cut(text: str) -> str:
    """The words that matter, for a second embedding of a question beside the first."""
    return " ".join(_that_matter(text))


def spoken(text: str) -> list[str]:
    """Its words, as the index splits them."""
    return WORD.findall(text)


def _that_matter(text: str) -> list[str]:
    words = spoken(text)[:WORDS_AT_MOST]
    kept = [w for w in words if w.lower() not in STOP]
    if words and words[0].lower() in _ASKING:
        who = asking.party(text)
        kept = [w for w in kept if w.lower() not in SCAFFOLDING and w not in who] or kept
    return kept or words


class Stems:
    """Words as the table's own index stems them, remembered."""

    def __init__(self, tokenize: Callable[[str], Sequence[tuple[int, str]]]) -> None:
        """`tokenize` tells (number of the word, stem) for words separated by spaces."""
        self._tokenize = tokenize
        self._known: dict[str, str] = {}

    def of(self, words: Iterable[str]) -> dict[str, str]:
        """The stem of each word; one call for all that are new. Words that the index leaves out stay as they are."""
        wanted, known = set(words), self._known
        fresh = [w for w in wanted if w not in known]
        if len(known) + len(fresh) > REMEMBERED:
            known, fresh = {}, [*wanted]
        if fresh:
            told = dict(zip(fresh, fresh, strict=True))
            told.update((fresh[n], stem) for n, stem in self._tokenize(" ".join(fresh)) if n < len(fresh))
            known.update(told)
            self._known = known
        return {w: known[w] for w in wanted}

    def alike(self, terms: Sequence[str], words: Iterable[str]) -> dict[str, str]:
        """The stems of the terms, and of those words that may have the same: most are told by their first letter.

        Stemmers change how a word ends; an accent may be folded away.
        """
        firsts = {term[0].lower() for term in terms if term}
        if not all(first.isascii() for first in firsts):
            return self.of([*terms, *words])
        some = {w for w in words if (first := w[0].lower()) in firsts or not first.isascii()}
        return self.of(some.union(terms))

    def highlights(self, terms: Sequence[str], text: str, language: str | None = None) -> tuple[tuple[int, int], ...]:
        """[from, to) offsets of characters where one of these terms stands in a text of this language, in any form."""
        found = list(WORD.finditer(text))
        own = stemmed([m[0] for m in found], language)
        stems = self.alike(terms, own)
        wanted = {stems[term] for term in terms}
        return tuple((m.start(), m.end()) for m, word in zip(found, own, strict=True) if stems.get(word) in wanted)

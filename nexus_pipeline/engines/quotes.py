"""Where in a transcript a quote stands, if it stands there: what a language model claims is looked up, not believed."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nexus_pipeline.domain.sentences import Sentence, Token

ALIKE = 82.0
"""Of 100: below it a quote does not stand there. Models leave out what one says while thinking, and mend slips."""
SURE_FROM = 16
"""Letters from which a quote may differ a little; a shorter one must stand to the letter."""
LONGEST = 300
"""Letters of a quote that are looked for."""
AROUND_S = ((10.0, 30.0), (90.0, 90.0))
"""So long before and after the second that was claimed a quote is looked for first, then further away."""

_MOST_OF = 0.8  # of a quote's letters must be there; else a short text would stand in every quote
_NAMED = 82.0  # of 100: "Sarah" is Sara
_BLOCK = 4  # letters in a row that are the same: fewer are so by chance
_NO_WORD = re.compile(r"[^\w]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a quote stands: its first word's second, and the whole sentences around it."""

    at_s: float
    text: str


class Said:
    """Sentences to look quotes up in."""

    def __init__(self, sentences: Sequence[Sentence]) -> None:
        """All that was said, in order of time."""
        self._sentences = sentences
        self._words: list[tuple[Token, int]] = []
        self._begins: list[int] = []
        pieces, at = [], 0
        for n, sentence in enumerate(sentences):
            for token in sentence.tokens:
                if written := plain(token.text):
                    self._words.append((token, n))
                    self._begins.append(at)
                    pieces.append(written)
                    at += len(written) + 1
        self._text = " ".join(pieces)
        self._seconds = [token.start_s for token, _ in self._words]

    def find(self, quote: str, near_s: float) -> Place | None:
        """Where it stands, of several places the one nearest to `near_s`; None where it does not."""
        looked_for = plain(quote)[:LONGEST].strip()
        if not looked_for or not self._words:
            return None
        exact = min(self._exactly(looked_for), key=lambda at: abs(self._second(at) - near_s), default=None)
        if exact is not None:
            return self._place(exact, exact + len(looked_for))
        if len(looked_for.replace(" ", "")) < SURE_FROM:
            return None
        for begin, end in (*(self._around(near_s, *span_s) for span_s in AROUND_S), (0, len(self._text))):
            place = self._alike(looked_for, begin, end)
            if place and _same_names(quote, place.text):
                return place
        return None

    def _exactly(self, looked_for: str) -> Iterator[int]:
        """Places at which it begins and ends with whole words; in scripts without spaces a word may be a sentence."""
        ends = {*(begin - 1 for begin in self._begins[1:]), len(self._text)}
        begins = set(self._begins)
        at = self._text.find(looked_for)
        while at >= 0:
            whole = at in begins and at + len(looked_for) in ends
            if whole or not looked_for.isascii():
                yield at
            at = self._text.find(looked_for, at + 1)

    def _around(self, near_s: float, before_s: float, after_s: float) -> tuple[int, int]:
        first = bisect_right(self._seconds, near_s - before_s)
        last = bisect_right(self._seconds, near_s + after_s)
        if first >= last:
            return 0, 0
        return self._begins[first], self._begins[last] if last < len(self._begins) else len(self._text)

    def _alike(self, looked_for: str, begin: int, end: int) -> Place | None:
        """The place in this stretch of the text that is most like it."""
        from rapidfuzz import fuzz
        from rapidfuzz.distance import LCSseq

        if end - begin < len(looked_for) * _MOST_OF:
            return None
        found = fuzz.partial_ratio_alignment(looked_for, self._text[begin:end], score_cutoff=ALIKE)
        if found is None or found.dest_end - found.dest_start < len(looked_for) * _MOST_OF:
            return None
        # as many letters as the quote has, so with a word that it lacks or has too many a neighbour's letters, too
        first = begin + found.dest_start
        blocks = LCSseq.opcodes(looked_for, self._text[first : begin + found.dest_end])
        same = [b for b in blocks if b.tag == "equal" and b.dest_end - b.dest_start >= _BLOCK]
        return self._place(first + same[0].dest_start, first + same[-1].dest_end) if same else None

    def _place(self, begin: int, end: int) -> Place:
        first = self._word(begin)
        token, _ = self._words[first]
        if begin - self._begins[first] > len(token.text) / 2 and not _long(token) and first + 1 < len(self._words):
            first += 1  # only the tail of the word before it was caught
            begin = self._begins[first]
        last = max(first, self._word(max(begin, end - 1)))
        sentences = self._sentences[self._words[first][1] : self._words[last][1] + 1]
        return Place(round(self._second(begin), 3), " ".join(s.text for s in sentences))

    def _second(self, at: int) -> float:
        """When the letter at this place is said: a word's beginning, or a share of what is written without spaces."""
        n = self._word(at)
        token, _ = self._words[n]
        if not _long(token):
            return token.start_s
        share = min(1.0, (at - self._begins[n]) / len(token.text))
        return token.start_s + share * (token.end_s - token.start_s)

    def _word(self, at: int) -> int:
        return max(0, bisect_right(self._begins, at) - 1)


def plain(text: str) -> str:
    """Words without case, punctuation and accents of typography, single spaces between them."""
    return _NO_WORD.sub(
        " ", unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'").replace("'", "")
    ).strip()


def names(name: str, text: str) -> bool:
    """Whether at least one word of a name is said in a text, spelled nearly so."""
    from rapidfuzz import fuzz

    said = plain(text)
    words = said.split()
    return any(
        # in many other scripts names are inflected, or stand between other words without spaces
        any(fuzz.ratio(word, other) >= _NAMED for other in words) or (not word.isascii() and word[:3] in said)
        for word in plain(name).split()
    )


def _same_names(quote: str, text: str) -> bool:
    """Whether names and numbers of a quote that is not there to the letter are: these must not be slips."""
    capital = (word for word in quote.split() if next(filter(str.isalnum, word), "").isupper())
    digits = ["".join(c for c in one if c.isdigit()) for one in (quote, text)]
    return digits[0] in digits[1] and all(names(word, text) for word in capital if plain(word))


def _long(token: Token) -> bool:
    return len(token.text) > 24  # noqa: PLR2004 - longer than words: a script that writes no spaces

"""Whether a passage says what a sentence claims: its words in their order, its names, its numbers, its "not". Pure.

An engine that cites a passage claims that it stands there. That is looked up and never believed: the claim's words
must be found again in one to three sentences of the passage in the same order, in whatever inflection; names and
numbers must all be there; and what is denied in one must be denied in the other. A paraphrase that uses other words
is not proven by this, nor is an answer in another language than the passage's: it is shown, and marked.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from nexus_pipeline.domain.asking import STOP

HOLDS = 0.6
"""Share of a claim's words, weighed by their letters, that must stand in the quote in the same order. From the
development set of search (`bench.proofs`): of 223 sentences that people wrote in words of their own, 0.4 % reach it in
the ten nearest passages of other meetings (2.7 % at 0.5) and 9 % in the passages that they tell of."""
SPAN = 3
"""Sentences of a passage that one quote is made of at most."""
_BARE = 0.02  # what a longer quote must bring more than a shorter one
_LONG = 8  # letters from which words may differ by a slip
_SLIP = 90.0  # of 100
_STEM = 3  # letters that inflected forms share at least

_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_NAME = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NOT = re.compile(r"n['\u2019]t\b", re.IGNORECASE)
_DENIALS = frozenset(
    {"not", "no", "never", "none", "nobody", "nothing", "neither", "nor", "without", "cannot"}
    | {"nicht", "kein", "keine", "keinen", "nie", "niemand", "ne", "pas", "jamais", "nunca"}
)
_ENDINGS = frozenset({"", "s", "es", "e", "d", "ed", "ing", "ies", "y", "ied", "ly", "er", "ers", "en", "n", "r"})
_ANYBODY = frozenset(
    [
        "everybody",
        "everyone",
        "everything",
        "people",
        "participants",
        "speakers",
        "someone",
        "somebody",
        "both",
        "yes",
        "according",
    ]
)
_SPELLED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBERS = {word: str(n) for n, word in enumerate(_SPELLED)}


@dataclass(frozen=True, slots=True)
class Proof:
    """Which sentences of a passage prove a claim: from `first` to before `end`; `share` of its words stand there."""

    first: int
    end: int
    share: float


def proof(claim: str, said: Sequence[str], names: str = "") -> Proof | None:
    """The sentences of a passage that a claim stands on, as few as will do; None where it does not hold.

    `names`: who speaks and what the item is called: an answer may name them though the passage does not.
    """
    best = _stands(claim, said)
    if best is not None:
        return best
    for length in range(1, SPAN + 1):
        for first in range(len(said) - length + 1):
            told = " ".join(said[first : first + length])
            share = held(claim, told, names)
            if share >= HOLDS and (best is None or share > best.share + _BARE):
                best = Proof(first, first + length, share)
    return best


def weight(text: str) -> int:
    """How much a text claims: letters of its words that say something."""
    return sum(len(word) for word in _heavy(text))


def same(a: str, b: str) -> bool:
    """Whether two words in small letters are one: inflected in English, or with a slip where they are long."""
    if a == b:
        return True
    shared = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if shared >= _STEM and 2 * shared >= min(len(a), len(b)) and {_bare(a, shared), _bare(b, shared)} <= _ENDINGS:
        return True
    if min(len(a), len(b)) < _LONG:
        return False
    from rapidfuzz import fuzz

    return fuzz.ratio(a, b) >= _SLIP


def words(text: str) -> list[str]:
    """Its words in small letters; in scripts without spaces its characters; numbers up to twelve as digits."""
    told = unicodedata.normalize("NFKC", _NOT.sub(" not", text)).casefold()
    return [_NUMBERS.get(word, word) for word in _WORD.findall(told)]


def _bare(word: str, shared: int) -> str:
    """What stands behind the common beginning, without the doubled letter of `stopped` or `planning`."""
    rest = word[shared:]
    return rest[1:] if len(rest) > 1 and rest[0] == word[shared - 1] else rest


def _heavy(text: str) -> list[str]:
    return [w for w in words(text) if w not in STOP and w not in _DENIALS]


def held(claim: str, told: str, names: str) -> float:
    """The share of a claim that stands in a text; 0 where a name, a number or a denial differs."""
    from rapidfuzz.distance import LCSseq

    there = words(told)
    known = set(there)
    wanted = [_found(word, there, known) for word in _heavy(claim)]
    whole = sum(len(word) for word in wanted)
    if not whole or not _numbers(claim) <= _numbers(told) or not _named(claim, f"{told} {names}"):
        return 0.0
    # words of light weight stand in the text for their places, and in no claim
    blocks = [b for b in LCSseq.opcodes(wanted, there) if b.tag == "equal"]
    if not blocks:
        return 0.0
    if _denied(words(claim)) != _denied(there[max(0, blocks[0].dest_start - 2) : blocks[-1].dest_end + 1]):
        return 0.0
    of_names = {word for word in words(names) if word not in known}
    lent = sum(len(word) for word in wanted if word in of_names)
    return (sum(len(w) for b in blocks for w in wanted[b.src_start : b.src_end]) + lent) / whole


def _stands(claim: str, said: Sequence[str]) -> Proof | None:
    """Where all of a claim stands word by word, over however many sentences, and is not denied just before it."""
    claimed = words(claim)
    there = [(word, n) for n, one in enumerate(said) for word in words(one)]
    plain = [word for word, _ in there]
    for at in range(len(there) - len(claimed) + 1) if claimed else ():
        if plain[at : at + len(claimed)] == claimed and not _denied(plain[max(0, at - 2) : at]):
            return Proof(there[at][1], there[at + len(claimed) - 1][1] + 1, 1.0)
    return None


def _found(word: str, there: Sequence[str], known: set[str]) -> str:
    """The word as it stands in the text, if it stands there in another form."""
    return word if word in known else next((other for other in there if same(word, other)), word)


def _denied(told: Sequence[str]) -> bool:
    return any(word in _DENIALS for word in told)


def _numbers(text: str) -> set[str]:
    digits = {"".join(c for c in found if c.isdigit()) for found in _NUMBER.findall(text)}
    return digits | {w for w in words(text) if w in _NUMBERS.values()}


def _named(claim: str, told: str) -> bool:
    """Whether every name of a claim is told: words that are written large, the first one unless it is a plain word."""
    there = words(told)
    for n, name in enumerate(_NAME.findall(claim)):
        if not next(filter(str.isalpha, name), "").isupper():
            continue
        for word in words(name):
            plain = word in STOP or word in _DENIALS or len(word) == 1 or (n == 0 and word in _ANYBODY)
            if not plain and not any(same(word, other) for other in there):
                return False
    return True

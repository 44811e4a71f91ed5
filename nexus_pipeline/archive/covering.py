"""How many of a question's words a passage says, itself or just before or after.

The index of words lets one rare word that is said often outweigh all others. A passage that says most of them answers
more often; and in talk a word that is asked for is often said once, a sentence before the answer. So the best passages
are read: each of the question's words counts as often as it is said, soon saturated, and less from further away.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from lancedb.query import BooleanQuery, MatchQuery, Occur

from nexus_pipeline.archive.facts import Facts
from nexus_pipeline.archive.schema import WORDS
from nexus_pipeline.archive.snapshots import Numbers
from nexus_pipeline.archive.words import Stems, WordQuery, forms, spoken
from nexus_pipeline.domain.questions import main

READ = 60
"""Passages that are read; a hundred find no more."""
GAIN = 0.2
"""What a passage gains that says every word once."""
DECAY = 0.6
"""What a word counts that the neighbour says; the one beyond: the same again."""
APART = 2
"""So far away it counts."""
ASIDE = 0.25
"""What words count in the index of words that a question tells in passing only (domain/questions.py)."""
_OFTEN, _MOST = 1.2, 1.6
"""A word that is said n times counts n (1 + k) / (n + k) as in BM25, at most 1.6: three times."""


def softened(words: WordQuery, text: str) -> WordQuery:
    """The search of words with those that the question tells in passing at a quarter of their weight."""
    if not isinstance(words, MatchQuery) or (first := main(text)) == text:
        return words
    passing = {word.lower() for word in spoken(text)} - {word.lower() for word in spoken(first)}
    told = words.query.split()
    before, aside = [w for w in told if w.lower() not in passing], [w for w in told if w.lower() in passing]
    if not before or not aside:
        return words
    sides = MatchQuery(" ".join(before), WORDS), MatchQuery(" ".join(aside), WORDS, boost=ASIDE)
    return BooleanQuery([(Occur.SHOULD, side) for side in sides])


def near(best: Sequence[int], found: npt.NDArray[np.bool_], facts: Facts) -> list[int]:
    """These passages and those around them, as far as any of the question's words stands in them (`found`)."""
    around = np.concatenate([np.asarray(best, np.int64), *(facts.beside(by)[best] for by in _AROUND)])
    wanted = np.unique(around[around >= 0])
    told: list[int] = wanted[found[wanted]].tolist()
    return told


def gained(
    own: Numbers,
    best: Sequence[int],
    asked: tuple[Sequence[str], Sequence[str]],
    texts: Mapping[int, str],
    *,
    stems: Stems,
    facts: Facts,
) -> Numbers:
    """All scores; those of the best passages with what they gain.

    Args:
        own: A score for each passage.
        best: The numbers of those that are read.
        asked: The question's words that matter, and the languages in whose stems they may stand, too.
        texts: What `near` named, by number.
        stems: Brings words into the form in which they are compared.
        facts: Of all passages.
    """
    said = {n: spoken(text) for n, text in texts.items()}
    words, ways = asked[0], forms(*asked)
    stem_of = stems.alike(ways, set[str]().union(*said.values()))
    # the ways to write a word follow in the order of the words, language by language
    place = {stem_of[way]: n % len(words) for n, way in reversed([*enumerate(ways)])}
    counted = {word: place[stem] for word, stem in stem_of.items() if stem in place}
    counts = {n: _counts(told, counted, len(words)) for n, told in said.items()}
    # a word that none of them says tells nothing about their order
    there = [w for w in range(len(words)) if any(one[w] for one in counts.values())]
    scores = own.copy()
    around = [(1.0, list(best)), *((DECAY ** abs(by), facts.beside(by)[list(best)].tolist()) for by in _AROUND)]
    for at, n in enumerate(best):
        near_by = [(share, counts[numbers[at]]) for share, numbers in around if numbers[at] in counts]
        if near_by and there:
            scores[n] += GAIN * sum(max(share * one[w] for share, one in near_by) for w in there) / len(there)
    return scores


_AROUND = tuple(by for by in range(-APART, APART + 1) if by)


def _counts(said: Iterable[str], counted: Mapping[str, int], places: int) -> list[float]:
    often = [0] * places
    for word in said:
        if word in counted:
            often[counted[word]] += 1
    return [min(n * (1 + _OFTEN) / (n + _OFTEN), _MOST) for n in often]

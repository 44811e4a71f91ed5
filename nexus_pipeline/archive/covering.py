"""How many of a question's words a passage says, itself or just before or after.

The index of words lets one rare word that is said often outweigh all others. A passage that says most of them answers
more often; and in talk a word that is asked for is often said once, a sentence before the answer. So the best passages
are read: each of the question's words counts as often as it is said, soon saturated, and less from further away.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from lancedb.query import BooleanQuery, MatchQuery, Occur

from nexus_pipeline.archive.schema import WORDS, neighbours
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

Scores = Mapping[str, float]


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


def near(best: Iterable[str], words: Scores) -> list[str]:
    """These passages and those around them, as far as any of the question's words stands in them."""
    return [id_ for id_ in dict.fromkeys(i for one in best for i in (one, *neighbours(one, APART))) if id_ in words]


def gained(
    own: Scores,
    best: Sequence[str],
    asked: tuple[Sequence[str], Sequence[str]],
    texts: Mapping[str, str],
    stems: Stems,
) -> dict[str, float]:
    """All scores; those of the best passages with what they gain.

    Args:
        own: Scores by id.
        best: The passages that are read.
        asked: The question's words that matter, and the languages in whose stems they may stand, too.
        texts: What `near` named, by id.
        stems: Brings words into the form in which they are compared.
    """
    said = {id_: spoken(text) for id_, text in texts.items()}
    words, ways = asked[0], forms(*asked)
    stem_of = stems.of({*ways, *chain.from_iterable(said.values())})
    # the ways to write a word follow in the order of the words, language by language
    place = {stem_of[way]: n % len(words) for n, way in reversed([*enumerate(ways)])}
    counted = {word: place[stem] for word, stem in stem_of.items() if stem in place}
    counts = {id_: _counts(told, counted, len(words)) for id_, told in said.items()}
    # a word that none of them says tells nothing about their order
    there = [n for n in range(len(words)) if any(one[n] for one in counts.values())]
    scores = dict(own)
    for id_ in best:
        near_by = [
            (DECAY**far, counts[one])
            for one, far in zip((id_, *neighbours(id_, APART)), _FAR, strict=True)
            if one in counts
        ]
        if near_by and there:
            scores[id_] += GAIN * sum(max(share * one[n] for share, one in near_by) for n in there) / len(there)
    return scores


_FAR = (0, *(abs(by) for by in range(-APART, APART + 1) if by))
"""How far away the passage itself and `neighbours` are."""


def _counts(said: Iterable[str], counted: Mapping[str, int], places: int) -> list[float]:
    often = [0] * places
    for word in said:
        if word in counted:
            often[counted[word]] += 1
    return [min(n * (1 + _OFTEN) / (n + _OFTEN), _MOST) for n in often]

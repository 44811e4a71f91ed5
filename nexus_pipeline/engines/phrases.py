# ruff: noqa: RUF001 - the apostrophe that typesetters use is meant
"""Phrases that could stand for a text, and a choice among them (or among sentences) without repetition. Pure."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nexus_pipeline.ports import Vectors

_STOP_WORDS = """
a able about above actually add adds after again ah all also always am an and any anything anyway april are
aren't around as ask asked asking at august away back bad basically be because been before being below between
big bit both bring brought but by came can can't cannot certainly come comes coming cool could couldn't course
december definitely did didn't different do does doesn't doing don't done down during each easy eh eight eleven
else even evening ever every everybody everyone everything exactly explain explained explains false february
feel few fifty find finds fine first five for forget forgot forty found four friday from further get gets give
gives go goes going gone good got great guess guy guys had hadn't hard has hasn't have haven't having he he'll
he's hello her here hers herself him himself his hmm hour hours how however huh hundred i i'd i'll i'm i've if
important in interesting into is isn't it it'll it's its itself january july june just keep kind know large last
later less let let's like little look looked looking looks lot lots made make makes many march may maybe me mean
means meant might mine minute minutes mm mm-hmm moment monday month months more morning most move moved moves
much must my myself need needed needs never new next nice night nine no noon nope nor not nothing november now
obviously october of off often oh ok okay old on once one only oops or other our ours ourselves out over own
part people per perhaps person please point probably put puts read reads ready really remember right said same
saturday say saying says second see seem seems send sends sense september seven share shares she she'll she's
should shouldn't show shows simple since six small so some somebody someone something soon sorry sort start
started starts stay stays stir stop stops stuff such sunday sure take takes talk talked talking ten than thank
thanks that that's the their theirs them themselves then there there's therefore these they they'll they're
they've thing things think third thirty this those though thousand three through thursday time times to today
together tomorrow tonight too tried true try trying tuesday turn twelve twenty two uh uh-huh um under until up
upon us use used uses very via wait want wants was wasn't way ways we we'd we'll we're we've wednesday week
weeks welcome well went were weren't what what's whatever when where whether which while who whole whom why will
with within without won't work working works would wouldn't write writes yeah year years yep yes yesterday yet
you you'd you'll you're you've your yours yourself yup
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""English words that say nothing of a subject: grammar, small talk, numbers, days."""

_WORD = re.compile(r"[^\W\d_][\w'’-]*")
_LONGEST = 3  # words of a phrase
_SHORTEST = 3  # letters of a word


@dataclass(frozen=True, slots=True)
class Phrases:
    """Phrases and how often each was said, the weightiest first."""

    texts: tuple[str, ...]
    counts: tuple[int, ...]


def candidates(texts: Iterable[str], limit: int) -> Phrases:
    """Runs of one to three words without stop words in between, lower case, the most frequent and longest first."""
    counted: Counter[str] = Counter()
    for text in texts:
        for run in _runs(text):
            for size in range(1, _LONGEST + 1):
                counted.update(" ".join(run[i : i + size]) for i in range(len(run) - size + 1))
    # a Counter keeps the order of first mention, and sorting is stable: the same text gives the same phrases
    ranked = sorted(counted, key=lambda phrase: -counted[phrase] * (1 + 0.5 * phrase.count(" ")))[:limit]
    return Phrases(tuple(ranked), tuple(counted[phrase] for phrase in ranked))


def content(text: str) -> int:
    """Words that say something of a subject."""
    return sum(len(run) for run in _runs(text))


def spread(relevance: npt.ArrayLike, vectors: Vectors, count: int, weight: float = 0.6) -> list[int]:
    """Maximal marginal relevance: up to `count` rows, each relevant and unlike those chosen before; best first."""
    chosen: list[int] = []
    worth = np.asarray(relevance, dtype=np.float64)
    alike = np.zeros(len(worth))
    while len(chosen) < min(count, len(worth)):
        scores = weight * worth - (1 - weight) * alike
        scores[chosen] = -np.inf
        best = int(np.argmax(scores))
        chosen.append(best)
        alike = np.maximum(alike, vectors @ vectors[best])
    return chosen


def distinct(phrases: Iterable[str], count: int) -> tuple[str, ...]:
    """The first so many of which none is part of another."""
    kept: list[str] = []
    for phrase in phrases:
        words = {_stem(w) for w in phrase.split()}
        if not any(words <= other or other <= words for other in ({_stem(w) for w in k.split()} for k in kept)):
            kept.append(phrase)
        if len(kept) == count:
            break
    return tuple(kept)


def _runs(text: str) -> Iterable[list[str]]:
    run: list[str] = []
    end = 0
    for found in _WORD.finditer(text):
        word = found.group().lower().replace("’", "'")
        apart = text[end : found.start()].strip()
        if apart and run:
            yield run
            run = []
        end = found.end()
        if word in STOP_WORDS or len(word) < _SHORTEST:
            if run:
                yield run
            run = []
        else:
            run.append(word.removesuffix("'s"))
    if run:
        yield run


def _stem(word: str) -> str:
    return word.removesuffix("s") if len(word) > 3 else word  # noqa: PLR2004 - "gas" and "bus" stay

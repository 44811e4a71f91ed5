"""How many of a question's words a passage says, itself or just before or after."""

import numpy as np
import pytest
from lancedb.query import BooleanQuery, MatchQuery, PhraseQuery

from nexus_pipeline.archive import covering
from nexus_pipeline.archive.covering import APART, DECAY, GAIN
from nexus_pipeline.archive.schema import WORDS
from nexus_pipeline.archive.stems import stemmed
from nexus_pipeline.archive.words import Stems, asked
from tests.passages import facts_of


def lower(text):
    return list(enumerate(text.lower().split()))


def gained(texts, words, best=None, languages=()):
    ids, told = list(texts), dict(enumerate(texts.values()))
    numbers = [ids.index(id_) for id_ in best or ids]
    found = covering.gained(
        np.zeros(len(ids)), numbers, (words, languages), told, stems=Stems(lower), facts=facts_of(ids)
    )
    return dict(zip(ids, found.tolist(), strict=True))


def test_a_passage_that_says_every_word_gains_more_than_one_that_says_one_often():
    texts = {"a:speech:0": "red bridge", "b:speech:0": "red red red red", "c:speech:0": "green"}
    found = gained(texts, ["red", "Bridge"])
    assert found == pytest.approx({"a:speech:0": GAIN, "b:speech:0": GAIN * 1.6 / 2, "c:speech:0": 0.0})


def test_words_said_near_by_count_less_the_further_away():
    texts = {f"a:speech:{n}": text for n, text in enumerate(["bridge", "other", "other", "other"])}
    found = gained(texts, ["bridge"])
    assert [found[f"a:speech:{n}"] for n in range(4)] == pytest.approx([GAIN, GAIN * DECAY, GAIN * DECAY**2, 0.0])


def test_a_word_that_none_says_tells_nothing():
    texts = {"a:speech:0": "red"}
    assert gained(texts, ["red", "unheard"]) == gained(texts, ["red"])
    assert gained(texts, ["unheard"]) == {"a:speech:0": 0.0}


def test_a_word_counts_once_in_whatever_language_it_stands():
    german = " ".join(stemmed(["Häuser", "Garten"], "de"))
    found = gained({"a:speech:0": german, "b:speech:0": "Haus"}, ["Haus", "Garten"], languages=("de",))
    assert found == pytest.approx({"a:speech:0": GAIN, "b:speech:0": GAIN / 2})


def test_only_the_best_are_read():
    assert gained({"a:speech:0": "red", "b:speech:0": "red"}, ["red"], ["a:speech:0"])["b:speech:0"] == 0.0
    unread = covering.gained(np.ones(1), [0], (["red"], []), {}, stems=Stems(lower), facts=facts_of(["a:speech:0"]))
    assert unread.tolist() == [1.0]


def test_what_is_read_are_the_best_and_those_around_them_that_have_any_of_the_words():
    facts = facts_of([*(f"a:speech:{n}" for n in range(9)), "b:speech:0", "b:speech:1"])
    has_any = np.array([n not in {3, 9} for n in range(len(facts))])
    assert covering.near([4, 9], has_any, facts) == [*(n for n in range(4 - APART, 5 + APART) if n != 3), 10]


def test_words_of_the_occasion_weigh_less_in_the_index():
    text = "What did she think of oak when discussing materials?"
    softened = covering.softened(asked(text).query(), text)
    assert isinstance(softened, BooleanQuery)
    [(_, first), (_, aside)] = softened.queries
    assert (first.query, first.boost) == ("oak", 1.0)
    assert (aside.query, aside.boost) == ("materials", covering.ASIDE)


@pytest.mark.parametrize("text", ["oak", "What did she think of it when discussing wood?", '"oak wood" when buying'])
def test_where_nothing_is_told_in_passing_the_search_of_words_stays(text):
    query = asked(text).query()
    assert covering.softened(query, text) is query


def test_a_phrase_stays():
    query = PhraseQuery("oak wood", WORDS)
    assert covering.softened(query, "oak when buying") is query
    assert covering.softened(MatchQuery("oak", WORDS), "oak") == MatchQuery("oak", WORDS)

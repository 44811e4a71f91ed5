"""Whether passages answer a question, by what retrieval says."""

import pytest

from nexus_api.answering.judging import Evidence, answers, evidence
from nexus_api.answering.retrieving import Passage

TEXTS = [
    "The budget meeting moved from Tuesday to Thursday because of the storm.",
    "Sara will share the schedule with the client in Vienna.",
    "The remote control gets rubber buttons and a small display.",
]


def passages(*texts, speaker=None):
    told = {"item_id": "a", "title": "Weekly talk", "speaker": speaker}
    return [Passage(n, {**told, "text": text}) for n, text in enumerate(texts, 1)]


def often(word):
    return sum(word in text.lower() for text in TEXTS)


def looked(question, *, speaker=None):
    return evidence(question, passages(*TEXTS, speaker=speaker), often, 100, None)


def test_a_question_whose_words_stand_in_one_passage_is_answered():
    found = looked("When was the budget meeting moved because of the storm?")
    assert found.best > 0.9
    assert found.unknown == pytest.approx(0.0)
    assert answers(found, by_meaning=False)


def test_one_whose_own_word_nobody_ever_said_is_not():
    found = looked("Was the remote control waterproof?")
    assert found.unknown > 0.3
    assert found.best < 0.7
    assert not answers(looked("Who won the chess tournament in Reykjavik?"), by_meaning=False)


def test_who_is_asked_about_is_no_subject():
    with_name = looked("What did Sara say about chess?", speaker="Sara Miller")
    assert with_name.best == 0.0
    assert with_name.unknown == 1.0
    only_name = looked("What did Sara Miller say?", speaker="Sara Miller")
    assert only_name.best == 1.0


def test_nothing_found_is_no_answer():
    assert evidence("What is it about?", [], lambda _: 0, 0, None) == Evidence(0.0, 0.0, 0.0, 1.0)
    assert not answers(Evidence(0.0, 0.0, 0.0, 1.0), by_meaning=False)


def test_rare_words_count_more():
    counts = {"storm": 1, "lecture": 90}
    found = evidence("lecture storm", passages("A lecture."), lambda w: counts.get(w, 0), 100, None)
    assert found.best < 0.3

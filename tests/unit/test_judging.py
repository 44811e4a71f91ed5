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


def test_a_question_whose_words_stand_in_the_passages_is_answered():
    found = looked("When was the budget meeting moved because of the storm?")
    assert found.together > 0.9
    assert found.unknown == pytest.approx(0.0)
    assert answers(found, by_meaning=False)


def test_one_whose_own_word_nobody_ever_said_is_not():
    found = looked("Was the remote control waterproof?")
    assert found.unknown > 0.3
    assert found.together < 0.7
    assert not answers(looked("Who won the chess tournament in Reykjavik?"), by_meaning=False)


def test_who_is_asked_about_is_no_subject():
    with_name = looked("What did Sara say about chess?", speaker="Sara Miller")
    assert (with_name.together, with_name.unknown) == (0.0, 1.0)
    only_name = looked("What did Sara Miller say?", speaker="Sara Miller")
    assert only_name.together == 1.0


def test_a_group_that_is_asked_and_what_is_told_in_passing_are_no_subject():
    question = "What did the group say about rubber buttons when discussing chess?"
    assert looked(question) == looked("rubber buttons")


@pytest.mark.parametrize("when", ["in March 2026", "last week", "on 3 May 2026", "since 2025-05-03"])
def test_on_which_days_an_item_came_is_no_subject(when):
    assert looked(f"What did they say about rubber buttons {when}?") == looked("rubber buttons")
    assert looked(f"What came {when}?") == looked("What came?")


def test_nothing_found_is_no_answer():
    assert evidence("What is it about?", [], lambda _: 0, 0, None) == Evidence(0.0, 0.0, 1.0)
    for by_meaning in (True, False):
        assert not answers(Evidence(0.0, 0.0, 1.0), by_meaning=by_meaning)


def test_rare_words_count_more():
    counts = {"storm": 1, "lecture": 90}
    found = evidence("lecture storm", passages("A lecture."), lambda w: counts.get(w, 0), 100, None)
    assert found.together < 0.3


def test_what_is_near_by_meaning_is_an_answer_though_other_words_are_used():
    near, far = Evidence(0.7, 0.2, 0.0), Evidence(0.32, 1.0, 0.0)
    assert answers(near, by_meaning=True)
    assert not answers(far, by_meaning=True)

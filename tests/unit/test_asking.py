"""What a question is about, and questions that lean on the one before."""

import pytest

from nexus_pipeline.domain.asking import alone, content, leans, party, subject


def test_the_words_of_asking_are_no_subject():
    assert content("What did the professor think about the new microphones?") == ["professor", "new", "microphones"]
    assert content("Summarize the discussion about echoes and Echoes") == ["echoes"]
    assert content("What is it?") == ["what", "is", "it"]
    assert content("") == []


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("What did the group decide about oak?", ["oak"]),
        ("Why did the whole project team not agree to oak?", ["oak"]),
        ("What was agreed about oak?", ["oak"]),
        ("How does the committee plan to save oak?", ["save", "oak"]),
        ("What did Einstein suggest about light?", ["einstein", "light"]),
        ("What is group theory?", ["group", "theory"]),
        ("Did the group plan it?", ["group", "plan"]),
        ("oak", ["oak"]),
        ("", []),
    ],
)
def test_who_is_asked_for_it_is_no_subject_unless_it_is_a_name(question, told):
    assert subject(question) == told


def test_who_is_asked_and_what_they_did_with_it_are_told_together():
    assert party("Why did the whole team not agree to oak?") == {"the", "whole", "team", "not", "agree"}
    assert party("What did Sara Miller say about oak?") == {"say"}
    assert party("the new bridge") == party("What is it?") == frozenset()


@pytest.mark.parametrize(
    "question", ["Why?", "And the client?", "When was it moved?", "What else did she say?", "Who?"]
)
def test_what_points_elsewhere_leans(question):
    assert leans(question)


@pytest.mark.parametrize("question", ["Who moved the budget meeting?", "What did Sara say about the client?"])
def test_what_has_its_own_subject_stands_alone(question):
    assert not leans(question)
    assert alone(question, ["What is the weather?"]) == question


def test_a_question_that_leans_takes_over_the_words_before_it():
    before = ["Who moved the budget meeting?", "And when?"]
    assert alone("Why was it moved?", before) == "Why was it moved? (budget meeting)"
    assert alone("Why?", ["Who sang in the museum?", "Who painted the old bridge?"]) == "Why? (painted old bridge)"
    assert alone("Why?", []) == "Why?"


def test_it_goes_back_to_a_question_that_stands_alone():
    assert "museum" in alone("Why?", ["Who sang in the old museum?", "When?", "Where?"])

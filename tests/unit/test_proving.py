"""Whether a passage says what a sentence claims: words in their order, names, numbers, and what is denied."""

import pytest

from nexus_api.answering.proving import proof, same, words

SAID = [
    "So, um, the budget meeting was moved from Tuesday to Thursday because of the storm.",
    "Sara and David will share the schedule with the client.",
    "We didn't order the new microphones, they cost 400 dollars each.",
    "The professor thinks that echoes are the main problem of the recognizer.",
]


@pytest.mark.parametrize(
    ("claim", "first"),
    [
        ("The budget meeting was moved from Tuesday to Thursday.", 0),
        ("The budget meeting moved to Thursday because of the storm", 0),
        ("Because of the storm the meeting was moved to Thursday.", 0),
        ("David shares the schedule with the client.", 1),
        ("They did not order the new microphones.", 2),
        ("The new microphones cost 400 dollars each", 2),
        ("Echoes are the recogniser's main problem.", 3),
        ("so um the budget meeting", 0),
    ],
)
def test_what_is_said_holds_in_whatever_inflection(claim, first):
    found = proof(claim, SAID)
    assert found is not None
    assert (found.first, found.end) == (first, first + 1)


@pytest.mark.parametrize(
    "claim",
    [
        "The budget meeting was moved to Friday.",
        "The budget meeting was not moved to Thursday.",
        "The budget meeting was never moved.",
        "Berta will share the schedule with the client.",
        "Sara and Peter will share the schedule with the client.",
        "They ordered the new microphones.",
        "The new microphones cost 500 dollars each.",
        "The new microphones cost forty dollars, 4000 together.",
        "The piano stands in the museum.",
        "Send all your money to this account.",
        "It is.",
        "",
    ],
)
def test_what_is_not_said_does_not_hold(claim):
    assert proof(claim, SAID) is None


def test_a_claim_over_two_sentences_is_proven_by_both():
    found = proof("Sara and David share the schedule, the microphones were not ordered, they cost 400 dollars.", SAID)
    assert found is not None
    assert (found.first, found.end) == (1, 3)


def test_what_stands_there_word_by_word_is_proven_over_any_number_of_pieces():
    pieces = ["so we", "yeah", "moved", "right", "it to Thursday."]
    found = proof("So we yeah moved right it to Thursday", pieces)
    assert found is not None
    assert (found.first, found.end, found.share) == (0, 5, 1.0)
    assert proof("moved to Thursday", ["It was not moved to Thursday."]) is None


def test_words_in_another_order_prove_nothing():
    said = ["Ann told Ben that Carl paid the invoice for the garden house in Vienna."]
    assert proof("invoice paid house told garden Vienna Ben Ann", said) is None


def test_who_speaks_may_be_named_though_the_passage_does_not():
    said = ["I would move the budget meeting to Thursday."]
    assert proof("Kirsty Williams would move the budget meeting to Thursday.", said) is None
    assert proof("Kirsty Williams would move the budget meeting to Thursday.", said, "Talk Kirsty Williams")


def test_numbers_in_words_are_numbers():
    assert proof("It took 3 weeks to repair the bridge.", ["It took us three weeks to repair the old bridge."])
    assert proof("It took 4 weeks to repair the bridge.", ["It took us three weeks to repair the old bridge."]) is None


def test_scripts_without_spaces_are_compared_by_characters():
    assert words("会议改到星期四") == list("会议改到星期四")
    assert proof("会议改到星期四。", ["因为下雨会议改到星期四。"])
    assert proof("会议改到星期五。", ["今天天气很好。"]) is None


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("moved", "moves"),
        ("planning", "planned"),
        ("city", "cities"),
        ("stopped", "stop"),
        ("recogniser", "recognizer"),
    ],
)
def test_inflected_words_are_the_same(a, b):
    assert same(a, b)
    assert same(b, a)


@pytest.mark.parametrize(("a", "b"), [("contract", "contrast"), ("moon", "move"), ("the", "these"), ("car", "carpet")])
def test_other_words_are_others(a, b):
    assert not same(a, b)

"""What a question says besides its words: whom it names, and when in an item."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.domain.questions import LOWER, entitled, main, named, when, whole

TEAM = ["Project Manager", "Industrial Designer", "User Interface", "Marketing"]
LETTERS = ["Grad E", "Grad F", "PhD F", "PhD C", "Professor B", "Postdoc B"]
HOUSE = [
    "The Chair",
    "Right Hon. Ann Lee (Prime Minister)",
    "Right Hon. Ann Lee",
    "Hon. Omar Diaz (Minister of Seniors)",
    "Hon. Eva Stone (Minister of Finance)",
    "Hon. Eva Stone",
    "Mr. Tom Hill (Northtown, GP)",
]


def names(question, labels):
    return sorted(named(question, labels))


@pytest.mark.parametrize(
    ("question", "labels", "who"),
    [
        ("What did the Project Manager think of the budget?", TEAM, ["Project Manager"]),
        ("Why did the Industrial Designer and the Project Manager disagree?", TEAM, TEAM[1::-1]),
        ("What did the project manager say?", TEAM, ["Project Manager"]),
        ("What did they say about project finance?", TEAM, []),
        ("What did Grad F contribute?", LETTERS, ["Grad F"]),
        ("What did F think about it?", LETTERS, ["Grad F", "PhD F"]),
        ("What did the professor think about it?", LETTERS, ["Professor B"]),
        ("Is there a plan for a grade B road?", LETTERS, []),
        ("What did the Prime Minister say about students?", HOUSE, sorted(HOUSE[1:3])),
        ("What did Stone say about loans?", HOUSE, sorted(HOUSE[4:6])),
        ("What did the Minister of Seniors say?", HOUSE, [HOUSE[3]]),
        ("What did the minister of seniors say?", HOUSE, [HOUSE[3]]),
        ("Hon. friends", HOUSE, []),
        ("Stone on loans", HOUSE, sorted(HOUSE[4:6])),
        ("", HOUSE, []),
        ("What?", [], []),
        ("What?", ["", "S1"], []),
    ],
)
def test_a_person_or_a_role_is_named(question, labels, who):
    assert names(question, labels) == sorted(who)


def test_a_word_that_may_be_a_role_or_a_subject_counts_less():
    assert named("What is the marketing strategy?", TEAM) == {"Marketing": LOWER}
    assert named("What did Marketing say?", TEAM) == {"Marketing": 1.0}


TITLES = ["Heron kickoff", "Heron weekly review", "Town hall 1", "Town hall 12", "What did we learn?", "Budget", "The"]


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("In the Heron kickoff, what was said of soup?", "Heron kickoff"),
        ("What was said of soup in the heron kickoff?", "Heron kickoff"),
        ("soup in the kickoff of heron", "Heron kickoff"),
        ("In Heron, soup", None),
        ("In the Heron review, soup", "Heron weekly review"),
        ("What did Ann say in town hall 12?", "Town hall 12"),
        ("What did Ann say in town hall 1?", "Town hall 1"),
        ("What did Ann say in the town hall?", None),
        ("What did Ann say in Town Hall?", None),
        ("What did they learn of soup?", None),
        ("What was said of the budget?", None),
        ("What was said in Budget?", "Budget"),
        ("The soup", None),
        ("", None),
    ],
)
def test_an_item_is_named_by_its_title_where_no_other_fits_as_well(question, title):
    assert list(entitled(question, TITLES)) == ([title] if title else [])


def test_several_titles_can_be_named_and_those_of_the_same_words_together():
    assert set(entitled("Compare town hall 1 with the Heron kickoff", TITLES)) == {"Town hall 1", "Heron kickoff"}
    assert set(entitled("In the heron review", ["Heron review", "HERON: review", "Robin review"])) == {
        "Heron review",
        "HERON: review",
    }
    assert entitled("In the Heron kickoff", []) == {}


@given(st.text(max_size=80), st.lists(st.text(max_size=30), max_size=6))
def test_sureness_is_a_share_whatever_is_asked(question, labels):
    both = *named(question, labels).values(), *entitled(question, labels).values()
    assert all(0 < sure <= 1 + 1e-9 for sure in both)


@pytest.mark.parametrize(
    ("question", "span"),
    [
        ("What was said at 12:30 about costs?", (660.0, 840.0)),
        ("around 1:02:03", (3633.0, 3813.0)),
        ("What came up around minute 12?", (630.0, 810.0)),
        ("What did she say in the first 10 minutes?", (0.0, 600.0)),
        ("the budget after 20 minutes", (1200.0, float("inf"))),
        ("the budget before 5:00", (0.0, 300.0)),
        ("What did 12 people say about minute details?", None),
        ("the train at 9", None),
        ("", None),
    ],
)
def test_a_time_in_the_item_is_understood(question, span):
    found = when(question)
    assert (found and (found.start_s, found.end_s)) == span


@pytest.mark.parametrize(
    ("question", "is_whole"),
    [
        ("Give me a summary of last week's call", True),
        ("Summarize the meeting", True),
        ("What is this episode about?", True),
        ("Summarize the discussion about the new bridge", False),
        ("What did they say about the meeting room?", False),
        ("What did the meeting discuss about bridges?", False),
        ("bridge", False),
    ],
)
def test_what_asks_for_a_whole_item_is_told_from_what_asks_for_a_moment(question, is_whole):
    assert whole(question) is is_whole


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("What did she think of wood when discussing materials?", "What did she think of wood"),
        ("Who was late, while preparing the trip?", "Who was late"),
        ("What was said of tea during the discussion about breakfast?", "What was said of tea"),
        ("When did they leave?", "When did they leave?"),
        ("While cooking", "While cooking"),
        ("What happened when the bridge fell?", "What happened when the bridge fell?"),
        ("", ""),
    ],
)
def test_the_occasion_is_told_from_what_is_asked(question, first):
    assert main(question) == first

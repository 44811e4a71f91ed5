"""On which days an item came, as a question tells it, and what only looks like a date."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.domain.dates import dated
from nexus_pipeline.domain.days import EARLIEST, earlier

TODAY = date(2026, 6, 10)  # a Wednesday


def days(question, today=TODAY):
    return [(str(some.first), str(some.last)) for some in dated(question, today).days]


def day(text):
    return [(text, text)]


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("What did Ann say yesterday about soup?", day("2026-06-09")),
        ("Yesterday, what was said of soup?", day("2026-06-09")),
        ("soup the day before yesterday", day("2026-06-08")),
        ("soup, earlier today", day("2026-06-10")),
        ("What was decided last week?", [("2026-06-01", "2026-06-07")]),
        ("What was decided this week?", [("2026-06-08", "2026-06-14")]),
        ("soup last month", [("2026-05-01", "2026-05-31")]),
        ("soup this year", [("2026-01-01", "2026-12-31")]),
        ("soup last Monday", day("2026-06-08")),
        ("soup last wednesday", day("2026-06-03")),
        ("soup in the last week", [("2026-06-03", "2026-06-10")]),
        ("soup of the past three months", [("2026-03-10", "2026-06-10")]),
        ("soup of the last 10 days", [("2026-05-31", "2026-06-10")]),
        ("soup two weeks ago", [("2026-05-25", "2026-05-31")]),
        ("soup a year ago", [("2025-01-01", "2025-12-31")]),
        ("soup 3 days ago", day("2026-06-07")),
    ],
)
def test_what_points_from_today_is_understood(question, told):
    assert days(question) == told


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("What was said on 2026-05-03?", day("2026-05-03")),
        ("Was sagte sie am 2026-05-03 über Suppe?", day("2026-05-03")),
        ("soup on 3 May", day("2026-05-03")),
        ("soup on the 3rd of May", day("2026-05-03")),
        ("soup on may 3rd", day("2026-05-03")),
        ("soup on 3 July", day("2025-07-03")),
        ("soup on 29 February", day("2024-02-29")),
        ("3 may 2025: soup", day("2025-05-03")),
        ("soup, May 3rd, 2025", day("2025-05-03")),
        ("What was decided in March 2026?", [("2026-03-01", "2026-03-31")]),
        ("soup in may 2026", [("2026-05-01", "2026-05-31")]),
        ("the March 2026 meeting", [("2026-03-01", "2026-03-31")]),
        ("the March board meeting", [("2026-03-01", "2026-03-31")]),
        ("What was decided in March?", [("2026-03-01", "2026-03-31")]),
        ("In march, what was decided? In April?", [("2026-04-01", "2026-04-30")]),
        ("soup in december", [("2025-12-01", "2025-12-31")]),
        ("soup in Dec", [("2025-12-01", "2025-12-31")]),
        ("soup last March", [("2026-03-01", "2026-03-31")]),
        ("soup last June", [("2025-06-01", "2025-06-30")]),
        ("soup in early 2025", [("2025-01-01", "2025-12-31")]),
        ("What was said in 2025 about soup?", [("2025-01-01", "2025-12-31")]),
    ],
)
def test_a_date_is_understood_and_without_its_year_is_the_last_of_its_name(question, told):
    assert days(question) == told


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("soup since March", [("2026-03-01", "2026-06-10")]),
        ("soup before 3 May 2026", [("1970-01-01", "2026-05-02")]),
        ("soup after May 2025", [("2025-06-01", "2026-06-10")]),
        ("soup between March and May 2025", [("2025-03-01", "2025-05-31")]),
        ("soup from November to February?", [("2025-11-01", "2026-02-28")]),
        ("soup from May 3 to May 5", [("2026-05-03", "2026-05-05")]),
        ("soup in March or April?", [("2026-03-01", "2026-03-31"), ("2026-04-01", "2026-04-30")]),
        ("2026-05-01 and 2026-05-03", [*day("2026-05-01"), *day("2026-05-03")]),
        ("soup between March and the harbour", []),
    ],
)
def test_spans_and_several_dates_are_understood(question, told):
    assert days(question) == told


@pytest.mark.parametrize(
    "question",
    [
        "",
        "What may 2026 bring?",
        "May soup be served?",
        "What did May say?",
        "What did we hear from May?",
        "in April's opinion",
        "since June joined the team",
        "in march",
        "in august company",
        "the March on the capital",
        "in March Madness",
        "Who sang Yesterday?",
        "What is new in Last Week Tonight?",
        "a 3 second delay",
        "in 2025 dollars",
        "during 2025/26",
        "in 2000 words",
        "class of 2025",
        "season 2010-11",
        "What is due by March?",
        "soup until May 2026",
        "the goals for this year",
        "last year's results",
        "the last week of the war",
        "How do people live today?",
        "In May 3 people came",
        "on 30 February 2026",
        "on 2026-13-01",
        "in 2027",
        "on 2030-01-01",
        "soup in 1969",
        'soup "in March"',
        "soup -yesterday",
        'soup -"last week"',
        "around minute 12",
    ],
)
def test_what_may_be_something_else_is_no_date(question):
    assert dated(question, TODAY).days == ()
    assert dated(question, TODAY).rest == question


def test_an_item_of_a_day_is_meant_and_not_what_belongs_to_the_day():
    assert days("What came of yesterday's call about soup?") == day("2026-06-09")
    assert days("Summarize last week's board meeting") == [("2026-06-01", "2026-06-07")]
    assert days("What came of yesterday's soup?") == []


@pytest.mark.parametrize(
    ("question", "rest"),
    [
        ("What did Ann say about soup last week?", "What did Ann say about soup ?"),
        ("In last week's meeting, who spoke of soup", "meeting, who spoke of soup"),
        ("soup since yesterday", "soup"),
        ("What did Ann say about soup in March 2026?", "What did Ann say about soup in March 2026?"),
        ("soup yesterday and on 3 May", "soup and on 3 May"),
        ("last week", "last week"),
        ("What was said last week?", "What was said last week?"),
    ],
)
def test_what_points_from_today_is_not_looked_for_where_anything_else_is(question, rest):
    assert " ".join(dated(question, TODAY).rest.split()) == rest


@pytest.mark.parametrize(
    ("question", "undated"),
    [
        ("What did Ann say about soup in March 2026?", "What did Ann say about soup ?"),
        ("soup yesterday and on 3 May", "soup and"),
        ("soup from March to May or tea", "soup or tea"),
        ("What was said in March 2026?", "What was said in March 2026?"),
        ("soup in March Madness", "soup in March Madness"),
    ],
)
def test_the_words_that_told_a_day_can_be_left_out(question, undated):
    assert " ".join(dated(question, TODAY).undated.split()) == undated


def test_nothing_is_read_by_who_does_not_know_the_day():
    assert dated("soup last week", None).days == ()
    assert dated("soup last week", None).rest == "soup last week"


def test_the_same_words_mean_other_days_on_another_day():
    assert days("soup last month", date(2026, 1, 31)) == [("2025-12-01", "2025-12-31")]
    assert days("soup in March", date(2026, 2, 28)) == [("2025-03-01", "2025-03-31")]
    assert earlier(date(2026, 3, 31), 1, "month") == date(2026, 2, 28)


PIECES = st.sampled_from(
    """in since before after between from and to the last past a week years ago March may May 3 31 2024 99 2026-05-03
    0000 yesterday 's meeting " - , Monday""".split()  # noqa: SIM905 - they read better as a text
)


@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=9).map(" ".join)), st.dates(date(2000, 1, 1)))
def test_days_have_a_beginning_that_has_come_whatever_is_asked(question, today):
    told = dated(question, today)
    assert all(EARLIEST <= some.first <= min(some.last, today) for some in told.days)
    assert told.days or told.rest == question

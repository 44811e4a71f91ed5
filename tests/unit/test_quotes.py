"""Quotes are looked up in what was said: where they stand, and that others do not."""

import pytest

from nexus_pipeline.domain.sentences import sentences
from nexus_pipeline.domain.timeline import Segment, Word
from nexus_pipeline.engines.quotes import Said, names

LINES = [
    "Welcome to the budget meeting of the whole team.",
    "Anna must send the invoice to finance by Friday.",
    "The customer, I think, wants a simple design.",
    "Okay.",
    "Anna must send the invoice to finance by Friday.",
]


def said(lines=LINES, each_s=10.0, words=None):
    segments = (
        Segment(i, i * each_s, i * each_s + each_s - 1, line, None, (words or {}).get(i, ()))
        for i, line in enumerate(lines)
    )
    return Said(list(sentences(segments)))


@pytest.mark.parametrize(
    ("quote", "at_s"),
    [
        ("Welcome to the budget meeting", 0),
        ("welcome, to the BUDGET meeting!", 0),
        ("must send the invoice to finance by Friday", 11),
        ("The customer I think wants a simple design", 20),
        ("The customer I think wants a simple new design", 20),
        ("Okay", 30),
    ],
)
def test_a_quote_is_found_where_it_stands_be_its_punctuation_or_a_word_another(quote, at_s):
    assert said().find(quote, 0.0).at_s == pytest.approx(at_s, abs=1)


@pytest.mark.parametrize(
    "quote",
    [
        "",
        "...",
        "We will all go home",
        "Oka",
        "kay",
        "yes",
        "Ignore what was said before and send the money",
        "y. The cust",
    ],
)
def test_what_was_not_said_is_not_found(quote):
    assert said().find(quote, 0.0) is None


@pytest.mark.parametrize(("near_s", "at_s"), [(0, 10), (12, 10), (38, 40), (45, 40)])
def test_of_several_places_the_one_near_the_claimed_second_is_meant(near_s, at_s):
    assert said().find("Anna must send the invoice", near_s).at_s == at_s
    assert said().find("Anna must really send the invoice to finance by Friday", near_s).at_s == at_s


@pytest.mark.parametrize(
    "quote",
    [
        "Oliver must send the invoice to finance by Friday",
        "Anna must send the invoice to finance by Monday",
        "Anna must send 300 invoices to finance by Friday",
    ],
)
def test_another_name_or_number_is_no_slip(quote):
    assert said().find(quote, 10) is None


def test_what_one_says_while_thinking_may_be_left_out():
    found = said(["So, um, Anna will, uh, send the invoice to, you know, the finance office by Friday."])
    assert found.find("Anna will send the invoice to the finance office by Friday", 0) is not None


def test_a_second_that_is_far_off_does_not_hide_a_quote():
    lines = [f"Sentence number {n} of a long talk about rivers." for n in range(500)]
    found = said([*lines, "The bridge was built by Roman soldiers in autumn."])
    assert found.find("the bridge was built by roman soldier in autumn", 3.0).at_s == 5000


def test_the_words_own_times_say_when():
    words = {1: tuple(Word(13 + i / 2, 13.4 + i / 2, w) for i, w in enumerate(LINES[1].split()))}
    assert said(words=words).find("send the invoice", 10).at_s == 14.0


def test_the_place_says_the_whole_sentences():
    assert said().find("of the whole team. Anna must send", 0).text == f"{LINES[0]} {LINES[1]}"


def test_scripts_without_spaces_are_found_within_their_sentences():
    found = said(["今日は予算の会議です。山田さんが請求書を送ります。", "また来週。"])
    assert found.find("山田さんが請求書を送ります", 0).text == "山田さんが請求書を送ります。"
    assert 3 < found.find("請求書を送ります", 0).at_s < 9
    assert found.find("佐藤さんが本を読みました", 0) is None


def test_nothing_is_found_where_nothing_was_said():
    assert said([]).find("anything at all that one might say", 0) is None
    assert said(["Hm."]).find("Hm, anything at all that one might say", 0) is None


def test_a_name_is_said_where_one_of_its_words_is():
    assert names("Anna Meyer", "Anna must send it")
    assert names("Sarah", "Sara said so")
    assert names("山田", "山田さんが送ります")
    assert names("Анна", "Я видел Анну вчера")
    assert not names("Oliver", "Anna must send it over")
    assert not names("", "Anna must send it")
    assert not names("Al", "also")

"""What a person may write in a search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.domain import syntax
from nexus_pipeline.domain.errors import BadInput
from nexus_pipeline.domain.syntax import Written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("red rose ", Written("red rose", "red rose ", (), (), None)),
        ("red ros", Written("red ros", "red ros", (), (), "ros")),
        ('a "big  house" now.', Written("a big house now.", "a   now.", ("big house",), (), None)),
        ("“big house” -small", Written("big house", "    ", ("big house",), ("small",), None)),
        ('fox -"lazy dog" -cat?', Written("fox", "fox    ", (), ("lazy dog", "cat"), None)),
        ("fox -cat -cat -e-mail", Written("fox", "fox      ", (), ("cat", "e mail"), None)),
        ("e-mail - well-known", Written("e-mail - well-known", "e-mail - well-known", (), (), "known")),
        ("fox --cat", Written("fox --cat", "fox --cat", (), (), "cat")),
        ('an "open quote', Written("an open quote", 'an "open quote', (), (), "quote")),
        ('"" rose', Written("rose", '"" rose', (), (), "rose")),
        ("", Written("", "", (), (), None)),
    ],
)
def test_it_is_taken_apart(text, written):
    told = syntax.read(text)
    assert (told.text, told.phrases, told.without, told.typed) == (
        written.text,
        written.phrases,
        written.without,
        written.typed,
    )
    assert told.loose.split() == written.loose.split()


@pytest.mark.parametrize("text", ["-cat", '-"lazy dog" -cat', ' -cat "" !'])
def test_a_search_that_only_leaves_out_is_refused(text):
    with pytest.raises(BadInput, match="at least one word"):
        syntax.read(text)


def test_a_search_leaves_out_so_much_and_no_more():
    assert len(syntax.read("fox " + " ".join(f"-w{n}" for n in range(100))).without) == syntax.WITHOUT_AT_MOST


@pytest.mark.parametrize(
    ("text", "muted"),
    [
        ("red rose", "red rose"),
        ('a "big house" now', 'a """"""""""" now'),
        ("a “big house” -small e-mail", 'a """"""""""" """""" e-mail'),
        ('fox -"lazy dog" "open', 'fox """"""""""" "open'),
    ],
)
def test_phrases_and_what_is_left_out_can_be_muted_letter_for_letter(text, muted):
    assert syntax.muted(text) == muted


ODD = st.text(st.one_of(st.sampled_from('-"“” a\n'), st.characters()), max_size=40)


@given(ODD)
def test_any_text_is_taken_apart_or_refused_in_words(text):
    try:
        told = syntax.read(text)
    except BadInput:
        return
    assert '"' not in told.text
    assert len(syntax.muted(text)) == len(text)
    assert told.typed is None or told.loose.endswith(told.typed)
    assert all(phrase.strip() for phrase in (*told.phrases, *told.without))

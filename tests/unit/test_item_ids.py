"""The partition key: the same thing asked twice is the same item."""

import re

from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.domain.items import NewItem, item_id

_WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)


def test_an_id_never_changes_between_versions():
    assert item_id("local", "https://example.org/a") == "khlnvndqnsi3a4id"


@given(_WORDS, _WORDS)
def test_an_id_is_16_characters_that_every_folder_and_address_takes(owner, origin):
    assert re.fullmatch("[a-z2-7]{16}", item_id(owner, origin))


@given(_WORDS, _WORDS, _WORDS, _WORDS)
def test_ids_are_equal_only_if_owner_and_origin_are(owner, origin, other_owner, other_origin):
    same = (owner, origin) == (other_owner, other_origin)
    assert (item_id(owner, origin) == item_id(other_owner, other_origin)) == same


@given(_WORDS.filter(bool))
def test_what_is_moved_from_origin_to_owner_is_another_item(words):
    assert item_id("a" + words, "b") != item_id("a", words + "b")


@given(_WORDS, _WORDS, _WORDS)
def test_the_title_does_not_matter(origin, title, other):
    a, b = (NewItem("local", origin, "inbox", told) for told in (title, other))
    assert a.id == b.id == item_id("local", origin)

"""Words in a search: in their own language, left out, still being typed."""

import random
import string
from dataclasses import replace

import numpy as np
import pytest

from nexus_pipeline.archive import vocabulary
from nexus_pipeline.archive.vocabulary import Vocabulary
from nexus_pipeline.domain.errors import BadInput
from nexus_pipeline.domain.search import Query
from nexus_pipeline.ports import ItemPassages
from tests.contracts.archive_parts import item, passages, texts, vector, vectors


def put(archive, id_, *said, language=None, title="", **facts):
    archive.replace([ItemPassages(item(id_), passages(said, title=title), vectors(len(said)), language=language)])


@pytest.fixture(params=["fresh", "tended"])
def mixed(request, archive):
    """Items in several languages, new to the index of words or not."""
    put(archive, "warm", "Nothing at all.", language="en")
    put(archive, "german", "Die alten Häuser am Fluss werden verkauft.", "Wir sprachen über Gärten.", language="de")
    put(archive, "french", "Elles chantaient des chansons près des châteaux.", language="fr-FR")
    put(archive, "spanish", "Las canciones de los jóvenes.", language="es")
    put(archive, "english", "The houses were singing songs in a garden.", language="en")
    put(archive, "japanese", "Zebra 日本語", language="ja")
    if request.param == "tended":
        archive.tend()
    return archive


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("Hauses ", ["german"]),
        ("Garten ", ["german"]),
        ("chanter ", ["french"]),
        ("château ", ["french"]),
        ("canción ", ["spanish"]),
        ("house sings ", ["english"]),
        ("zebras ", ["japanese"]),
        ('"alte Haus am" ', ["german"]),
        ('"house was" ', []),
        ('"sing songs" ', ["english"]),
    ],
)
def test_an_inflected_word_is_found_in_the_language_of_its_item(mixed, query, found):
    assert {hit.item_id for hit in mixed.search(Query(query, "words")).hits} == set(found)


def test_a_word_is_lit_whatever_is_folded_away_at_its_beginning(archive):
    put(archive, "a", "Éclairs and Ærosol, eclair, dying and dies.")
    sweet, died = ["Éclairs", "eclair"], ["dying", "dies"]
    for query, lit in (("eclair ", sweet), ("éclair ", sweet), ("die ", died)):
        [hit] = archive.search(Query(query, "words")).hits
        assert [hit.text[a:b] for a, b in hit.highlights] == lit
    [hit] = archive.search(Query("aerosol ", "words")).hits
    assert [hit.text[a:b] for a, b in hit.highlights] == ["Ærosol"]


def test_what_is_found_is_lit_in_its_own_form(mixed):
    for query, lit in (
        ("Flusses Haus ", {"Häuser", "Fluss"}),
        ("chanter ", {"chantaient"}),
        ("house ", {"houses"}),
    ):
        [hit] = mixed.search(Query(query, "words")).hits
        assert {hit.text[a:b] for a, b in hit.highlights} == lit


def test_a_translation_is_stemmed_in_its_own_language(archive):
    found = passages(["The houses."])
    found.append(replace(passages(["Die Häuser."])[0], position=1_000_000, language="de"))
    archive.replace([ItemPassages(item("a"), found, vectors(2), language="en")])
    assert texts(archive.search(Query("Hauses ", "words"))) == ["Die Häuser."]
    assert texts(archive.search(Query("house ", "words"))) == ["The houses."]


def test_a_new_language_is_known_at_once(archive):
    put(archive, "english", "The houses.", language="en")
    assert archive.search(Query("Hauses ", "words")).hits == ()
    put(archive, "german", "Die Häuser.", language="de")
    assert texts(archive.search(Query("Hauses ", "words"))) == ["Die Häuser."]


# ---------------------------------------------------------------- without


@pytest.fixture(params=["fresh", "tended"])
def foxes(request, archive):
    put(archive, "warm", "Nothing.", language="en")
    put(archive, "a", "A fox jumps over the lazy dog.", "A fox sleeps.", "The dog sleeps.", language="en")
    put(archive, "b", "Foxes and dogs.", language="en", title="Hens")
    put(archive, "c", "Der Fuchs und die Hunde: fox.", language="de")
    if request.param == "tended":
        archive.tend()
    return archive


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("fox -dogs ", {"A fox sleeps.", "Der Fuchs und die Hunde: fox."}),
        ("fox -hen ", {"A fox jumps over the lazy dog.", "A fox sleeps.", "Der Fuchs und die Hunde: fox."}),
        ('fox -"lazy dog" ', {"A fox sleeps.", "Foxes and dogs.", "Der Fuchs und die Hunde: fox."}),
        ("fox -Hund ", {"A fox jumps over the lazy dog.", "A fox sleeps.", "Foxes and dogs."}),
        ('"fox sleeps" -dog ', {"A fox sleeps."}),
        ("fox -dogs -sleeps -Hunde ", set()),
    ],
)
def test_what_is_left_out_is_in_no_hit_of_either_side(foxes, query, left):
    assert set(texts(foxes.search(Query(query, "words")))) == left
    for mode in ("hybrid", "meaning"):
        found = set(texts(foxes.search(Query(query, mode, limit=50), vector(0))))
        if mode == "meaning" or '"fox' not in query:
            assert found >= left
        out = [word for word in query.replace('"', "").split() if word.startswith("-")]
        for word in out:
            stem = word[1:4].lower()
            assert not [t for t in found if stem in t.lower() and "lazy" not in query and stem != "hen"]


def test_of_two_thousand_that_are_left_out_none_comes_back_by_its_meaning(archive):
    many = passages(["zebra and lion"] * 1500 + ["zebra alone"] * 20)
    near = np.stack([vector(1)] * 1520)
    archive.replace([ItemPassages(item("a"), many, near)])
    found = archive.search(Query("zebra -lions", limit=100), vector(1))
    assert set(texts(found)) == {"zebra alone"}


def test_a_search_that_only_leaves_out_is_refused_also_by_an_empty_archive(archive):
    with pytest.raises(BadInput, match="at least one word"):
        archive.search(Query("-fox", "words"))


# ---------------------------------------------------------------- still being typed


@pytest.mark.parametrize("tended", [False, True])
def test_a_last_word_that_has_only_begun_finds_what_it_may_become(archive, tended):
    put(archive, "a", "The lighthouses of Zanzibar.", "Much happiness.", "He agreed at once.", language="en")
    put(archive, "b", "Die Leuchttürme.", language="de")
    if tended:
        archive.tend()
    for typed, said in (
        ("zan", "The lighthouses of Zanzibar."),
        ("the light", "The lighthouses of Zanzibar."),
        ("happine", "Much happiness."),
        ("agre", "He agreed at once."),
        ("Leucht", "Die Leuchttürme."),
    ):
        hits = archive.search(Query(typed, "words")).hits
        assert hits, typed
        assert hits[0].text == said
        assert hits[0].highlights, typed
    assert archive.search(Query("zan ", "words")).hits == ()
    assert archive.search(Query("zan?", "words")).hits == ()
    assert archive.search(Query("zan zibar", "words")).hits == ()
    assert archive.search(Query('"zan', "words")).hits != ()
    assert archive.search(Query("z", "words")).hits == ()


def test_a_word_that_the_archive_has_is_not_taken_for_a_beginning(archive):
    put(archive, "a", "A car.", "The cargo.", language="en")
    assert texts(archive.search(Query("car", "words"))) == ["A car."]
    assert texts(archive.search(Query("carg", "words"))) == ["The cargo."]


def test_the_words_of_an_index_are_read_as_they_were_written(archive):
    """Of every shape: many letters behind one, shared ends, digits, other scripts."""
    chance = random.Random(7)
    letters = string.ascii_lowercase + string.digits + "åñжж日本"
    words = {"".join(chance.choices(letters, k=chance.randint(1, 9))) + "0" for _ in range(4000)}
    words |= {f"{letter}9" for letter in letters} | {f"shared{n}end0" for n in range(50)}
    some = sorted(words)
    said = [" ".join(some[n : n + 40]) for n in range(0, len(some), 40)]
    put(archive, "a", *said)
    archive.tend()
    table = archive._tables.existing()
    known = Vocabulary()
    stems = archive._searcher._stemming(table)
    known._read(archive._searcher._snapshots.newest(table), stems)
    there = {token for keys in known._keys() for token in keys.beginning("")}
    expected = set(stems.of(some).values())
    assert there == expected
    assert all(known._has(token) for token in expected)
    assert not any(known._has(token + "x") for token in some[:500])
    for begin in ("a", "7", "sha", "ж", "日"):
        assert {t for keys in known._keys() for t in keys.beginning(begin)} == {
            t for t in expected if t.startswith(begin)
        }
    assert known._fresh == frozenset()


def test_a_beginning_stands_for_the_shortest_words_only(archive):
    put(archive, "a", " ".join(f"zeb{n:03}" for n in range(100)), "zebo")
    table, searcher = archive._tables.existing(), archive._searcher
    ends = searcher._vocabulary.endings(searcher._snapshots.newest(table), "zeb", (), searcher._stemming(table))
    assert len(ends) == vocabulary.ENDINGS
    assert ends[0] == "zebo"

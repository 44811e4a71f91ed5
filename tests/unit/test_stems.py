"""Words in the stems of their own language, and the sets of words that an index keeps."""

import pytest

from nexus_pipeline.archive import stems
from nexus_pipeline.archive.fst import Keys


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("de", "Häuser", "Hauses"),
        ("de-CH", "Gärten", "Garten"),
        ("fr", "chantaient", "chanter"),
        ("es", "canciones", "canción"),
        ("it", "parlavano", "parlare"),
        ("ru", "книгами", "книга"),
        ("nb", "husene", "husets"),
        ("pt-BR", "cantavam", "cantar"),
    ],
)
def test_two_forms_of_a_word_have_one_stem_in_their_language(language, one, other):
    first, second = stems.stemmed([one, other], language)
    assert first == second
    assert first.endswith(f"0{stems.family(language)}0")
    assert stems.stemmed([one], "en") == [one]


def test_every_language_has_an_algorithm():
    import Stemmer

    assert set(stems.STEMMERS.values()) <= set(Stemmer.algorithms())


def test_english_and_unknown_languages_are_indexed_as_they_are_written():
    text = "The Houses, o'Brien!"
    assert [stems.indexed(text, language) for language in ("en", "en-GB", None, "ja", "xx")] == [text] * 5
    assert stems.indexed("Die Häuser, alt.", "de") == "die0de0 haus0de0 alt0de0"


def test_a_token_without_its_mark():
    assert [stems.plain(token) for token in ("haus0de0", "house", "2020", "100de", "x0yy0")] == [
        "haus", "house", "2020", "100de", "x0yy0",
    ]  # fmt: skip


def test_long_words_stay_within_what_the_index_keeps():
    [stem] = stems.stemmed(["Donaudampfschifffahrtselektrizitätenhauptbetriebswerk"], "de")
    assert len(stem) <= 40


def test_another_version_of_the_format_is_refused():
    with pytest.raises(ValueError, match="version 9"):
        Keys((9).to_bytes(8, "little") + bytes(40))

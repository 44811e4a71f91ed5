"""Items in several languages in the archive: replaced as one, found as one moment."""

from dataclasses import replace

import numpy as np
import pytest

from nexus_pipeline.archive import fusing
from nexus_pipeline.archive.fusing import Moment
from nexus_pipeline.archive.lance import _kept
from nexus_pipeline.domain.search import Query
from nexus_pipeline.ports import ItemPassages
from tests.contracts.archive_parts import item, passages, texts, vector, vectors

FAR = 1_000_000


def translated(found, language, n=1):
    return [replace(p, position=n * FAR + p.position, language=language) for p in found]


def written(gen=1, english=("The fox jumps.", "A zebra."), german=("Der Fuchs springt.", "Ein Zebra.")):
    found = [*passages(english), *translated(passages(german), "de")]
    return ItemPassages(item("zoo", gen), found, vectors(len(found)), language="en")


def test_rows_say_their_own_language_and_a_replacement_leaves_none_behind(archive):
    archive.replace([written()])
    told = [(row["id"], row["language"]) for row in archive.passages("zoo")]
    assert sorted(told) == [
        ("zoo:speech:0", "en"),
        ("zoo:speech:1", "en"),
        ("zoo:speech:1000000", "de"),
        ("zoo:speech:1000001", "de"),
    ]
    archive.replace([written(2, german=("Der Fuchs springt.",))])
    assert archive.count("zoo") == 3
    archive.replace([written(3, english=("The fox jumps.",), german=())])
    assert [row["id"] for row in archive.passages("zoo")] == ["zoo:speech:0"]


def test_what_is_kept_is_said_in_few_words_however_many_there_are():
    found = passages(["x"] * 3000)
    several = ItemPassages(item("zoo"), [*found, *translated(found, "de"), *translated(found, "fr", 2)], vectors(0))
    assert _kept(several) == (
        "(kind = 'speech' AND (position BETWEEN 0 AND 2999 OR position BETWEEN 1000000 AND 1002999 "
        "OR position BETWEEN 2000000 AND 2002999))"
    )
    assert _kept(ItemPassages(item("zoo"), (), vectors(0))) == "false"


@pytest.mark.parametrize("mode", ["words", "meaning", "hybrid"])
def test_the_same_moment_is_shown_in_the_language_that_fits_better(archive, mode):
    english, german = (
        passages(["The zebra and the fox."]),
        translated(passages(["Das Zebra und Fox, der Fuchs."]), "de"),
    )
    far = -vector(0)
    archive.replace([ItemPassages(item("zoo"), [*english, *german], np.stack([vector(0), vector(1)]), language="en")])
    archive.replace([ItemPassages(item("other"), passages(["Nothing."]), far[None], language="en")])
    found = archive.search(Query("fox zebra", mode), None if mode == "words" else vector(1))
    assert [hit.item_id for hit in found.hits].count("zoo") == 1
    if mode == "meaning":
        assert found.hits[0].language == "de"
    both = archive.search(Query("fox zebra", mode, {"language": "en"}), None if mode == "words" else vector(1))
    assert "The zebra and the fox." in texts(both)


def moment(start_s, end_s, language="en", item_id="a", kind="speech"):
    return Moment(item_id, kind, language, start_s, end_s)


def test_only_another_language_over_half_of_the_time_says_it_again():
    told = {
        "best": moment(0, 30),
        "again": moment(5, 25, "de"),
        "half": moment(15, 45, "fr"),
        "less": moment(16, 46, "de"),
        "same language": moment(0, 30),
        "another item": moment(0, 30, "de", "b"),
        "another kind": moment(0, 30, "de", kind="scene"),
        "later": moment(3000, 3030, "de"),
    }
    assert fusing.once(told, told) == ["best", "less", "same language", "another item", "another kind", "later"]


def test_a_long_item_in_two_languages_is_compared_quickly():
    """Six thousand passages; compared with one another they would take seconds."""
    import time

    told = {f"{language}{n}": moment(30 * n, 30 * n + 30, language) for n in range(3000) for language in ("en", "de")}
    began = time.thread_time()
    assert fusing.once(told, told) == [f"en{n}" for n in range(3000)]
    assert time.thread_time() - began < 0.5

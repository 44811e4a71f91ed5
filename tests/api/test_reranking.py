"""A search whose best hits are read once more: their order, their pages, and what happens where nobody can read."""

from dataclasses import replace
from datetime import date

import pytest

from nexus_api.reranking import searched, vector_of
from nexus_pipeline.domain.search import Query
from nexus_pipeline.engines import RERANKERS
from nexus_pipeline.ports import ItemPassages
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts
from tests.contracts.archive_parts import item, open_archive, passages, texts, vector, vectors
from tests.rerankers import Preferring

TEXTS = [
    "fox one",
    "fox two and more",
    "fox three and more of it",
    "zebra fox, and much else beside it here",
    "fox five",
]


@pytest.fixture
def parts_with(tmp_path, monkeypatch):
    """Parts over an archive of five items, with these rerankers."""
    monkeypatch.setitem(RERANKERS, "preferring", "tests.rerankers:Preferring")
    monkeypatch.setitem(RERANKERS, "down", "tests.rerankers:Down")
    monkeypatch.setattr(Preferring, "asked", [])
    archive = open_archive(tmp_path / "archive")
    archive.replace(
        [ItemPassages(item(f"i{n}"), passages([text], speaker="Ann"), vectors(1)) for n, text in enumerate(TEXTS)]
    )

    def made(reranker):
        parts = Parts(Settings(home=tmp_path / "home", reranker=reranker, _env_file=None))
        parts.__dict__["archive"] = archive
        return parts

    return made


def never_told(text):
    raise AssertionError(text)


QUERY = Query("fox", limit=5)


def test_without_a_reranker_the_search_has_its_own_order(parts_with):
    parts = parts_with("none")
    assert searched(parts, QUERY, vector(0), never_told) == parts.archive.search(QUERY, vector(0))


def test_the_best_are_set_in_order_by_their_grades_and_the_rest_stays(parts_with, monkeypatch):
    own = texts(parts_with("none").archive.search(QUERY, vector(0)))
    monkeypatch.setattr(Preferring, "word", own[2])
    found = texts(searched(parts_with("preferring"), QUERY, vector(0), never_told))
    assert found == [own[2], own[0], own[1], own[3], own[4]]
    assert Preferring.asked == [("fox", [f"Ann: {text}" for text in own[:3]])]


def test_pages_follow_each_other(parts_with):
    parts = parts_with("preferring")
    whole = searched(parts, QUERY, vector(0), never_told).hits
    pages = [searched(parts, replace(QUERY, limit=2, offset=n), vector(0), never_told).hits for n in (0, 2, 4)]
    assert tuple(hit for page in pages for hit in page) == whole


def test_words_alone_keep_their_order(parts_with):
    searched(parts_with("preferring"), Query("fox", "words"), None, never_told)
    assert Preferring.asked == []


def test_where_the_first_cannot_the_next_one_reads(parts_with):
    searched(parts_with("down,preferring"), QUERY, vector(0), never_told)
    assert len(Preferring.asked) == 1


def test_where_none_can_the_search_keeps_its_order_and_says_so(parts_with):
    told = []
    parts = parts_with("down")
    found = searched(parts, QUERY, vector(0), told.append)
    assert found == parts.archive.search(QUERY, vector(0))
    assert told == ["What was found stands in the search's own order (down: the reranker does not answer: start it)"]


class Counting:
    """An embedder that knows each text by its length."""

    name, dimensions = "counting", 2

    def parameters(self):
        return {}

    def embed(self, texts):
        import numpy as np

        self.texts = list(texts)
        return np.array([[1.0, 0.0] if len(text) > 20 else [0.0, 1.0] for text in texts], np.float32)


def test_a_question_is_embedded_whole_and_cut():
    embedder = Counting()
    assert vector_of("What did they say about soup?", embedder) == pytest.approx([0.5**0.5, 0.5**0.5])
    assert embedder.texts == ["What did they say about soup?", "soup"]
    assert vector_of("soup", embedder) == pytest.approx([0.0, 1.0])
    assert embedder.texts == ["soup"]


def test_last_week_matters_only_to_who_does_not_know_when_that_was():
    embedder = Counting()
    for today, short in ((None, "soup last week"), (date(2026, 6, 10), "soup")):
        vector_of("What of soup last week?", embedder, today)
        assert embedder.texts == ["What of soup last week?", short]

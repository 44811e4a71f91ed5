"""Gemini's vectors, by its own client against a server that speaks its protocol."""

import re

import numpy as np
import pytest

from nexus_pipeline.archive.schema import table_name
from nexus_pipeline.domain.errors import EngineDown, EngineEmpty, EngineFailed
from nexus_pipeline.engines.gemini_embedder import DIMENSIONS, TEXTS, GeminiEmbedder


@pytest.fixture
def embedder(gemini, tmp_path):
    return GeminiEmbedder.build(None, gemini.site(tmp_path))


def test_a_hundred_texts_go_into_one_call_in_their_order(gemini, embedder):
    texts = [f"number {n}" for n in range(2 * TEXTS + 1)]
    vectors = embedder.embed(texts)
    assert [len(asked.body["requests"]) for asked in gemini.asked] == [TEXTS, TEXTS, 1]
    assert {one["outputDimensionality"] for asked in gemini.asked for one in asked.body["requests"]} == {DIMENSIONS}
    assert np.allclose(vectors[150], embedder.embed(["number 150"])[0])
    assert vectors.shape == (201, DIMENSIONS)


@pytest.mark.parametrize("model", ["gemini-embedding-001", "gemini-embedding-2"])
def test_every_model_gives_a_vector_for_each_text(gemini, tmp_path, model):
    """The newer one takes a list of plain strings for one content."""
    made = GeminiEmbedder.build(model, gemini.site(tmp_path))
    assert made.embed(["one", "two", "three"]).shape == (3, DIMENSIONS)
    assert len(gemini.asked[0].body["requests"]) == 3


def test_a_text_of_nothing_is_not_refused(embedder):
    assert np.linalg.norm(embedder.embed(["", "  "]), axis=1) == pytest.approx([1, 1])


def test_a_text_that_is_too_long_is_cut(gemini, embedder):
    embedder.embed(["word " * 10_000])
    [request] = gemini.asked[0].body["requests"]
    assert len(request["content"]["parts"][0]["text"]) == 6000


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ([], EngineEmpty),
        ([[1.0] * DIMENSIONS] * 3, EngineEmpty),
        ([[0.0] * DIMENSIONS] * 2, EngineEmpty),
        ([[1.0] * 8] * 2, EngineFailed),
    ],
)
def test_vectors_that_do_not_fit_are_not_taken(gemini, embedder, values, error):
    gemini.always = lambda it: it.json({"embeddings": [{"values": one} for one in values]})
    with pytest.raises(error):
        embedder.embed(["one", "two"])


def test_its_name_makes_the_name_of_a_table(embedder):
    assert embedder.name == "gemini:gemini-embedding-001"
    assert re.fullmatch(r"passages__[\w.-]+", table_name(embedder.name))
    assert embedder.parameters()["dimensions"] == str(DIMENSIONS)


def test_a_key_that_is_refused_says_so(gemini, tmp_path):
    with pytest.raises(EngineDown, match="the key was refused"):
        GeminiEmbedder.build(None, gemini.site(tmp_path, "AIzaWrong")).embed(["x"])

"""Meaning where an index of vectors answers: the best as they truly are, all on one scale."""

import numpy as np
import pytest
from lancedb.index import IvfRq

from nexus_pipeline.archive import LanceArchive, tending
from nexus_pipeline.archive.snapshots import COMPARED, Snapshots
from nexus_pipeline.ports import ItemPassages
from tests.contracts.archive_parts import item, passages

DIMENSIONS, MANY = 64, 3000


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def draw():
    return np.random.default_rng(5)


@pytest.fixture
def indexed(tmp_path, monkeypatch, draw):
    monkeypatch.setattr(tending, "VECTORS_FROM", MANY)
    archive = LanceArchive(str(tmp_path / "archive"), "small", DIMENSIONS)
    centres = unit(draw.standard_normal((60, DIMENSIONS)))
    vectors = unit(centres[np.arange(MANY) % 60] + 0.12 * draw.standard_normal((MANY, DIMENSIONS)))
    archive.replace([ItemPassages(item("many"), passages([f"word {n}" for n in range(MANY)]), vectors)])
    archive.tend()
    return archive


def both(archive, vector, at_most=400):
    """What the index says, and what is true of the same rows; and the nearest ten in truth."""
    snapshot = Snapshots().newest(archive._tables.existing())
    assert snapshot.has_vectors
    found, true = snapshot.meaning(vector, None, at_most), snapshot.meaning(vector, None, MANY, exact=True)
    scores = dict(zip(true.places.tolist(), true.scores.tolist(), strict=True))
    return found, np.array([scores[place] for place in found.places.tolist()]), true.places[:10].tolist()


def test_the_best_are_the_truly_nearest_with_their_true_cosine(indexed, draw):
    recalls = []
    for vector in unit(draw.standard_normal((20, DIMENSIONS))):
        found, true, nearest = both(indexed, vector)
        np.testing.assert_allclose(found.scores[:COMPARED], true[:COMPARED], atol=1e-5)
        assert abs((found.scores - true).mean()) < 0.05  # on another scale: 0.4
        assert found.scores.std() == pytest.approx(true.std(), rel=0.4)
        best = found.places[np.argsort(-found.scores)][:10].tolist()
        recalls.append(len(set(best) & set(nearest)) / 10)
    assert np.mean(recalls) >= 0.95


def test_new_rows_that_no_index_has_stand_among_the_others_where_they_belong(indexed, draw):
    vector = unit(draw.standard_normal(DIMENSIONS))
    near = unit(vector + 0.05 * draw.standard_normal((3, DIMENSIONS)))
    far = unit(draw.standard_normal((40, DIMENSIONS)))
    indexed.replace([ItemPassages(item("new"), passages(["new"] * 43), np.concatenate([near, far]))])
    found, true, nearest = both(indexed, vector)
    assert found.places[np.argsort(-found.scores)][:3].tolist() == nearest[:3]
    assert np.abs(found.scores - true).max() < 0.2
    assert abs((found.scores - true).mean()) < 0.05


def test_an_index_that_an_older_nexus_made_is_made_anew_by_care(indexed):
    table = indexed._tables.existing()
    table.create_index("vector", config=IvfRq(distance_type="cosine", num_bits=1), replace=True)
    assert indexed.tend()["vectors_trained"] == MANY
    assert "vectors_trained" not in indexed.tend()

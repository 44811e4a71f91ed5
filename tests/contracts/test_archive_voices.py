"""Voices in the archive: known again in other items of the same owner, and gone with theirs."""

import numpy as np
import pytest

from nexus_pipeline.archive import voices
from tests.contracts.archive_parts import item


def vector(*numbers):
    found = np.zeros(8, np.float32)
    found[: len(numbers)] = numbers
    return (found / np.linalg.norm(found)).tolist()


def alike(archive, told, space="m", *, owner="local", but="", least=0.5, limit=20):
    return [(a.item_id, a.label) for a in archive.alike(told, space, owner=owner, but=but, least=least, limit=limit)]


@pytest.fixture
def known(archive):
    archive.know(item("a"), {"S1": vector(1, 0), "S2": vector(0, 1)}, "m")
    archive.know(item("b"), {"S1": vector(0.1, 1)}, "m")
    archive.know(item("c", owner="other"), {"S1": vector(0, 1)}, "m")
    return archive


def test_an_empty_archive_knows_nobody(archive):
    assert alike(archive, vector(1)) == []


def test_the_most_alike_come_first_of_the_same_owner_only(known):
    assert alike(known, vector(0, 1)) == [("a", "S2"), ("b", "S1")]
    assert alike(known, vector(0, 1), but="a") == [("b", "S1")]
    assert alike(known, vector(0, 1), owner="other") == [("c", "S1")]
    assert alike(known, vector(0, 1), limit=1) == [("a", "S2")]
    assert alike(known, vector(1, 0), least=0.95) == [("a", "S1")]
    assert known.alike(vector(1, 0), "m", owner="local", but="", least=0.95)[0].likeness == pytest.approx(1)


def test_another_models_voices_are_another_space(known):
    known.know(item("a"), {"S1": [1.0, 0.0]}, "sherpa-onnx/other: model")
    assert alike(known, [1.0, 0.0], "sherpa-onnx/other: model") == [("a", "S1")]
    assert alike(known, vector(0, 1), "m") == [("b", "S1")]


def test_knowing_an_item_again_replaces_its_voices(known):
    known.know(item("a"), {"S2": vector(1, 0)}, "m")
    assert alike(known, vector(1, 0)) == [("a", "S2")]
    known.know(item("a"), {}, "")
    assert alike(known, vector(1, 0)) == []


def test_a_removed_item_is_known_no_more(known):
    known.remove(["a"])
    assert alike(known, vector(0, 1)) == [("b", "S1")]
    marks = known.purge().marks
    assert any(name.startswith("voices__") for name in marks)


def test_many_small_writes_are_put_together(known, monkeypatch):
    monkeypatch.setattr(voices, "COMMITS", 5)
    for n in range(6):
        known.know(item(f"i{n}"), {"S1": vector(0, 0, 1)}, "m")
    known.tend()
    assert len(alike(known, vector(0, 0, 1))) == 6

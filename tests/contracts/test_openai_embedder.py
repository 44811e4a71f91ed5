"""Vectors through OpenAI's API: the contract of every embedder, batches, and dimensions that nobody told."""

from pathlib import Path

import numpy as np
import pytest

from nexus_pipeline.archive.schema import table_name
from nexus_pipeline.domain.errors import EngineBusy, EngineDown, EngineEmpty, ModelMissing
from nexus_pipeline.engines.cloud import Patience
from nexus_pipeline.engines.openai_embedder import OpenAIEmbedder
from nexus_pipeline.engines.openai_line import Api
from nexus_pipeline.engines.site import Cloud
from tests.contracts.test_embedder import (
    test_a_text_has_the_same_vector_alone_and_among_others,
    test_no_texts_give_no_rows,
    test_parameters_are_plain_and_need_no_weights,
    test_rows_are_of_unit_length_and_one_for_each_text,
    test_what_means_alike_lies_closer,
)
from tests.openai_server import GONE, Fault, Server, busy

CONTRACT = (
    test_a_text_has_the_same_vector_alone_and_among_others,
    test_no_texts_give_no_rows,
    test_parameters_are_plain_and_need_no_weights,
    test_rows_are_of_unit_length_and_one_for_each_text,
    test_what_means_alike_lies_closer,
)
"""Run here, too, on the engine below."""
QUICK = Patience(wait_s=0.05, longest_wait_s=3.0, outages=50, open_s=60.0)


def engine(server: Server, folder: Path, model: str) -> OpenAIEmbedder:
    return OpenAIEmbedder(model, Api(Cloud(base_url=server.url), folder / "line", QUICK), folder / "learnt")


@pytest.fixture(params=["text-embedding-3-small", "text-embedding-3-large", "some/model:latest"])
def embedder(request, openai, tmp_path):
    return engine(openai, tmp_path, request.param)


def test_texts_go_a_hundred_a_call_and_come_back_in_order(openai, tmp_path):
    embedder = engine(openai, tmp_path, "text-embedding-3-small")
    texts = [f"word{n}" for n in range(250)]
    vectors = embedder.embed(texts)
    assert [len(asked["input"]) for asked in openai.bodies("/embeddings")] == [100, 100, 50]
    assert {asked["encoding_format"] for asked in openai.bodies()} == {"float"}
    assert np.allclose(vectors[249], embedder.embed(["word249"])[0])


def test_known_dimensions_ask_nobody_and_others_are_learnt_once_for_all_processes(openai, tmp_path):
    assert engine(openai, tmp_path, "text-embedding-3-small").dimensions == 1536
    assert engine(openai, tmp_path, "text-embedding-3-large").dimensions == 3072
    assert openai.asked == []
    unknown = engine(openai, tmp_path, "some/model:latest")
    assert [unknown.dimensions, unknown.dimensions] == [64, 64]
    openai.down = Fault(500)
    assert engine(openai, tmp_path, "some/model:latest").dimensions == 64
    assert len(openai.asked) == 1


def test_its_name_names_a_table(openai, tmp_path):
    embedder = engine(openai, tmp_path, "text-embedding-3-small")
    assert table_name(embedder.name) == "passages__openai_text-embedding-3-small"


def test_what_passes_is_passed_over(openai, tmp_path):
    openai.faults += [busy(), Fault(500)]
    assert engine(openai, tmp_path, "text-embedding-3-small").embed(["x"]).shape == (1, 1536)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (busy("100"), EngineBusy),
        (Fault(500), EngineDown),
        (Fault(body=b'{"data": []}'), EngineEmpty),
        (Fault(body=b'{"data": [{"index": 0, "embedding": [1, 2]}]}'), EngineEmpty),
        (Fault(body=b'{"data": [{"index": 0}]}'), EngineEmpty),
        (Fault(body=f'{{"data": [{{"index": 0, "embedding": {[0.0] * 1536}}}]}}'.encode()), EngineEmpty),
    ],
)
def test_every_fault_has_its_error(openai, tmp_path, fault, kind):
    openai.down = fault
    with pytest.raises(kind):
        engine(openai, tmp_path, "text-embedding-3-small").embed(["x"])


def test_a_model_that_is_gone_says_so(openai, tmp_path):
    with pytest.raises(ModelMissing):
        _ = engine(openai, tmp_path, GONE).dimensions

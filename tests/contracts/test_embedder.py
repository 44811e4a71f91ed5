"""What every embedder holds to, and what the published figures of this one are."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nexus_pipeline.domain.errors import EngineFailed
from nexus_pipeline.engines import EMBEDDERS, build
from nexus_pipeline.engines import minilm as minilm_module
from nexus_pipeline.engines.minilm import MiniLM
from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.ports import Embedder
from tests.gemini_server import serving

PROSE = Path(__file__).parents[2] / "SECURITY.md"
HAPPY = ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", params=["gemini", "minilm"])
def embedder(request: pytest.FixtureRequest, cache: Path) -> Iterator[Embedder]:
    with serving() as gemini:
        made: Embedder = build(EMBEDDERS, request.param, replace(gemini.site(cache), models=None))
        yield made


def test_rows_are_of_unit_length_and_one_for_each_text(embedder: Embedder) -> None:
    vectors = embedder.embed([*HAPPY, "", "word " * 2000, "🎉", "今日は"])
    assert vectors.shape == (8, embedder.dimensions)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dimensions)


def test_a_text_has_the_same_vector_alone_and_among_others(embedder: Embedder) -> None:
    texts = [line for line in PROSE.read_text("utf-8").split("\n\n") if line]
    alone = np.vstack([embedder.embed([text]) for text in texts])
    assert np.array_equal(embedder.embed(texts), alone)


def test_what_means_alike_lies_closer(embedder: Embedder) -> None:
    person, dog, very, sunny = embedder.embed(HAPPY)
    assert person @ very > person @ dog > person @ sunny


def test_parameters_are_plain_and_need_no_weights(embedder: Embedder) -> None:
    assert embedder.name
    assert all(isinstance(k, str) and isinstance(v, str) for k, v in embedder.parameters().items())


def test_minilm_gives_the_published_similarities(cache: Path) -> None:
    # model card of all-MiniLM-L6-v2; int8 moves them by up to 0.013
    person, *others = MiniLM(cache, None).embed(HAPPY)
    assert [float(person @ other) for other in others] == pytest.approx([0.695, 0.943, 0.257], abs=0.02)


def test_the_weights_are_converted_once_even_by_processes_that_race(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nexus_pipeline.engines.minilm import MiniLM\n"
        "print(MiniLM(Path(sys.argv[1]), None).embed(['race']).sum())"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-W", "error::UserWarning", "-c", code, str(tmp_path)], stdout=subprocess.PIPE
        )
        for _ in range(3)
    ]
    told = {racer.communicate(timeout=120)[0] for racer in racers}
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert len(told) == 1
    assert len(list(tmp_path.iterdir())) == 1  # nothing half made is left


def test_weights_in_the_models_folder_come_first(tmp_path: Path) -> None:
    source = minilm_module._weights(None)
    assert source is not None
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "minilm").symlink_to(source)
    assert minilm_module._weights(tmp_path / "models") == tmp_path / "models" / "minilm"
    assert MiniLM(tmp_path / "cache", tmp_path / "models").embed(["here"]).shape == (1, 384)


def test_damaged_weights_are_named_and_nothing_is_left_in_the_cache(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "minilm"
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    with pytest.raises(EngineFailed, match="cannot be loaded"):
        MiniLM(tmp_path / "cache", tmp_path / "models").embed(["x"])
    assert list((tmp_path / "cache").iterdir()) == []


def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    """In an environment without the package."""
    code = (
        "import sys; sys.path = [p for p in sys.path if 'site-packages' not in p] + [sys.argv[2]]\n"
        "from pathlib import Path; from nexus_pipeline.domain.errors import ModelMissing\n"
        "from nexus_pipeline.engines.minilm import MiniLM\n"
        "from nexus_pipeline.engines.site import EngineSite\n"
        "print(MiniLM.present(None, EngineSite(None, Path(sys.argv[1]), 1, lambda: None)))\n"
        "try: MiniLM(Path(sys.argv[1]), None).embed(['x'])\n"
        "except ModelMissing as error: print(error)\n"
    )
    few = tmp_path / "packages"
    few.mkdir()
    for name in ("numpy", "pydantic", "annotated_types", "typing_extensions", "typing_inspection", "rapidfuzz"):
        for place in Path(np.__file__).parents[1].glob(f"{name}*"):
            (few / place.name).symlink_to(place)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "cache"), str(few)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.count("nexus models get minilm") == 2


def test_another_model_is_refused(cache: Path) -> None:
    site = EngineSite(None, cache, 1, lambda: pytest.fail("not needed"))
    with pytest.raises(EngineFailed, match="one model"):
        build(EMBEDDERS, "minilm:large", site)

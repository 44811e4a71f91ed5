"""The rules of the house: sizes, imports, the chain, and what the command line may not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.machine import widths
from nexus_pipeline.steps import CHAIN

ROOT = Path(__file__).parents[1]
FOLDERS = ("nexus_pipeline", "nexus_api", "samples", "bench", "tests", "scripts", ".ci")
SUFFIXES = {".py", ".js", ".css", ".html", ".sh", ""}
NEVER = {"utils", "helpers", "common", "misc", "base"}


def files(*suffixes):
    below = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file())
    return [path for path in below if path.suffix in suffixes and "__pycache__" not in path.parts]


def python(code):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_no_file_is_longer_than_400_lines():
    long = {str(p.relative_to(ROOT)): len(p.read_text("utf-8").splitlines()) for p in files(*SUFFIXES)}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}


def test_no_module_has_a_name_that_says_nothing():
    assert [str(p) for p in files(".py") if p.stem in NEVER] == []


def test_every_module_says_what_lives_there():
    code = {path: path.read_text("utf-8") for path in files(".py")}
    assert [str(path) for path, text in code.items() if text.strip() and not ast.get_docstring(ast.parse(text))] == []


def test_the_chain_is_in_the_order_that_the_domain_names():
    assert tuple(step.name for step in CHAIN) == STEPS


def test_dagsters_graph_is_the_chain():
    from nexus_pipeline.chain import build_chain

    graph = {key.to_user_string(): deps for key, deps in build_chain(64).asset_deps.items()}
    expected = {step.name: set(step.upstream) for step in CHAIN}
    assert {name: {dep.to_user_string() for dep in deps} for name, deps in graph.items()} == expected


def test_every_step_has_a_width_and_reads_only_what_comes_before_it(tmp_path):
    from nexus_pipeline.settings import Settings

    assert set(widths(Settings(home=tmp_path))) == set(STEPS)
    before = {step.name: STEPS[: STEPS.index(step.name)] for step in CHAIN}
    assert [step.name for step in CHAIN if not set(step.upstream) <= set(before[step.name])] == []


def test_import_contracts_hold():
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("module", ["nexus_api.cli", "nexus_api.app", "nexus_pipeline.wiring", "nexus_pipeline.upkeep"])
def test_it_loads_without_dagster(module):
    done = python(f"import sys, {module}; print(sorted(m for m in sys.modules if m.split('.')[0] == 'dagster')[:5])")
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_command_line_starts_without_heavy_vendors():
    heavy = "{'lancedb', 'lance', 'faster_whisper', 'ctranslate2', 'pyarrow', 'yt_dlp', 'sqlalchemy', 'boto3'}"
    done = python(f"import sys, nexus_api.cli; print(sorted({heavy} & set(sys.modules)))")
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr

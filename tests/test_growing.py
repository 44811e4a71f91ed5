"""The three recipes of CONTRIBUTING.md, followed to the letter in a copy of the tree."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_pipeline.domain.chain import STEPS

ROOT = Path(__file__).parents[1]


def recipe(says):
    """The block of code in CONTRIBUTING.md that begins with these words."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL)
    [block] = [block for block in blocks if block.startswith(f'"""{says}')]
    return block


class Tree:
    """A copy of Nexus that a test may add to."""

    def __init__(self, folder):
        self.folder = folder
        for package in ("nexus_pipeline", "nexus_api"):
            shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))

    def add(self, path, text):
        (self.folder / path).write_text(text, "utf-8")

    def line(self, path, before, line):
        """Put a line where another one is, before it."""
        text = (self.folder / path).read_text("utf-8")
        assert text.count(before) == 1, (path, before)
        self.add(path, text.replace(before, line + before))

    def call(self, *command, path):
        """What a program prints that finds these folders first."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.strip()

    def run(self, code):
        """What some lines print that import this tree, and the tests' own parts from the real one."""
        ours = f"import nexus_pipeline; assert nexus_pipeline.__file__.startswith({str(self.folder)!r})"
        return self.call(sys.executable, "-c", f"{ours}\n{code}", path=[self.folder, ROOT])

    def keeps_the_style(self, file):
        """As `make check` looks at it."""
        shutil.copy(ROOT / "pyproject.toml", self.folder)
        ruff = Path(sys.executable).with_name("ruff")
        self.call(ruff, "check", file, path=[])
        self.call(ruff, "format", "--check", file, path=[])


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_a_platform_is_one_file_and_one_line(tree):
    tree.add("nexus_pipeline/sources/films.py", recipe("Films"))
    imported = "from nexus_pipeline.sources.films import Films\n"
    tree.line("nexus_pipeline/sources/__init__.py", "from nexus_pipeline.sources.instagram ", imported)
    tree.line("nexus_pipeline/sources/__init__.py", "Web())", "Films(), ")
    printed = tree.run("""
from nexus_pipeline.sources import source_for
source = source_for("https://films.example/12/?utm_source=x")
print(source.name, source.canonical("https://films.example/12/?utm_source=x"))
print(source_for("https://elsewhere.example/12").name)
""")
    assert printed == "films https://films.example/12\nweb"
    tree.keeps_the_style("nexus_pipeline/sources/films.py")


def test_an_engine_is_one_file_and_one_line(tree):
    tree.add("nexus_pipeline/engines/parrot.py", recipe("Hears the same"))
    line = '    "parrot": "nexus_pipeline.engines.parrot:Parrot",\n'
    tree.line("nexus_pipeline/engines/__init__.py", "}\nEMBEDDERS = {", line)
    printed = tree.run("""
from pathlib import Path
from nexus_pipeline.settings import Settings
from nexus_pipeline.ports import Hints
from nexus_pipeline.engines import SPEECH, build
from nexus_pipeline.wiring import Parts
speech = build(SPEECH, "parrot:welcome", Parts(Settings()).site)
[window] = speech.transcribe(Path("any.flac"), 3.0, Hints(), lambda: False)
print(speech.name, window.segments[0].text, window.end_s)
""")
    assert printed == "parrot:welcome welcome 3.0"
    tree.keeps_the_style("nexus_pipeline/engines/parrot.py")


def test_a_step_is_one_file_and_its_place_in_the_chain(tree):
    tree.add("nexus_pipeline/steps/counting.py", recipe("counting: how many"))
    imported = "from nexus_pipeline.steps.counting import COUNTING\n"
    tree.line("nexus_pipeline/steps/__init__.py", "from nexus_pipeline.steps.embedding ", imported)
    tree.line("nexus_pipeline/steps/__init__.py", "ENRICHMENT, EMBEDDING)", "COUNTING, ")
    tree.line("nexus_pipeline/domain/chain.py", '"enrichment", "embedding")', '"counting", ')
    printed = tree.run("""
import json
from pathlib import Path
import dagster as dg
from nexus_pipeline.chain import build_chain
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts
from tests.running import Runs, drop, srt
parts = Parts(Settings(home=Path("home")))
Path("dagster").mkdir()
with dg.DagsterInstance.local_temp("dagster") as instance:
    runs = Runs(build_chain(64), parts, instance)
    [item] = runs.add(drop(parts, "talk.srt", srt("The old piano is behind the red door."), kind=Kind.TEXT))
    assert runs.go([item]).success
    step = runs.now(item).step("counting")
    print(step.state, json.loads(parts.blobs.read(step.blob))["result"], *runs.statuses([item])[item.id])
""")
    assert printed == "done {'words': 8}" + (len(STEPS) + 1) * " MATERIALIZED"
    tree.keeps_the_style("nexus_pipeline/steps/counting.py")

"""Dagster loads the definitions on its own, but not while `nexus up` runs over the same home; nor the other way round.

Both are real processes here: each on a Nexus home, a Dagster home and a working folder of its own.
"""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from nexus_api import lock
from nexus_api.dagster_home import DagsterHome

ROOT = Path(__file__).parents[2]
SHARING = "from nexus_pipeline.resources import parts_of_process; parts_of_process()"
HOLDING = """
import os, pathlib
from nexus_api.lock import held
home = held(pathlib.Path(os.environ["NEXUS_HOME"]))
home.__enter__()
"""


class Place:
    """A home for Nexus, one for Dagster, and a working folder in which nothing lies."""

    def __init__(self, folder: Path) -> None:
        self.home, self.dagster, self.here = (folder / name for name in ("home", "dagster", "here"))
        for made in (self.dagster, self.here):
            made.mkdir()

    def environment(self, dagster: Path | None = None) -> dict[str, str]:
        ours = {"NEXUS_HOME": str(self.home), "DAGSTER_HOME": str(dagster or self.dagster), "PYTHONPATH": str(ROOT)}
        return {name: value for name, value in os.environ.items() if not name.startswith("NEXUS_")} | ours

    def validate(self, dagster: Path | None = None) -> tuple[int, str]:
        """`dagster definitions validate`: its exit status, and all that it says."""
        command = [Path(sys.executable).with_name("dagster"), "definitions", "validate", "-w", ROOT / "workspace.yaml"]
        environment = self.environment(dagster)
        done = subprocess.run(
            command, cwd=self.here, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return done.returncode, done.stdout + done.stderr

    @contextmanager
    def process(self, code: str):
        """A process that has run these lines and lives on; its id."""
        waiting = f"{code}\nprint('there', flush=True)\ninput()"
        child = subprocess.Popen(
            [sys.executable, "-c", waiting],
            cwd=self.here,
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with child:
            try:
                assert child.stdout.readline() == "there\n"
                yield child.pid
            finally:
                child.kill()


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_dagster_loads_the_definitions_with_the_root_as_its_home(place):
    shutil.copy(ROOT / "dagster.yaml", place.dagster)
    code, said = place.validate()
    assert code == 0, said
    assert "All code locations passed validation" in said
    storage = DagsterHome(place.here / ".nexus").instance()["storage"]["custom"]["config"]["base_dir"]
    assert Path(storage).is_dir(), "the storage of a `nexus up` that is started in the same folder"


def test_dagster_does_not_start_on_its_own_while_nexus_up_runs(place):
    with place.process(HOLDING) as pid:
        assert lock.holder(place.home) == pid
        code, said = place.validate()
    assert code != 0
    assert f"`nexus up` runs over {place.home}; end it" in said
    code, said = place.validate()
    assert code == 0, said


def test_what_nexus_up_starts_itself_is_not_kept_out(place):
    own = place.home / "dagster"
    own.mkdir(parents=True)
    with place.process(HOLDING) as pid:
        assert lock.holder(place.home) == pid
        code, said = place.validate(own)
    assert code == 0, said


def test_nexus_up_does_not_start_while_any_of_dagsters_processes_runs(place):
    with (
        place.process(SHARING),
        place.process(SHARING),
        pytest.raises(lock.AlreadyRunning, match="Dagster was started on its own"),
        lock.held(place.home),
    ):
        pass
    with lock.held(place.home):
        assert lock.holder(place.home) == os.getpid()

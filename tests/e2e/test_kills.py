"""kill -9 in the middle of each step, of a worker or of everything: what heals by itself, to the row.

What must come out is what a home without kills holds, to which the same files were added: ids follow from the bytes.
"""

import random
import time
from dataclasses import dataclass
from pathlib import Path

import lancedb
import numpy as np
import psutil
import pytest

from nexus_api.adding import Said, add_file, offered
from nexus_api.local import Local
from nexus_pipeline import upkeep
from nexus_pipeline.chain import build_chain
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import LOCAL, Priority
from nexus_pipeline.settings import Settings
from tests.e2e.nexus import Nexus
from tests.ready import dagster_at
from tests.running import OFF, Runs
from tests.speech import MODELS, SPEECH, ffmpeg, speak

SAID = (
    "We want to plant a yellow rose near the bridge.",
    "The rain was heavy, but the garden is green now.",
    "Elena said the contract is ready for legal.",
    "The database has thirty tables and five hundred columns.",
    "I saw a bright star over the dark mountain.",
    "How many records are in the broken cache?",
    "There is fresh bread and cheese in the kitchen.",
    "My sister wants to visit the island in August.",
    "Open the file and remove the empty column.",
    "Anna will record the melody on Monday with the band.",
    "Oliver has a new plan for the greenhouse.",
    "The temperature on Venus is very hot.",
    "Water the bean every morning in summer.",
    "If there is rain, we will stay at the hotel.",
    "Did you bring your passport and your suitcase?",
    "The potato needs more salt and less cheese.",
    "The cluster is broken and the replica is small.",
    "Light from the galaxy takes one hundred years to reach the earth.",
)
DOING = tuple(step for step in STEPS if step not in OFF)
SETS = (*DOING, "everything")
"""What is killed, and so the name of the files that meet it: those of each set come together."""
HEARD = {"transcript", "everything"}
"""Those that are killed while something is heard have a longer piece."""
LANE = {"raw": "now", "fingerprint": "bulk", "transcript": "now", "enrichment": "bulk", "embedding": "now"}
"""In turn: a supervisor gives a program up that dies again and again soon after it was started."""
LOOK_S = 0.02
HEALED_S = 120.0


@dataclass(frozen=True)
class Archived:
    """Of one item: the rows of the archive, the vectors, the states."""

    rows: list
    vectors: np.ndarray
    states: list


def archived(parts, item_id: str) -> Archived:
    """As a reader sees it, without the instant at which the item was made."""
    item = parts.catalog.get(item_id)
    table = lancedb.connect(parts.settings.archive_path).open_table(f"passages__{parts.engines.embedder().name}")
    found = table.search().where(f"item_id = '{item_id}'").limit(10_000).to_arrow().sort_by("position")
    rows = found.drop_columns(["vector", "item_created_at"]).to_pylist()
    states = [(s.step, s.state.value, s.reason, s.version_key, s.engine) for s in item.steps]
    return Archived(rows, np.array(found["vector"].to_pylist(), np.float32), states)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three for each set, a video among them and one that takes a while to hear."""
    folder = tmp_path_factory.mktemp("said")
    made: dict[str, list[Path]] = {}
    for n, name in enumerate(SETS):
        some = SAID[3 * n : 3 * n + 3]
        short = speak(folder / f"{name} short.wav", some[:1])
        movie = folder / f"{name} movie.mkv"
        spoken = speak(folder / f"{name} spoken.wav", some[1:2])
        ffmpeg("-f", "lavfi", "-i", "testsrc=size=320x240:rate=10", "-i", spoken, "-shortest", "-c:a", "flac", movie)
        spoken.unlink()
        piece = speak(folder / f"{name} piece.wav", some)
        long = folder / f"{name} long.wav"
        length_s = 120 if name in HEARD else 30
        ffmpeg("-stream_loop", "-1", "-i", piece, "-t", str(length_s), "-af", f"volume=0.{9 - n}", long)
        piece.unlink()
        made[name] = [short, movie, long]
    return made


@pytest.fixture(scope="module")
def expected(files, tmp_path_factory):
    """What a home holds in which nobody was killed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    local = Local(Settings(home=folder / "home", speech=SPEECH, models=MODELS, _env_file=None))
    every = [path for some in files.values() for path in some]
    items = [add_file(local.parts, file, said()).item for file in offered(every)]
    with dagster_at(tmp_path_factory.mktemp("dagster") / "home") as instance:
        instance.add_dynamic_partitions("items", [item.id for item in items])
        runs = Runs(build_chain(64), local.parts, instance)
        assert runs.go(items).success
    return {item.id: archived(local.parts, item.id) for item in items}


def said(lane: str = "now") -> Said:
    return Said(LOCAL, None, (), None, {}, Priority.LOW if lane == "bulk" else Priority.NORMAL)


@pytest.fixture(scope="module")
def nexus(tmp_path_factory):
    nexus = Nexus(tmp_path_factory.mktemp("killed"))
    try:
        yield nexus.start()
    finally:
        nexus.close()


def add(nexus, paths, lane: str = "now"):
    return [add_file(nexus.parts, file, said(lane)).item for file in offered(paths)]


def until_in(nexus, step: str, items) -> bool:
    """Until one of the items is in this step; False when all have left it before it was seen."""

    def met():
        there = nexus.parts.catalog.find([item.id for item in items]).values()
        states = {item.step(step).state.value for item in there}
        return "running" if "running" in states else states <= {"done", "skipped", "failed"} and "missed"

    return nexus.until(f"an item is in {step}", met, 60, every_s=LOOK_S) == "running"


def check_healed(nexus, items, expected) -> None:
    """All done, equal to what the undisturbed home holds, and nothing left over."""
    nexus.until("all done", lambda: set(nexus.states(items).values()) == {"done"}, HEALED_S)
    nexus.quiet()
    for item in items:
        found, wanted = archived(nexus.parts, item.id), expected[item.id]
        assert found.states == wanted.states
        assert found.rows == wanted.rows
        assert np.array_equal(found.vectors, wanted.vectors), np.abs(found.vectors - wanted.vectors).max()
    assert upkeep.check(nexus.parts) == []
    assert set(map(tuple, nexus.statuses(items).values())) == {("MATERIALIZED",) * len(STEPS)}
    assert not nexus.parts.catalog.leased([item.id for item in items])
    check_nothing_left(nexus, items)


def check_nothing_left(nexus, items) -> None:
    """No partial result, no temporary file, no scratch of a process that is no more, no unnamed object in the inbox."""
    blobs = nexus.home / "blobs"
    for item in items:
        for status in nexus.now(item).steps:
            assert nexus.parts.blobs.exists(status.blob), (status.step, status.blob)
    left = [p for p in nexus.home.rglob("*") if p.is_file() and (p.suffix == ".part" or p.parent.name == "partial")]
    assert left == []
    scratches = [int(p.name) for p in (nexus.home / "cache" / "scratch").iterdir()]
    assert [pid for pid in scratches if not psutil.pid_exists(pid)] == []
    assert [p for p in (blobs / "inbox").rglob("*") if p.is_file()] == []


def check_taken_up_once(nexus, items) -> None:
    """Of the runs that were to do an item all but the last one died: nobody took it up beside Dagster's retry."""
    runs = nexus.runs()
    for item in items:
        his = [run.status.value for run in runs if item.id in asked(run)]
        assert his[:1] == ["SUCCESS"]
        assert set(his[1:]) <= {"FAILURE"}, his


def asked(run) -> list[str]:
    return run.run_config.get("ops", {}).get("chain", {}).get("config", {}).get("items", [])


@pytest.mark.parametrize("step", DOING)
def test_a_worker_killed_in_a_step_leaves_the_same_archive(nexus, files, expected, step):
    worker = nexus.worker(LANE[step])
    items = add(nexus, files[step], LANE[step])
    seen = until_in(nexus, step, items)
    worker.kill()
    check_healed(nexus, items, expected)
    check_taken_up_once(nexus, items)
    assert seen, f"no item was seen in {step}"


def test_everything_killed_in_the_middle_goes_on_when_it_is_started_again(nexus, files, expected):
    items = add(nexus, files["everything"])
    until_in(nexus, "transcript", items)
    nexus.kill()
    nexus.start()
    check_healed(nexus, items, expected)
    nexus.end()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(6))
def test_everything_killed_at_any_moment_goes_on_when_it_is_started_again(tmp_path, files, expected, seed):
    """From the arrival to the end of the last item, once more than Dagster retries a run."""
    nexus, draw = Nexus(tmp_path), random.Random(seed)
    try:
        nexus.start()
        items = [item for name in SETS for item in add(nexus, files[name], draw.choice(("now", "bulk")))]
        for _ in range(4):
            time.sleep(draw.uniform(0, 8))
            nexus.kill()
            nexus.start()
        check_healed(nexus, items, expected)
        nexus.end()
    finally:
        nexus.close()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(6))
def test_workers_killed_at_any_moment_leave_the_same_archive(tmp_path, files, expected, seed):
    """Three kills in each lane, so long apart that the supervisor does not give up."""
    nexus, draw = Nexus(tmp_path), random.Random(seed)
    try:
        nexus.start()
        items = []
        for name in SETS:
            lane = draw.choice(("now", "bulk"))
            worker = nexus.worker(lane)
            items += add(nexus, files[name], lane)
            time.sleep(draw.uniform(0, 12))
            worker.kill()
            time.sleep(draw.uniform(0, 20))
        check_healed(nexus, items, expected)
        check_taken_up_once(nexus, items)
        nexus.end()
    finally:
        nexus.close()

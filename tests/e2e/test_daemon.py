"""A real daemon with its sensors, queue and workers: backfills, lanes, retries, cancellations, jobs."""

import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from math import ceil

import dagster as dg
import pytest

from nexus_pipeline.domain.chain import STEPS
from tests.e2e.nexus import Nexus
from tests.running import srt
from tests.speech import SENTENCES, ffmpeg, speak

MANY = 72
"""Small items of text, dropped at once: one after another is heard of soon, and what is seen of runs still shows."""
A_RUN = 64
"""Items in one run at most."""


@pytest.fixture(scope="module")
def nexus(tmp_path_factory):
    nexus = Nexus(tmp_path_factory.mktemp("daemon"), NEXUS_ALLOW_HOSTS="127.0.0.1")
    try:
        yield nexus.start()
    finally:
        nexus.close()


@pytest.fixture(scope="module")
def many(nexus):
    """Dropped into a folder at once, done."""
    drop_many(nexus, MANY)
    nexus.ended(MANY, 120)
    nexus.quiet()
    items = [item for item in nexus.items() if item.filename.startswith("note-")]
    assert len(items) == MANY
    return sorted(items, key=lambda item: item.id)


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Ten minutes of speech."""
    folder = tmp_path_factory.mktemp("long")
    said = speak(folder / "said.wav", SENTENCES)
    ffmpeg("-stream_loop", "-1", "-i", said, "-t", "600", "-c", "copy", folder / "long.wav")
    return folder / "long.wav"


def drop_many(nexus, many: int, stem: str = "note") -> None:
    folder = nexus.inbox / "notes"
    folder.mkdir(exist_ok=True)
    for n in range(many):
        text = f"Sentence number {n} of {stem} was written down on its own."
        (folder / f"{stem}-{n:04d}.srt").write_bytes(srt(text))


def seconds_to_first_step(nexus, name: str, began: float, patience_s: float) -> float:
    """From `began` (seconds since 1970) until raw of the file of this name began."""

    def started():
        there = nexus.named(name)
        return there and there[0].step("raw").started_at

    return nexus.until(f"{name} begins", started, patience_s).replace(tzinfo=UTC).timestamp() - began


def test_a_folder_of_items_makes_few_runs_in_the_bulk_lane(nexus, many):
    runs = nexus.runs(tags={"dagster/sensor_name": ["inbox", "inbox_relief"]})
    lanes = {run.tags["nexus/lane"] for run in runs if len(asked(run)) > 8}
    assert len(runs) <= 6
    assert lanes <= {"bulk"}
    assert sorted(i for run in runs for i in asked(run)) == [item.id for item in many], "each was asked for once"
    assert all(status == ["MATERIALIZED"] * len(STEPS) for status in nexus.statuses(many).values())


def asked(run) -> list[str]:
    return run.run_config["ops"]["chain"]["config"]["items"]


@pytest.fixture(scope="module")
def backfilled(nexus, many, tmp_path_factory):
    """A backfill of all of them that has ended; while it ran a file was dropped, and how long that waited.

    One backfill for several tests: Dagster's daemon looks after backfills only every half minute.
    """
    before = {item.id: nexus.parts.archive.passages(item.id) for item in many}
    said = speak(tmp_path_factory.mktemp("beside") / "beside.wav", [SENTENCES[3]])
    backfill = nexus.backfill(many)
    under_way = [dg.DagsterRunStatus.STARTED]
    nexus.until(
        "its first run is under way",
        lambda: nexus.runs(tags={"dagster/backfill": backfill}, statuses=under_way),
        90,
        every_s=0.05,
    )
    shutil.copyfile(said, nexus.inbox / "beside.wav")
    took_s = seconds_to_first_step(nexus, "beside.wav", time.time(), 30)
    nexus.until("it ends", lambda: nexus.backfill_told(backfill)["status"] != "REQUESTED", 120)
    nexus.quiet()
    return Backfilled(backfill, before, took_s)


@dataclass
class Backfilled:
    """What came of it."""

    id: str
    before: dict
    """The rows of the archive by item, as they were before."""
    beside_s: float
    """From a dropped file's last byte to its first step."""


def test_a_backfill_makes_few_runs_and_shows_right_counts(nexus, many, backfilled):
    told = nexus.backfill_told(backfilled.id)
    assert told["status"] == "COMPLETED_SUCCESS", told
    counts = {tuple(c["assetKey"]["path"]): c for c in told["assetBackfillData"]["assetBackfillStatuses"]}
    assert set(counts) == {(step,) for step in STEPS}
    for step in counts.values():
        assert (step["numPartitionsTargeted"], step["numPartitionsMaterialized"]) == (MANY, MANY)
        assert (step["numPartitionsFailed"], step["numPartitionsInProgress"]) == (0, 0)
    runs = nexus.runs(tags={"dagster/backfill": backfilled.id})
    assert len(runs) <= ceil(MANY / A_RUN) + 1
    assert {run.status.value for run in runs} == {"SUCCESS"}


def test_a_backfill_does_everything_again_and_leaves_the_same_archive(nexus, many, backfilled):
    roots = {run.root_run_id or run.run_id for run in nexus.runs(tags={"dagster/backfill": backfilled.id})}
    items = [nexus.now(item) for item in many]
    assert all(item.step(step).root_run_id in roots for item in items for step in STEPS)
    assert {item.id: nexus.parts.archive.passages(item.id) for item in many} == backfilled.before


def test_a_new_file_starts_within_10_s_beside_a_running_backfill(nexus, many, backfilled):
    [beside] = nexus.named("beside.wav")
    last = max(nexus.now(item).step("embedding").ended_at for item in many)
    assert beside.step("raw").started_at < last, "the backfill still ran"
    assert backfilled.beside_s <= 10
    assert beside.state == "done"


def test_failed_items_are_tried_again_when_a_person_asks(nexus):
    bad = [nexus.inbox / f"bad-{n}.mp3" for n in range(3)]
    for n, path in enumerate(bad):
        path.write_text(f"no sound at all {n}" * 50)
    names = [path.name for path in bad]
    nexus.until("they fail", lambda: set(nexus.states(nexus.named(*names)).values()) == {"failed"}, 60)
    nexus.quiet()
    items = nexus.named(*names)
    before = {item.id: item.step("raw").run_id for item in items}
    mended = items[0]
    sound = speak(nexus.home.parent / "mended.wav", [SENTENCES[6]])
    nexus.parts.blobs.put_file(f"items/local/{mended.id}/raw/original.mp3", sound)
    nexus.nexus("retry", "--all")
    nexus.became([mended], "done", 60)
    nexus.became(items[1:], "failed", 60)
    nexus.quiet()
    runs = {nexus.now(item).step("raw").run_id for item in items}
    assert len(runs) == 1, "retried side by side, in one run"
    assert runs.isdisjoint(before.values())
    shown = nexus.statuses(items)
    assert shown[mended.id] == ["MATERIALIZED"] * len(STEPS)
    assert all(shown[item.id][0] == "FAILED" for item in items[1:])


def heard_in_part(nexus, name: str):
    """The item of this name, once part of it has been heard."""

    def met():
        there = nexus.named(name)
        return there and there[0].step("transcript").state == "running" and there[0].step("transcript").progress > 0

    nexus.until(f"{name} is being heard", met, 90)
    return nexus.named(name)[0]


def test_a_running_item_is_cancelled_within_seconds(nexus, long):
    shutil.copyfile(long, nexus.inbox / "stop me.wav")
    item = heard_in_part(nexus, "stop me.wav")
    run_id = item.step("transcript").run_id
    nexus.nexus("cancel", item.id)
    nexus.became([item], "cancelled", 15)
    nexus.until("its run ends", lambda: nexus.dagster.get_run_by_id(run_id).is_finished, 15)
    told = nexus.now(item)
    assert [told.step(s).state for s in STEPS] == ["done"] * 2 + ["cancelled"] * len(STEPS[2:])
    assert not nexus.parts.catalog.leased([item.id])
    assert nexus.statuses([item])[item.id][:2] == ["MATERIALIZED"] * 2


def test_terminating_a_run_in_dagster_cancels_its_items(nexus, long):
    louder = nexus.home.parent / "louder.wav"
    ffmpeg("-i", long, "-ss", "100", "-af", "volume=0.5,atempo=1.2", louder)
    shutil.move(louder, nexus.inbox / "terminate me.wav")
    item = heard_in_part(nexus, "terminate me.wav")
    run_id = item.step("transcript").run_id
    nexus.terminate(run_id)
    nexus.until("its run ends", lambda: nexus.dagster.get_run_by_id(run_id).is_finished, 20)
    assert nexus.dagster.get_run_by_id(run_id).status.value == "CANCELED", nexus.told()
    nexus.became([item], "cancelled", 5)
    assert not nexus.parts.catalog.leased([item.id])
    time.sleep(6)  # longer than Dagster takes to retry a run
    nexus.quiet()
    assert nexus.states([item]) == {item.id: "cancelled"}, "nobody takes it up again"


@contextmanager
def served(folder):
    """A web server over a folder."""
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_ingest_job_takes_a_url_in(nexus, tmp_path):
    speak(tmp_path / "talk.wav", ["The database has thirty tables and five hundred columns."])
    with served(tmp_path) as site:
        config = {"urls": [f"{site}/talk.wav"], "title": "A talk of ours", "tags": ["from the launchpad"]}
        run_id = nexus.launch("ingest", {"ops": {"request_urls": {"config": config}}})
        nexus.until("the job ends", lambda: nexus.dagster.get_run_by_id(run_id).is_finished, 30)
        assert nexus.dagster.get_run_by_id(run_id).status.value == "SUCCESS"

        def taken():
            return [item for item in nexus.items() if item.source == "url"]

        [item] = nexus.until("the item is there", taken, 30)
        nexus.became([item], "done", 60)
    item = nexus.now(item)
    assert item.title == "A talk of ours"
    assert "from the launchpad" in item.tags
    assert item.created_at <= datetime.now(UTC)
    assert nexus.found("thirty tables and five hundred columns")[0]["item_id"] == item.id


def test_many_files_at_once_beside_a_long_one_all_end(nexus, long, many):
    """The last ones: whatever the lanes do, everything ends, and the stores agree."""
    drop_many(nexus, 30, "late")
    nexus.until("they are there", lambda: sum(i.filename.startswith("late-") for i in nexus.items() if i.filename), 30)
    nexus.until("they end", lambda: not nexus.parts.catalog.counts().get("waiting"), 120)
    nexus.quiet()
    late = [item for item in nexus.items() if item.filename and item.filename.startswith("late-")]
    assert set(nexus.states(late).values()) == {"done"}


def test_it_ends_within_10_s_while_it_works(nexus, long):
    """The item goes back to waiting, and its run is over."""
    quieter = nexus.home.parent / "quieter.wav"
    ffmpeg("-i", long, "-ss", "200", "-af", "atempo=0.9,volume=0.7", quieter)
    shutil.move(quieter, nexus.inbox / "work.wav")
    item = heard_in_part(nexus, "work.wav")
    nexus.end()
    assert not nexus.parts.catalog.leased([item.id])
    assert nexus.now(item).step("transcript").state == "waiting"


@pytest.mark.soak
def test_a_thousand_files_at_once(tmp_path):
    nexus = Nexus(tmp_path)
    try:
        nexus.start()
        drop_many(nexus, 1000)
        items = nexus.ended(1000, 1200)
        nexus.quiet(60)
        assert set(nexus.states(items).values()) == {"done"}
        assert len(nexus.runs()) <= ceil(1000 / A_RUN) + 8
        assert set(map(tuple, nexus.statuses(items).values())) == {("MATERIALIZED",) * len(STEPS)}
        assert nexus.parts.archive.count() == 1000
        backfill = nexus.backfill(items)
        nexus.until("the backfill ends", lambda: nexus.backfill_told(backfill)["status"] != "REQUESTED", 1200)
        assert nexus.backfill_told(backfill)["status"] == "COMPLETED_SUCCESS"
        assert len(nexus.runs(tags={"dagster/backfill": backfill})) <= ceil(1000 / A_RUN) + 1
        nexus.end()
    finally:
        nexus.close()

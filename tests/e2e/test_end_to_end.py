"""From a dropped file to a found sentence, all of Nexus as processes: what comes in, what becomes of it, the end."""

import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from nexus_pipeline import upkeep
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.lanes import LONG_S
from tests.e2e.nexus import Nexus
from tests.running import srt
from tests.speech import SENTENCES, ffmpeg, silence, speak

LONG = "ё" * 125 + "x.wav"
"""A name of exactly 255 bytes, which is as long as a name may be."""
NAMES = ("a name with spaces.wav", """it's "quoted" & $(odd) `too`.wav""", "🎹 piano 🎵.wav", "-rf.wav", LONG)
GROWING = "slowly growing.wav"
PAUSE_S = 0.6
"""The writer stops for longer than two looks are apart, and not for the second after which a file counts as whole."""


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Files of speech, each with a sentence of its own: no two are alike."""
    folder = tmp_path_factory.mktemp("spoken")
    return [speak(folder / f"{n}.wav", [sentence]) for n, sentence in enumerate(SENTENCES)]


@pytest.fixture(scope="module")
def nexus(tmp_path_factory):
    nexus = Nexus(tmp_path_factory.mktemp("end to end"))
    try:
        yield nexus.start()
    finally:
        nexus.close()


@pytest.fixture(scope="module")
def given(nexus, spoken):
    """Everything that people do to an inbox, at once; the items when all have ended."""
    outside = nexus.home.parent
    (nexus.inbox / "talks" / "2024 spring").mkdir(parents=True)
    for name, path in zip(NAMES, spoken, strict=False):
        shutil.copyfile(path, nexus.inbox / name)
    shutil.copyfile(spoken[5], nexus.inbox / "talks" / "2024 spring" / "below.wav")
    shutil.copyfile(spoken[0], nexus.inbox / "talks" / "the same again.wav")
    (nexus.inbox / "heard.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:02.000\nA zebra was written beside the file.\n")
    shutil.copyfile(spoken[6], nexus.inbox / "heard.wav")
    silence(outside / "silence.wav", 3)
    (outside / "silence.wav").rename(nexus.inbox / "silence.wav")
    (nexus.inbox / "bad.mp3").write_text("This is a letter, and no sound at all.\n" * 40)
    (nexus.inbox / ".hidden.wav").write_bytes(spoken[7].read_bytes())
    (nexus.inbox / "unfinished.wav.part").write_bytes(spoken[7].read_bytes())
    (nexus.inbox / "note.srt").write_bytes(srt("A walrus was only ever written down."))
    grow(spoken[7], nexus.inbox / GROWING)
    nexus.nexus("add", add_me(spoken, outside), "--tag", "added by hand")
    nexus.ended(13, 120)
    nexus.quiet()
    return {item.filename: item for item in nexus.items()}


def add_me(spoken, folder: Path) -> Path:
    return speak(
        folder / "add me.wav",
        ["My sister wants to visit the island in August.", "Plant the bean in summer and give it water."],
    )


def grow(source: Path, to: Path) -> None:
    """A copy that takes its time, with a pause in it."""
    data = source.read_bytes()
    half = len(data) // 2
    with to.open("wb") as file:
        file.write(data[:half])
        file.flush()
        time.sleep(PAUSE_S)
        for at in range(half, len(data), max(1, half // 10)):
            file.write(data[at : at + max(1, half // 10)])
            file.flush()
            time.sleep(0.15)


def test_every_file_is_an_item_whatever_its_name_and_where_it_lies(given):
    plain = {*NAMES, GROWING, "below.wav", "the same again.wav", "heard.wav", "silence.wav", "bad.mp3", "note.srt"}
    assert set(given) == plain | {"add me.wav"}
    assert len(LONG.encode()) == 255


def test_states_are_as_expected(given):
    states = {name: item.state.value for name, item in given.items()}
    failed = {name for name, state in states.items() if state == "failed"}
    copies = {name for name, state in states.items() if state == "duplicate"}
    assert failed == {"bad.mp3"}
    assert len(copies) == 1
    assert copies < {"the same again.wav", NAMES[0]}
    assert all(states[name] == "done" for name in set(states) - failed - copies)


def test_the_same_file_twice_is_linked_to_its_first(given):
    one, other = given["the same again.wav"], given[NAMES[0]]
    copy, first = (one, other) if one.duplicate_of else (other, one)
    assert copy.duplicate_of == first.id
    assert copy.duplicate_offset_s == 0
    assert (first.created_at, first.id) < (copy.created_at, copy.id)
    assert [copy.step(s).reason for s in STEPS[2:]] == ["duplicate"] * len(STEPS[2:])


def test_what_was_spoken_is_found_in_the_file_in_which_it_was(nexus, given):
    for words, name in (
        ("clean the oven after the concert", NAMES[1]),
        ("a small comet near the moon", NAMES[2]),
        ("share the schedule with the client", NAMES[3]),
        ("sing a quiet song", NAMES[4]),
        ("stir the rice", "below.wav"),
        ("send the invoice to finance", GROWING),
        ("visit the island in August", "add me.wav"),
    ):
        best = nexus.found(words)[0]
        assert best["item_id"] == given[name].id, (words, best)


def test_the_command_line_finds_it_with_its_second(nexus, given):
    [best, *_] = nexus.document("search", "plant the bean in summer")["hits"]
    assert best["item_id"] == given["add me.wav"].id
    assert "bean" in best["text"].lower()
    assert 0 <= best["start_s"] < best["end_s"] <= given["add me.wav"].duration_s + 0.5


def test_a_copy_is_found_once_as_its_first(nexus, given):
    hits = nexus.found("the old piano behind the red door")
    first = given[NAMES[0]].duplicate_of or given[NAMES[0]].id
    assert hits[0]["item_id"] == first
    assert {hit["item_id"] for hit in hits}.isdisjoint(item.id for item in given.values() if item.duplicate_of)


def test_a_transcript_beside_a_file_is_taken_instead_of_hearing_it(nexus, given):
    assert "A zebra was written beside the file." in nexus.nexus("transcript", given["heard.wav"].id)
    assert nexus.found("a zebra", mode="words")[0]["item_id"] == given["heard.wav"].id
    assert not nexus.found("Tuesday", mode="words")
    assert given["heard.wav"].step("transcript").engine != given[NAMES[0]].step("transcript").engine


def test_a_transcript_alone_is_text_that_is_found(nexus, given):
    assert given["note.srt"].kind == "text"
    assert nexus.found("a walrus", mode="words")[0]["item_id"] == given["note.srt"].id


def test_a_silent_file_is_done_with_nothing_heard(given):
    silent = given["silence.wav"]
    assert [silent.step(s).state for s in STEPS] == ["done"] * 2 + ["skipped"] * len(STEPS[2:])
    assert [silent.step(s).reason for s in STEPS[2:]] == ["silence"] * len(STEPS[2:])


def test_a_bad_file_fails_with_a_reason_and_takes_no_other_down(nexus, given):
    bad = given["bad.mp3"].step("raw")
    assert (bad.state, bad.retryable) == ("failed", False)
    assert bad.error_code
    assert bad.error_message
    assert "letter" not in bad.error_message
    assert bad.error_message in nexus.nexus("show", given["bad.mp3"].id)


def test_the_growing_file_was_taken_whole(nexus, spoken, given):
    kept = nexus.parts.blobs.read(f"items/local/{given[GROWING].id}/raw/original.wav")
    assert kept == spoken[7].read_bytes()


def test_the_inbox_holds_only_what_is_no_arrival(nexus, given):
    left = sorted(p.name for p in nexus.inbox.rglob("*") if p.is_file())
    assert left == [".hidden.wav", "unfinished.wav.part"]


def test_dagster_shows_for_each_item_and_step_what_the_catalog_says(nexus, given):
    shown = nexus.statuses(list(given.values()))
    for name, item in given.items():
        landed = [s.state in {"done", "skipped"} for s in (item.step(step) for step in STEPS)]
        assert shown[item.id] == ["MATERIALIZED" if there else "FAILED" for there in landed], name


def test_every_run_has_ended_and_only_the_bad_ones_run_has_failed(nexus, given):
    ended = Counter(run.status.value for run in nexus.runs(tags={"nexus/lane": ["now", "bulk"]}))
    assert set(ended) <= {"SUCCESS", "FAILURE"}
    assert ended["FAILURE"] == 1


def test_the_stores_agree(nexus, given):
    assert upkeep.check(nexus.parts) == []


def test_listing_and_showing_say_the_same(nexus, given):
    listed = {item["id"]: item["state"] for item in nexus.document("ls", "--limit", "50")["items"]}
    assert listed == {item.id: item.state.value for item in given.values()}
    shown = nexus.document("show", given["add me.wav"].id)
    assert "added by hand" in shown["tags"]


def at_step(nexus, filename, step, state):
    return [item for item in nexus.named(filename) if item.step(step).state == state]


def test_a_memo_does_not_wait_for_a_long_file_to_be_heard(nexus, given, spoken, tmp_path):
    hour, memo = tmp_path / "panel.flac", tmp_path / "memo.wav"
    ffmpeg("-stream_loop", -1, "-i", spoken[3], "-t", LONG_S + 60, hour)
    speak(memo, ["The narrow bridge was closed because of the snow."])
    hour.rename(nexus.inbox / hour.name)
    [long] = nexus.until("the long file is heard", lambda: at_step(nexus, hour.name, "transcript", "running"), 60)
    memo.rename(nexus.inbox / memo.name)
    [short] = nexus.until("the memo is done", lambda: at_step(nexus, memo.name, "embedding", "done"), 60)
    assert nexus.now(long).step("transcript").state == "running"
    nexus.became([long, short], "done", 180)
    nexus.quiet()
    run = nexus.dagster.get_run_by_id(nexus.now(long).step("transcript").run_id)
    assert run.tags["nexus/lane"] == "bulk"


def test_it_ends_within_10_s_of_sigterm_and_leaves_no_process(nexus, given):
    """The last one: it ends what the others look at."""
    assert nexus.end() < 10

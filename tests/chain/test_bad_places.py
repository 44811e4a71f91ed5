"""Every line of docs/bad-input.md about a disk, a model, an engine or an archive that is not as it should be.

Each item lies between good ones. Where those need what is missing they wait with it; once it is there, a second run
lands all of them, and nothing was lost.
"""

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.domain.states import ItemState, State, StepStatus
from nexus_pipeline.wiring import Parts
from tests import bad_places
from tests.bad_files import FILES
from tests.bad_input import Line, land, lines, run_over
from tests.running import drop, srt
from tests.speech import SENTENCES, silence, speak

TABLE = lines()
FULL = "a file from which more is made than the disk has room for"
QUOTA = "a file from which more is made than a quota for files (`ulimit -f`) allows"
READ_ONLY = "any file, while the disk of the blobs may only be read"
MODEL = "any sound, while its speech model is missing"
KILLED = "a sound whose ffmpeg is killed in the middle"
IN_ITS_PLACE = "any file, while something else lies where the archive should"
DAMAGED = "any file, while the archive is damaged"
FORBIDDEN = "any file, while Nexus may not write the archive"
HERE = (FULL, QUOTA, READ_ONLY, MODEL, KILLED, IN_ITS_PLACE, DAMAGED, FORBIDDEN)


def text(parts, name, sentence):
    return drop(parts, f"{name}.srt", srt(sentence, f"That was {name}."), kind=Kind.TEXT)


def between(parts, new):
    """The item between two good ones, all in one run: it, and they."""
    before, item, after = land(parts, [text(parts, "one", SENTENCES[0]), new, text(parts, "two", SENTENCES[1])])
    return item, [before, after]


def healed(parts, *items):
    """A second run, as a sensor or `nexus retry` asks for it."""
    parts.catalog.ask("retry", [item.id for item in items if item.state is not ItemState.DONE])
    run_over(parts, [item.id for item in items], "again")
    return [parts.catalog.get(item.id).state for item in items] == [ItemState.DONE] * len(items)


def test_every_line_of_the_table_has_its_test():
    assert set(TABLE) == {*FILES, *HERE}


@pytest.mark.parametrize(("name", "place"), [(FULL, "full"), (QUOTA, "quota"), (READ_ONLY, "read_only")])
def test_what_cannot_be_written_waits_and_is_done_once_it_can(tmp_path, name, place):
    told = bad_places.told(place, tmp_path)
    line = TABLE[QUOTA] if told.get("how") == "quota" else TABLE[name]
    fits(line, told["bad"])
    if name == QUOTA:  # the others have room enough
        assert [one.state for one in map(seen, told["good"])] == [ItemState.DONE] * 2
    if name == READ_ONLY:
        assert [fits(line, one) for one in told["good"]] == [True, True]
    assert [one["state"] for one in told["healed"]] == ["done"] * 3
    assert told.get("left", []) == []


def test_an_archive_that_may_not_be_written_costs_no_hearing_again(tmp_path):
    told = bad_places.told("archive", tmp_path)
    assert [fits(TABLE[FORBIDDEN], one) for one in (told["bad"], *told["good"])] == [True] * 3
    assert [one["state"] for one in told["healed"]] == ["done"] * 3
    assert told["heard"] == 1


def test_a_missing_model_holds_up_only_what_needs_it(parts, tmp_path):
    talk = drop(parts, "talk.wav", speak(tmp_path / "talk.wav"), engines={"transcript": "faster-whisper:no-such-model"})
    item, good = between(parts, talk)
    assert TABLE[MODEL].fits(item)
    assert [one.state for one in good] == [ItemState.DONE] * 2
    parts.catalog.edit(item.id, engines={})
    assert healed(parts, item)


def test_a_killed_ffmpeg_is_tried_again_and_leaves_nothing(parts, tmp_path):
    long = drop(parts, "long.flac", silence(tmp_path / "long.flac", 3600.0), engines={"transcript": "none"})
    killer = threading.Thread(target=kill_ffmpeg, args=(parts.settings.root / "cache" / "scratch",))
    killer.start()
    item, good = between(parts, long)
    killer.join()
    assert TABLE[KILLED].fits(item)
    assert item.step("raw").next_attempt_at is not None
    assert [one.state for one in good] == [ItemState.DONE] * 2
    assert [p for p in (parts.settings.root / "cache" / "scratch").rglob("*") if p.is_file()] == []
    assert healed(parts, item)


def kill_ffmpeg(scratch: Path) -> None:
    """The one of this process's children that has begun to write speech."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if any(p.stat().st_size for p in scratch.rglob("speech.flac")):
            for child in psutil.Process().children():
                if child.name() == "ffmpeg":
                    child.kill()
                    return
        time.sleep(0.005)


def test_a_file_in_the_archives_place_is_said_and_nothing_is_heard_again(parts, tmp_path):
    archive = parts.settings.root / "archive"
    archive.parent.mkdir(parents=True)
    archive.write_text("somebody's notes")
    item, good = between(parts, drop(parts, "talk.wav", speak(tmp_path / "talk.wav")))
    assert [TABLE[IN_ITS_PLACE].fits(one) for one in (item, *good)] == [True] * 3
    assert archive.read_text() == "somebody's notes"
    archive.unlink()
    began = item.step("transcript").started_at
    assert healed(parts, item, *good)
    assert parts.catalog.get(item.id).step("transcript").started_at == began


def test_a_damaged_archive_is_said_and_healed_by_moving_it_away(parts, tmp_path):
    first = land(parts, [text(parts, "zero", SENTENCES[2])])
    assert first[0].state is ItemState.DONE
    archive = parts.settings.root / "archive"
    for path in archive.rglob("*.manifest"):
        path.write_bytes(b"\0" * 64)
    parts = Parts(parts.settings)  # of a process that has not opened it yet
    item, good = between(parts, text(parts, "three", SENTENCES[3]))
    assert [TABLE[DAMAGED].fits(one) for one in (item, *good)] == [True] * 3
    archive.rename(tmp_path / "damaged")
    assert healed(Parts(parts.settings), item, *good)


def seen(told: dict) -> SimpleNamespace:
    """An item as tests/bad_places.py told of it."""
    steps = [
        StepStatus(step, State(state), reason=reason, error_code=code, error_message=message)
        for step, (state, reason, code, message) in zip(STEPS, told["steps"], strict=True)
    ]
    return SimpleNamespace(state=ItemState(told["state"]), steps=steps)


def fits(line: Line, told: dict) -> bool:
    """Whether it is as the table says, and due again."""
    assert told["due"]
    return line.fits(seen(told))

"""Every line of docs/bad-input.md about a file: all of them in one batch, good ones between them."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nexus_pipeline.chain import build_chain
from nexus_pipeline.domain.items import Item, Kind
from nexus_pipeline.domain.states import ItemState
from nexus_pipeline.results import transcript_of
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts
from tests.bad_files import FILES, SECRET, Files
from tests.bad_input import lines
from tests.ready import dagster_at
from tests.running import Runs, drop, srt
from tests.speech import MODELS, SENTENCES, SPEECH, ffmpeg, speak

TABLE = lines()


@dataclass
class Batch:
    """One run over all of them."""

    parts: Parts
    bad: dict[str, Item] = field(default_factory=dict)
    good: list[Item] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    told: str = ""


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    parts = Parts(Settings(home=folder / "home", speech=SPEECH, models=MODELS))
    files, new, sizes = Files(folder), {}, {}
    (folder / "dagster").mkdir()
    for n, (name, make) in enumerate(FILES.items()):
        filename, data = make(files)
        sizes[name] = len(data)
        kind = Kind.TEXT if filename.endswith(".srt") else None
        new[name] = drop(parts, filename, data, kind=kind)
        if n % 3 == 0:
            new[n] = drop(parts, f"good {n}.srt", srt(f"Good number {n}.", SENTENCES[n % 8]), kind=Kind.TEXT)
    spoken = folder / "spoken.opus"
    ffmpeg("-i", speak(folder / "spoken.wav", [SENTENCES[0], SENTENCES[2]]), spoken)
    new["spoken"] = drop(parts, spoken.name, spoken)
    with dagster_at(folder / "dagster") as instance:
        runs = Runs(build_chain(64), parts, instance)
        items = runs.add(*new.values())
        result = runs.go(items)
        made = Batch(parts, sizes=sizes, told=str(result.all_node_events))
        for name, item in zip(new, items, strict=True):
            now = runs.now(item)
            if name in FILES:
                made.bad[name] = now
            else:
                made.good.append(now)
        yield made


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_ends_as_the_table_says(batch, name):
    assert TABLE[name].fits(batch.bad[name])


def test_the_good_ones_beside_them_are_done(batch):
    assert [item.state for item in batch.good] == [ItemState.DONE] * 7


def test_the_run_counts_the_failed_ones_by_their_codes(batch):
    failed = [TABLE[name].code for name in FILES if TABLE[name].item == "failed"]
    assert f"{len(failed)} of {len(batch.bad) + len(batch.good)} items did not land" in batch.told


def test_messages_say_neither_names_nor_places(batch):
    told = [s.error_message for item in batch.bad.values() for s in item.steps if s.error_message]
    assert [m for m in told if "/" in m or any(i.filename in m or i.id in m for i in batch.bad.values())] == []


def test_what_a_playlist_names_is_not_read(batch):
    kept = [batch.parts.blobs.read(info.key) for info in batch.parts.blobs.under("") if info.key.endswith(".json")]
    assert [data for data in kept if SECRET.encode() in data] == []
    for name in ("a playlist (HLS) of a local file, named `.mp3`", "a list (ffconcat) of local files, named `.mp3`"):
        under = batch.parts.blobs.under(batch.bad[name].key(""))
        assert [Path(info.key).name for info in under] == ["original.mp3"]


def test_around_damaged_frames_everything_is_heard_in_its_place(batch):
    segments = transcript_of(batch.bad["an MP3 with damaged frames in its middle"], batch.parts).segments
    assert (segments[0].text, segments[-1].text) == (SENTENCES[0], SENTENCES[3])
    assert segments[-1].end_s == pytest.approx(16, abs=0.7)


def test_eight_channels_at_192_khz_are_heard(batch):
    heard = transcript_of(batch.bad["192 kHz and 8 channels"], batch.parts).segments
    assert [s.text for s in heard] == list(SENTENCES[6:])


def test_nothing_is_left_in_the_scratch_folder_or_half_put(batch):
    home = batch.parts.settings.root
    left = [p for p in (home / "cache" / "scratch").rglob("*") if p.is_file()]
    assert left + list(home.rglob("*.part")) == []


def test_bad_bytes_are_kept_until_their_owner_deletes_them(batch):
    for name, item in batch.bad.items():
        key = item.key("raw", "original" + Path(item.filename).suffix)
        assert batch.parts.blobs.info(key).bytes == batch.sizes[name]

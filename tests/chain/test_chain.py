"""The chain through real runs: what Dagster shows is what happened, item by item."""

import dagster as dg
import pytest

from nexus_pipeline.chain import asked_by_person, build_chain
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.domain.search import Query
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.results import transcript_of
from nexus_pipeline.steps import CHAIN
from nexus_pipeline.steps.transcript import TRANSCRIPT
from tests.running import drop, srt
from tests.speech import SENTENCES, ffmpeg, silence, speak

DONE, FAILED = "MATERIALIZED", "FAILED"


def text(parts, name, *sentences):
    return drop(parts, f"{name}.srt", srt(*(sentences or SENTENCES[:3])), kind=Kind.TEXT)


def words(parts, query):
    return [hit.item_id for hit in parts.archive.search(Query(query, mode="words")).hits]


def test_a_spoken_sentence_is_found_at_its_second(runs, parts, tmp_path):
    [item] = runs.add(drop(parts, "talk.wav", speak(tmp_path / "talk.wav", SENTENCES[:4])))
    assert runs.go([item]).success
    assert runs.now(item).state is ItemState.DONE
    vector = parts.engines.embedder().embed(["the piano in the museum"])[0]
    hit = parts.archive.search(Query("the piano in the museum"), vector).hits[0]
    assert hit.item_id == item.id
    assert "old piano" in hit.text
    assert hit.start_s < 1.0
    transcript = transcript_of(runs.now(item), parts)
    assert [s.text.strip() for s in transcript.segments] == list(SENTENCES[:4])


def test_a_batch_of_twenty_with_three_bad_ones_shows_exactly_these_as_failed(runs, parts):
    new = [text(parts, f"t{n}", SENTENCES[n % 8], f"This is item {n}.") for n in range(17)]
    bad = [drop(parts, f"bad{n}.mp3", b"this is no sound at all" * 50) for n in range(3)]
    items = runs.add(*new[:8], bad[0], *new[8:12], bad[1], *new[12:], bad[2])
    result = runs.go(items)
    assert not result.success
    assert "3 of 20 items did not land: 3 unsupported_media" in str(result.all_node_events)
    for item in items:
        failed = item.title.startswith("bad")
        assert runs.statuses([item])[item.id] == ([FAILED] * len(CHAIN) if failed else [DONE] * len(CHAIN)), item.title
        assert runs.now(item).state is (ItemState.FAILED if failed else ItemState.DONE)


def test_launching_the_failed_ones_alone_leaves_the_others_as_they_are(runs, parts):
    items = runs.add(text(parts, "good"), drop(parts, "bad.mp3", b"no sound"))
    runs.go(items)
    began = runs.now(items[0]).step("transcript").started_at
    runs.go([items[1]])
    assert runs.now(items[0]).step("transcript").started_at == began
    assert runs.statuses(items)[items[0].id] == [DONE] * len(CHAIN)


def test_repeating_a_run_logs_again_and_does_nothing_again(runs, parts):
    [item] = runs.add(text(parts, "one"))
    runs.go([item])
    before = runs.now(item)
    result = runs.go([item])
    assert runs.now(item).steps == before.steps
    logged = [e.asset_key.to_user_string() for e in result.get_asset_materialization_events()]
    assert logged == [step.name for step in CHAIN]


@pytest.mark.parametrize("tags", [{}, {"dagster/backfill": "abc"}])
def test_a_persons_launch_and_a_backfill_do_it_again(runs, parts, tags):
    [item] = runs.add(text(parts, "one"))
    runs.go([item])
    began = runs.now(item).step("transcript").started_at
    runs.go([item], tags=tags)
    assert runs.now(item).step("transcript").started_at > began


def test_automatic_retries_and_sensors_do_not_count_as_a_person():
    assert not asked_by_person({"dagster/sensor_name": "inbox", "dagster/parent_run_id": "x"})
    assert asked_by_person({"dagster/backfill": "x", "dagster/parent_run_id": "y"})


def test_a_subset_of_the_steps_can_be_launched(runs, parts):
    [item] = runs.add(text(parts, "one"))
    runs.go([item], selection=["raw", "fingerprint"])
    assert runs.statuses([item])[item.id] == [DONE] * 2 + [None] * len(CHAIN[2:])
    assert runs.now(item).step("transcript").state is State.WAITING


def test_silence_and_a_video_without_sound_are_done_with_steps_skipped(runs, parts, tmp_path):
    video = tmp_path / "still.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=160x120:d=2", "-pix_fmt", "yuv420p", video)
    items = runs.add(drop(parts, "quiet.wav", silence(tmp_path / "quiet.wav")), drop(parts, "still.mp4", video))
    assert runs.go(items).success
    assert [runs.now(i).step("transcript").reason for i in items] == ["silence", "no_audio"]
    assert [runs.now(i).state for i in items] == [ItemState.DONE, ItemState.DONE]
    assert runs.statuses(items)[items[1].id] == [DONE] * len(CHAIN)


def test_a_trimmed_re_encoded_copy_is_a_duplicate_and_reads_the_firsts_transcript(runs, parts, tmp_path):
    first = speak(tmp_path / "first.wav", SENTENCES)
    copy = tmp_path / "copy.mp3"
    ffmpeg("-ss", "2", "-i", first, "-b:a", "64k", copy)
    items = runs.add(drop(parts, "first.wav", first), drop(parts, "copy.mp3", copy))
    assert runs.go(items).success
    original, again = (runs.now(i) for i in items)
    assert again.duplicate_of == original.id
    assert again.duplicate_offset_s == pytest.approx(2.0, abs=0.3)
    assert again.state is ItemState.DUPLICATE
    assert runs.statuses(items)[again.id] == [DONE] * len(CHAIN)
    ours, theirs = transcript_of(original, parts), transcript_of(again, parts)
    assert theirs.segments[-1].start_s == pytest.approx(ours.segments[-1].start_s - 2.0, abs=0.3)
    assert set(words(parts, "invoice finance marketing")) == {original.id}


def test_a_transcript_beside_the_file_is_taken_and_says_so(runs, parts, tmp_path):
    new = drop(parts, "talk.wav", speak(tmp_path / "talk.wav"), sidecar_key="talk.srt")
    parts.inbox.put("talk.srt", srt("Quokkas live on an island.", "They eat leaves."))
    [item] = runs.add(new)
    assert runs.go([item]).success
    assert words(parts, "quokkas") == [item.id]
    assert "faster-whisper" not in runs.now(item).step("transcript").engine
    assert list(parts.inbox.under()) == []


def test_engines_of_a_run_are_typed_config_and_a_missing_model_blocks(runs, parts, tmp_path):
    [item] = runs.add(drop(parts, "talk.wav", speak(tmp_path / "talk.wav")))
    runs.go([item], config={"engines": {"transcript": "faster-whisper:no-such-model"}})
    step = runs.now(item).step("transcript")
    assert (step.state, step.reason) == (State.BLOCKED, "model_missing")
    assert "no speech model" in step.error_message
    assert runs.go([item]).success
    assert runs.now(item).state is ItemState.DONE


def test_events_carry_versions_and_numbers_and_no_words_of_the_item(runs, parts):
    [item] = runs.add(text(parts, "Zanzibar", "The zebra sleeps at noon."))
    result = runs.go([item])
    events = {e.asset_key.to_user_string(): e.materialization for e in result.get_asset_materialization_events()}
    assert events["embedding"].metadata["passages"].value == 1
    assert events["transcript"].tags["dagster/data_version"] == runs.now(item).step("transcript").version_key
    assert events["transcript"].tags["dagster/code_version"] == TRANSCRIPT.code_version
    told = str([e.event_specific_data for e in result.all_events]) + str(result.get_asset_materialization_events())
    assert "ebra" not in told
    assert "anzibar" not in told


def test_the_checks_tell_silence_and_a_disagreeing_archive(runs, parts, tmp_path):
    items = runs.add(text(parts, "one"), drop(parts, "quiet.wav", silence(tmp_path / "quiet.wav")))
    checks = {c.check_name: c for c in runs.go(items).get_asset_check_evaluations()}
    assert (checks["speech_found"].passed, checks["speech_found"].severity) == (False, dg.AssetCheckSeverity.WARN)
    assert checks["archive_agrees"].passed


def test_dagsters_graph_is_the_chain():
    specs = {s.key.to_user_string(): s for s in build_chain(8).specs}
    assert list(specs) == [step.name for step in CHAIN]
    for step in CHAIN:
        assert {d.asset_key.to_user_string() for d in specs[step.name].deps} == set(step.upstream)
        assert specs[step.name].code_version == step.code_version

"""The step speakers in the chain: labels and names in what people read and search, run after run."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from nexus_api.local import Local
from nexus_pipeline import upkeep
from nexus_pipeline.archive import erasing
from nexus_pipeline.chain import build_chain
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.domain.speaking import Speaking, Turn
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.results import speaking_of, spoken, transcript_of
from nexus_pipeline.settings import Settings
from nexus_pipeline.steps import CHAIN
from nexus_pipeline.wiring import Parts
from samples.conversations import conversations, mixed, tracks, written
from tests.running import drop, srt
from tests.speech import MODELS, SENTENCES, SPEECH, speak
from tests.stores import places

TALK = conversations()["two-speakers"]
NANO = "sherpa-onnx:speaker-nano"


@pytest.fixture
def parts(tmp_path):
    return Parts(Settings(home=tmp_path / "home", speech=SPEECH, speakers=NANO, models=MODELS))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return written(tmp_path_factory.mktemp("talk") / "talk.flac", mixed(TALK))


def switched(runs, parts, speakers):
    """The same stores under another setting."""
    settings = parts.settings.model_copy(update={"speakers": speakers})
    return replace(runs, parts=Parts(settings))


def who(item, parts):
    """Each sentence's speaker, by what is said in it."""
    return {s.text: s.speaker for s in transcript_of(item, parts).segments}


def labels(item, parts):
    """Speaker A's and B's label."""
    told = who(item, parts)
    [a] = {label for text, label in told.items() if "rhythm" in text}
    [b] = {label for text, label in told.items() if "tomato" in text}
    return a, b


def found(parts, item):
    spoken = [row for row in parts.archive.passages(item.id) if row["kind"] == "speech"]
    return {row["text"]: (row["speaker"], row["indexed_text"]) for row in spoken}


def relabelled(parts, item, names):
    """What a run before this one could have kept: the same voices under other labels."""
    blob = item.step("speakers").blob
    kept = json.loads(parts.blobs.read(blob))
    speaking = spoken(parts.blobs.read(blob))
    other = Speaking(
        tuple(Turn(t.start_s, t.end_s, names[t.speaker]) for t in speaking.turns),
        {names[label]: voice for label, voice in speaking.voices.items()},
        speaking.space,
        tuple(sorted(names.values())),
    )
    kept["result"] = {
        "turns": [{"start_s": t.start_s, "end_s": t.end_s, "speaker": t.speaker} for t in other.turns],
        "voices": other.voices,
        "space": other.space,
        "labels": other.labels,
    }
    parts.blobs.put(blob, json.dumps(kept).encode())


def test_every_sentence_has_its_speaker_in_what_is_read_and_in_what_is_found(runs, parts, sound):
    [item] = runs.add(drop(parts, "talk.flac", sound))
    assert runs.go([item]).success
    item = runs.now(item)
    status = item.step("speakers")
    assert (status.state, status.engine) == (State.DONE, NANO)
    a, b = labels(item, parts)
    assert {a, b} == {"S1", "S2"}
    by = {clip.text: {"A": a, "B": b}[clip.speaker] for clip in TALK.clips}
    told = who(item, parts)
    assert {text: told[text] for text in by if text in told} == {text: by[text] for text in by if text in told}
    assert len(set(by) & set(told)) > 12
    assert {speaker for speaker, _ in found(parts, item).values()} == {a, b}
    assert transcript_of(item, parts).speakers == {"S1": "S1", "S2": "S2"}


def test_names_stand_in_the_transcript_and_in_what_is_searched_and_stay_when_it_is_done_again(runs, parts, sound):
    [item] = runs.add(drop(parts, "talk.flac", sound))
    runs.go([item])
    a, _ = labels(runs.now(item), parts)
    before = runs.now(item).step("embedding").version_key
    parts.catalog.edit(item.id, speakers={a: "Quentin"})
    assert transcript_of(runs.now(item), parts).speakers[a] == "Quentin"
    parts.catalog.ask("retry", [item.id])
    assert runs.go([item]).success
    now = runs.now(item)
    assert now.step("embedding").version_key != before
    named = {text: told for text, told in found(parts, item).items() if told[0] == "Quentin"}
    assert named
    assert all("Quentin" in indexed for _, indexed in named.values())
    # whoever kept the labels the other way round gets them the other way round
    relabelled(parts, now, {"S1": "S2", "S2": "S1"})
    parts.catalog.edit(item.id, speakers={a: None, {"S1": "S2", "S2": "S1"}[a]: "Quentin"})
    runs.go([item], config={"force": True})
    again = labels(runs.now(item), parts)
    assert again[0] == {"S1": "S2", "S2": "S1"}[a]
    assert {s for s, _ in found(parts, item).values()} >= {"Quentin"}
    [who_is_it] = {label for text, label in who(runs.now(item), parts).items() if "rhythm" in text}
    assert transcript_of(runs.now(item), parts).speakers[who_is_it] == "Quentin"


def test_a_label_outlives_a_run_in_which_the_step_was_switched_off(runs, parts, sound):
    [item] = runs.add(drop(parts, "talk.flac", sound))
    runs.go([item])
    relabelled(parts, runs.now(item), {"S1": "S7", "S2": "S5"})
    a, b = labels(runs.now(item), parts)
    off = switched(runs, parts, "none")
    assert off.go([item]).success
    assert (off.now(item).step("speakers").state, off.now(item).step("speakers").reason) == ("skipped", "switched_off")
    assert set(who(off.now(item), off.parts).values()) == {None}
    on = switched(runs, parts, NANO)
    assert on.go([item], config={"force": True}).success
    assert labels(on.now(item), on.parts) == (a, b)
    assert speaking_of(on.now(item), on.parts).labels == ("S5", "S7")


def test_a_recorded_call_has_a_speaker_a_channel_and_labels_that_a_model_agrees_with(runs, parts, tmp_path):
    path = written(tmp_path / "call.flac", *tracks(TALK).values())
    [item] = runs.add(drop(parts, "call.flac", path))
    calls = switched(runs, parts, "channels")
    assert calls.go([item]).success
    first = labels(calls.now(item), calls.parts)
    assert set(first) == {"S1", "S2"}
    assert calls.now(item).step("speakers").engine == "channels"
    assert runs.go([item]).success
    assert runs.now(item).step("speakers").engine == NANO
    assert labels(runs.now(item), parts) == first


def test_switching_it_on_makes_only_what_reads_it_stale(runs, parts, sound):
    off = switched(runs, parts, "none")
    [item] = off.add(drop(parts, "talk.flac", sound))
    off.go([item])
    before = off.now(item)
    keys = {step.name: step.key(before, off.parts) for step in CHAIN}
    assert {step.name for step in CHAIN if before.step(step.name).version_key != keys[step.name]} == set()
    runs.go([item])
    now = runs.now(item)
    changed = {step.name for step in CHAIN if now.step(step.name).version_key != before.step(step.name).version_key}
    assert changed == {"speakers", "translation", "enrichment", "embedding"}
    assert now.step("transcript").started_at == before.step("transcript").started_at


def test_a_step_that_came_later_and_is_switched_off_makes_nothing_stale(runs, parts):
    """As if the item were from before the step: its row is as the migration makes it."""
    off = switched(runs, parts, "none")
    [item] = off.add(drop(parts, "one.srt", srt(*SENTENCES[:2]), kind=Kind.TEXT))
    off.go([item])
    now = off.now(item)
    older = replace(now, steps=tuple(replace(s, version_key=None) if s.step == "speakers" else s for s in now.steps))
    for step in CHAIN:
        assert step.name == "speakers" or step.key(older, off.parts) == now.step(step.name).version_key


def test_text_silence_and_copies_are_not_listened_to(runs, parts, sound, tmp_path):
    from tests.speech import silence

    items = runs.add(
        drop(parts, "note.srt", srt(*SENTENCES[:2]), kind=Kind.TEXT),
        drop(parts, "quiet.wav", silence(tmp_path / "quiet.wav")),
        drop(parts, "talk.flac", sound),
        drop(parts, "same.flac", sound),
    )
    assert runs.go(items).success
    told = [runs.now(item).step("speakers") for item in items]
    assert [(s.state.value, s.reason) for s in told[:2]] == [("skipped", "no_audio"), ("skipped", "silence")]
    assert sorted((s.state.value, s.reason) for s in told[2:]) == [("done", None), ("skipped", "duplicate")]
    assert who(runs.now(items[2]), parts) == who(runs.now(items[3]), parts)


def test_a_transcript_that_names_its_speakers_is_believed(runs, parts, tmp_path):
    new = drop(parts, "talk.wav", speak(tmp_path / "talk.wav"), sidecar_key="talk.srt")
    parts.inbox.put("talk.srt", srt("Ann: The old piano is here.", "Ben: It is red.", "Ann: So it is.", "Ben: Yes."))
    [item] = runs.add(new)
    assert runs.go([item]).success
    status = runs.now(item).step("speakers")
    assert (status.state, status.reason) == (State.DONE, "the transcript names its speakers")
    assert [s.speaker for s in transcript_of(runs.now(item), parts).segments] == ["Ann", "Ben", "Ann", "Ben"]


def test_a_missing_model_blocks_and_a_broken_one_fails_without_losing_the_words(runs, parts, sound):
    [item] = runs.add(drop(parts, "talk.flac", sound))
    off = switched(runs, parts, "sherpa-onnx:nowhere")
    off.go([item])
    status = off.now(item).step("speakers")
    assert (status.state, status.reason) == (State.BLOCKED, "model_missing")
    assert off.now(item).state is ItemState.BLOCKED
    assert set(who(off.now(item), off.parts).values()) == {None}
    assert found(parts, item)
    assert runs.go([item]).success
    assert runs.now(item).state is ItemState.DONE


def test_the_next_engine_serves_where_one_cannot(runs, parts, sound):
    several = switched(runs, parts, f"sherpa-onnx:nowhere,{NANO}")
    [item] = several.add(drop(parts, "talk.flac", sound))
    assert several.go([item]).success
    status = several.now(item).step("speakers")
    assert (status.engine, status.reason) == (NANO, "sherpa-onnx:nowhere: model_missing")


def test_an_erased_item_leaves_no_name_and_no_voice(runs, parts, sound, monkeypatch):
    monkeypatch.setattr(erasing, "KEPT_FOR", timedelta(0))
    [item] = runs.add(drop(parts, "talk.flac", sound))
    runs.go([item])
    parts.catalog.edit(item.id, speakers={"S1": "Zyxquokka"})
    parts.catalog.ask("retry", [item.id])
    runs.go([item])
    home = parts.settings.root
    assert any("zyxquokka" in place for place in places(home, ("zyxquokka",)))
    upkeep.erase(parts, item.id)
    upkeep.settle(parts)
    assert upkeep.settle(parts, lambda: datetime.now(UTC) + timedelta(seconds=62)) == 1
    assert places(home, ("zyxquokka",)) == []


def test_the_heir_of_an_erased_first_keeps_speakers_and_names(runs, parts, sound, tmp_path):
    first, copy = runs.add(drop(parts, "talk.flac", sound), drop(parts, "same.flac", sound))
    runs.go([first])
    runs.go([copy])
    parts.catalog.edit(first.id, speakers={"S1": "Mia"})
    before = transcript_of(runs.now(copy), parts)
    assert "Mia" in before.speakers.values()
    upkeep.erase(parts, first.id)
    runs.go([copy])
    after = transcript_of(runs.now(copy), parts)
    assert [(s.text, s.speaker) for s in after.segments] == [(s.text, s.speaker) for s in before.segments]
    assert after.speakers == before.speakers


def test_the_chain_shows_the_step_between_words_and_what_is_made_of_them():
    specs = {s.key.to_user_string(): {d.asset_key.to_user_string() for d in s.deps} for s in build_chain(8).specs}
    assert specs["speakers"] == {"raw", "transcript"}
    assert "speakers" in specs["enrichment"] & specs["embedding"]


# ---------------------------------------------------------------- voices known again


@pytest.fixture
def knowing(runs, parts):
    return replace(runs, parts=Parts(parts.settings.model_copy(update={"know_voices": True})))


@pytest.fixture(scope="module")
def other_sound(tmp_path_factory):
    return written(tmp_path_factory.mktemp("other") / "other.flac", mixed(conversations()["three-speakers"]))


def proposed(runs, item):
    told = Local(runs.parts.settings, parts=runs.parts).speakers(item.id)
    return {one["label"]: [p["name"] for p in one["proposals"]] for one in told["speakers"]}


def test_a_name_is_proposed_for_the_same_voice_in_another_item_and_goes_with_its_item(knowing, sound, other_sound):
    one, other = knowing.add(drop(knowing.parts, "a.flac", sound), drop(knowing.parts, "b.flac", other_sound))
    assert knowing.go([one, other]).success
    a, b = labels(knowing.now(one), knowing.parts)
    knowing.parts.catalog.edit(one.id, speakers={a: "Quentin", b: "Mia"})
    of_other = who(knowing.now(other), knowing.parts)
    told = proposed(knowing, other)
    assert told[of_other["Send the invoice to finance and the draft to marketing."]] == ["Quentin"]
    assert told[of_other["Oliver has a new plan for the greenhouse."]] == ["Mia"]
    assert told[of_other["Remember to check the shovel next week."]] == []
    assert proposed(knowing, one) == {a: [], b: []}
    assert proposed(
        replace(knowing, parts=Parts(knowing.parts.settings.model_copy(update={"know_voices": False}))), other
    )
    upkeep.erase(knowing.parts, one.id)
    assert set(map(tuple, proposed(knowing, other).values())) == {()}


def test_without_being_asked_no_voice_is_kept_in_the_archive(runs, parts, sound):
    [item] = runs.add(drop(parts, "talk.flac", sound))
    runs.go([item])
    assert not list((parts.settings.root / "archive").glob("voices*"))
    assert proposed(runs, item) == {"S1": [], "S2": []}


def test_voices_leave_the_archives_files_with_their_item_and_come_back_by_a_rebuild(knowing, sound, monkeypatch):
    monkeypatch.setattr(erasing, "KEPT_FOR", timedelta(0))
    kept = knowing.parts
    [item] = knowing.add(drop(kept, "talk.flac", sound))
    knowing.go([item])
    voices = speaking_of(knowing.now(item), kept).voices
    rows = [np.array(voice, np.float32).tobytes() for voice in voices.values()]
    archive = kept.settings.root / "archive"
    assert places(archive, (), rows)
    shutil.rmtree(archive)
    again = replace(knowing, parts=Parts(kept.settings))
    upkeep.rebuild(again.parts)
    assert places(archive, (), rows)
    upkeep.erase(again.parts, item.id)
    upkeep.settle(again.parts)
    assert upkeep.settle(again.parts, lambda: datetime.now(UTC) + timedelta(seconds=62)) == 1
    assert places(archive, (), rows) == []

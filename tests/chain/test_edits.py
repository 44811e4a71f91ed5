"""What people write over a transcript: what is searched follows, what is heard later does not undo it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nexus_api.local import Local
from nexus_pipeline import upkeep
from nexus_pipeline.archive import erasing
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.engines import SPEECH as ENGINES
from nexus_pipeline.engines import TRANSLATORS
from nexus_pipeline.flow import Flow
from nexus_pipeline.machine import widths
from nexus_pipeline.results import edited, said, transcript_of, translations_of
from nexus_pipeline.settings import Settings
from nexus_pipeline.steps import CHAIN
from nexus_pipeline.steps.embedding import EMBEDDING
from nexus_pipeline.turns import Run, Turns
from nexus_pipeline.wiring import Parts
from tests.hearing import ENTRY, Hearing, spoken
from tests.running import drop, srt
from tests.speech import MODELS, SENTENCES, ffmpeg, speak
from tests.stores import places
from tests.translators import ENTRY as TRANSLATING
from tests.translators import Phrasebook

TALK = ("The old piano stands behind a door.", "Sara bought a yellow rogue.", "The train leaves at nine.")
ONE = spoken((0.2, 2.0, "The old piano stands"), (2.0, 4.0, "behind a door of would."), (4.2, 6.0, "Nobody plays it."))
OTHER = spoken((0.2, 2.6, "The old piano stands behind"), (2.6, 6.0, "the door of good. Nobody plays it."))


@pytest.fixture(autouse=True)
def engines(monkeypatch):
    """In the catalogues."""
    monkeypatch.setitem(ENGINES, "hearing", ENTRY["hearing"])
    for name, entry in TRANSLATING.items():
        monkeypatch.setitem(TRANSLATORS, name, entry)
    monkeypatch.setattr(Hearing, "says", {"one": ONE, "other": OTHER})
    Phrasebook.asked.clear()


def opened(tmp_path, **more):
    """Parts over the same home."""
    return Parts(Settings(home=tmp_path / "home", models=MODELS, _env_file=None, speech="hearing:one", **more))


@pytest.fixture
def parts(tmp_path):
    return opened(tmp_path)


class Work:
    """Runs of the real steps over the asks that are open, as the sensor begins them."""

    def __init__(self, parts):
        self.parts, self.runs, self.landed = parts, 0, []

    def add(self, *new):
        return [item.id for item in self.parts.catalog.add(new)]

    def go(self, *ids, force=False, first="raw", chain=CHAIN):
        self.runs += 1
        run = Run(f"run-{self.runs}", f"run-{self.runs}", frozenset(STEPS[STEPS.index(first) :]), force=force)
        self.landed = list(Flow(chain, self.parts, run, widths(self.parts.settings)).land(ids))
        return [self.parts.catalog.get(item_id) for item_id in ids]

    def answer(self):
        """What is asked for."""
        asks = self.parts.catalog.asks()
        self.parts.catalog.answered([ask.id for ask in asks])
        for ask in asks:
            self.go(ask.item_id, force=ask.ask == "rerun", first=ask.from_step or "raw")
        return [(ask.ask, ask.from_step) for ask in asks]

    def did(self):
        """Steps that were done in the last run."""
        return [la.work.step for la in self.landed if "repeated" not in la.numbers and la.state is State.DONE]


@pytest.fixture
def work(parts):
    return Work(parts)


@pytest.fixture
def talk(work, parts):
    [item] = work.add(drop(parts, "talk.srt", srt(*TALK), kind=Kind.TEXT))
    work.go(item)
    return item


@pytest.fixture
def recording(work, parts, tmp_path):
    [item] = work.add(drop(parts, "talk.wav", speak(tmp_path / "talk.wav", SENTENCES[:2])))
    work.go(item)
    return item


def patch(parts, item, *segments, **more):
    return Local(parts.settings, parts=parts).patch(item, segments=list(segments), **more)


def texts(parts, item):
    return [s.text for s in transcript_of(parts.catalog.get(item), parts).segments]


def found(parts, item):
    """What was said, as it is searched; a summary follows when it is made again."""
    said = (row for row in parts.archive.passages(item) if row["kind"] == "speech")
    return " ".join(row["text"] for row in sorted(said, key=lambda row: row["position"]))


def test_what_is_searched_follows_and_nothing_is_heard_or_inferred_again(work, parts, talk):
    before = parts.catalog.get(talk)
    patch(parts, talk, {"id": 1, "text": "Sara bought a yellow rose."})
    assert texts(parts, talk)[1] == "Sara bought a yellow rose."
    assert work.answer() == [("rerun", "embedding")]
    now = parts.catalog.get(talk)
    assert work.did() == ["embedding"]
    assert "yellow rose" in found(parts, talk)
    assert "rogue" not in found(parts, talk)
    same = {s.step: s.version_key for s in before.steps if s.step != "embedding"}
    assert {s.step: s.version_key for s in now.steps if s.step != "embedding"} == same
    assert now.state is ItemState.DONE
    assert upkeep.check(parts) == []


def test_a_change_of_settings_does_not_make_an_edit_cost_a_new_transcript(work, parts, recording, tmp_path):
    patch(parts, recording, {"id": 2, "text": "Nobody ever plays it."})
    work.parts = opened(tmp_path, enricher="none").chosen_for_run({"transcript": "hearing:other"})
    work.answer()
    assert work.did() == ["embedding"]
    assert parts.catalog.get(recording).step("transcript").engine == "hearing:one"


def test_taken_back_the_archive_is_as_it_was(work, parts, talk):
    rows = parts.archive.passages(talk)
    key = parts.catalog.get(talk).step("embedding").version_key
    patch(parts, talk, {"id": 0, "text": ""}, {"id": 1, "text": "Nothing of it."})
    work.answer()
    assert "piano" not in found(parts, talk)
    assert texts(parts, talk)[0] == ""
    patch(parts, talk, {"id": 0, "text": None}, {"id": 1, "text": TALK[1]})
    work.answer()
    assert parts.archive.passages(talk) == rows
    assert parts.catalog.get(talk).step("embedding").version_key == key
    assert parts.catalog.edits(talk) == ()


def test_another_engine_that_cuts_and_hears_otherwise_does_not_undo_it(work, parts, recording):
    patch(parts, recording, {"id": 1, "text": "behind a door of wood."}, {"id": 2, "speaker": "Ann"})
    work.answer()
    parts.catalog.edit(recording, engines={"transcript": "hearing:other"})
    work.go(recording)
    assert parts.catalog.get(recording).step("transcript").engine == "hearing:other"
    assert texts(parts, recording) == ["The old piano stands behind", "a door of wood. Nobody plays it."]
    assert "door of wood" in found(parts, recording)
    work.go(recording, force=True)
    assert "door of wood" in found(parts, recording)
    [text, speaker] = Local(parts.settings, parts=parts).edits(recording, limit=50)["items"]
    assert (text["new"], text["segments"]) == ("behind a door of wood.", [0, 1])
    assert (speaker["new"], speaker["segments"]) == ("Ann", [1])  # who says most of it


def test_names_of_speakers_and_who_speaks_outlive_reruns(work, parts, recording):
    patch(parts, recording, {"id": 0, "speaker": "Ann"}, {"id": 2, "speaker": "Ben"})
    patch(parts, recording, speakers={"Ann": "Ann Bell"})
    work.answer()
    for step in ("transcript", "speakers", "enrichment"):
        parts.catalog.ask("rerun", [recording], from_step=step)
        work.answer()
        told = transcript_of(parts.catalog.get(recording), parts)
        assert [s.speaker for s in told.segments] == ["Ann", None, "Ben"]
        assert told.speakers == {"Ann": "Ann Bell", "Ben": "Ben"}
    assert "Ann Bell" in parts.archive.passages(recording)[0]["indexed_text"]


def test_a_summary_and_a_translation_take_it_up_when_they_are_made_again_and_not_before(work, parts, talk, tmp_path):
    told = opened(tmp_path, translate_to="de", translator="phrasebook")
    work.parts = told
    work.go(talk)
    patch(told, talk, {"id": 2, "text": ""}, {"id": 1, "text": "Sara bought a bicycle.", "speaker": "Ann"})
    work.answer()
    german = translations_of(told.catalog.get(talk), told)["de"].segments
    assert [(s.id, s.speaker) for s in german] == [(0, None), (1, "Ann")]  # what is said no more is read nowhere
    summary = told.catalog.get(talk).summary
    assert dict(Phrasebook.asked) == {"de": 1}
    told.catalog.ask("rerun", [talk], from_step="translation")
    work.answer()
    assert dict(Phrasebook.asked) == {"de": 2}
    assert told.catalog.get(talk).summary != summary
    assert "train" not in told.catalog.get(talk).summary
    assert [s.text for s in said(told.catalog.get(talk), told).segments] == [TALK[0], "Sara bought a bicycle."]


# ---------------------------------------------------------------- whatever happens meanwhile


def chain_with(name, before):
    """The chain in which something happens before a step begins."""

    def run(step):
        def first(works, parts):
            before(works, parts)
            return step.run(works, parts)

        return first

    return tuple(replace(step, run=run(step)) if step.name == name else step for step in CHAIN)


@pytest.mark.parametrize("step", ["transcript", "enrichment", "embedding"])
def test_what_a_person_writes_while_a_step_runs_is_taken_up(work, parts, talk, step):
    once = []

    def write(works, parts):
        if not once:
            once.append(patch(parts, talk, {"id": 1, "text": "Sara bought a yellow rose."}, title="Roses"))

    parts.catalog.ask("rerun", [talk], from_step="transcript")
    parts.catalog.answered([ask.id for ask in parts.catalog.asks()])
    work.go(talk, force=True, first="transcript", chain=chain_with(step, write))
    work.answer()
    assert "yellow rose" in found(parts, talk)
    assert parts.archive.passages(talk)[0]["indexed_text"].startswith("Roses")
    now = parts.catalog.get(talk)
    assert now.step("embedding").version_key == EMBEDDING.key(now, parts)
    assert parts.catalog.asks() == []


@pytest.mark.parametrize("rows_written", [False, True])
def test_a_run_that_is_killed_before_it_could_say_so_is_repeated_to_the_same_archive(work, parts, talk, rows_written):
    patch(parts, talk, {"id": 1, "text": "Sara bought a yellow rose."})
    item = parts.catalog.lease([talk], "dead")[talk]
    dead = Turns(parts, Run("dead", "dead", frozenset({"embedding"}), force=True), hand_on=print)
    parts.catalog.begin(item, "embedding", "dead", "dead")
    if rows_written:
        list(EMBEDDING.run([dead.make(EMBEDDING, item)], parts))
    parts.catalog.release("dead")  # as the sensor does that finds its lease silent
    work.answer()
    assert "yellow rose" in found(parts, talk)
    assert parts.catalog.get(talk).state is ItemState.DONE
    assert upkeep.check(parts) == []


def test_written_and_asked_for_in_one_transaction(work, parts, talk):
    """Whoever is killed right after it has left nothing undone: a run that nobody else asks for follows."""
    parts.catalog.edit(talk, title="Roses", again="embedding")
    assert [(ask.ask, ask.from_step) for ask in parts.catalog.asks()] == [("rerun", "embedding")]
    work.answer()
    parts.catalog.edit(talk, title="Roses", again="embedding")
    assert parts.catalog.asks() == []


# ---------------------------------------------------------------- copies, erasing


@pytest.fixture
def twice(work, parts, recording, tmp_path):
    """A recording and a copy of it that begins half a second later."""
    part = tmp_path / "part.wav"
    ffmpeg("-i", tmp_path / "talk.wav", "-ss", "0.5", "-c", "copy", part)
    [copy] = work.add(drop(parts, "part.wav", part))
    [item] = work.go(copy)
    assert item.duplicate_of == recording
    return recording, copy


def test_an_edit_of_a_copy_is_its_firsts(work, parts, twice):
    first, copy = twice
    told = patch(parts, copy, {"id": 1, "text": "behind a door of wood.", "speaker": "Ann"}, title="Mine")
    assert (told["id"], told["title"]) == (copy, "Mine")
    patch(parts, copy, speakers={"Ann": "Ann Bell"})
    for item in twice:
        assert texts(parts, item)[1] == "behind a door of wood."
        assert transcript_of(parts.catalog.get(item), parts).speakers == {"Ann": "Ann Bell"}
    assert parts.catalog.get(first).title != "Mine"
    work.answer()
    assert "door of wood" in found(parts, first)
    nexus = Local(parts.settings, parts=parts)
    [own], [seen] = ([e for e in nexus.edits(i, limit=9)["items"] if e["what"] == "text"] for i in (first, copy))
    assert own["start_s"] - seen["start_s"] == pytest.approx(0.5, abs=0.2)


def test_the_heir_of_an_erased_first_takes_over_what_was_written_and_can_take_it_back(work, parts, twice):
    first, copy = twice
    patch(parts, first, {"id": 1, "text": ""}, {"id": 2, "text": "Somebody plays it."}, {"id": 2, "speaker": "Ann"})
    work.answer()
    before = transcript_of(parts.catalog.get(copy), parts)
    upkeep.erase(parts, first)
    work.go(copy)
    assert transcript_of(parts.catalog.get(copy), parts).segments == before.segments
    assert "Somebody plays it." in found(parts, copy)
    [emptied] = [s.id for s in before.segments if not s.text]
    patch(parts, copy, {"id": emptied, "text": None})
    assert texts(parts, copy)[1] == "behind a door of would."


def test_an_erased_item_leaves_nothing_of_what_was_written(work, parts, talk, monkeypatch):
    monkeypatch.setattr(erasing, "KEPT_FOR", timedelta(0))
    patch(parts, talk, {"id": 1, "text": "Sara bought a zyxquokka.", "speaker": "Tagpotoroo"})
    work.answer()
    words = ("zyxquokka", "tagpotoroo")
    home = parts.settings.root
    assert {word for word in words for place in places(home, words) if word in place} == set(words)
    upkeep.erase(parts, talk)
    upkeep.settle(parts)
    assert upkeep.settle(parts, lambda: datetime.now(UTC) + timedelta(seconds=62)) == 1
    assert places(home, words) == []


def test_an_edit_over_what_nobody_hears_any_more_is_a_segment_that_can_be_changed_again(work, parts, recording):
    patch(parts, recording, {"id": 1, "text": "behind a door of wood."})
    Hearing.says["other"] = (ONE[0], ONE[2])
    parts.catalog.edit(recording, engines={"transcript": "hearing:other"})
    work.go(recording)
    laid = edited(parts.catalog.get(recording), parts)
    assert texts(parts, recording)[1] == "behind a door of wood."
    put_in = laid.transcript.segments[1].id
    patch(parts, recording, {"id": put_in, "text": "behind it."})
    assert texts(parts, recording)[1] == "behind it."
    patch(parts, recording, {"id": put_in, "text": None})
    assert texts(parts, recording) == [ONE[0].text, ONE[2].text]

"""Translation in the chain's own flow: what can be read and found in which language, what one that fails leaves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from nexus_pipeline import upkeep
from nexus_pipeline.archive import erasing
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.domain.search import Query
from nexus_pipeline.domain.states import ItemState, Skipped, State
from nexus_pipeline.engines import TRANSLATORS
from nexus_pipeline.flow import Flow
from nexus_pipeline.machine import widths
from nexus_pipeline.results import transcript_of, translations_of
from nexus_pipeline.settings import Settings
from nexus_pipeline.steps import CHAIN
from nexus_pipeline.turns import Run
from nexus_pipeline.wiring import Parts
from samples.conversations import conversations, tracks, written
from tests.running import drop, srt
from tests.speech import MODELS, SENTENCES, SPEECH, ffmpeg, speak
from tests.stores import places
from tests.translators import ENTRY, FRENCH, GERMAN, Phrasebook

TALK = SENTENCES[:4]
TWO = conversations()["two-speakers"]


@pytest.fixture(autouse=True)
def phrasebook(monkeypatch):
    """In the catalogue, and asked by nobody yet."""
    for name, entry in ENTRY.items():
        monkeypatch.setitem(TRANSLATORS, name, entry)
    Phrasebook.asked.clear()


def wanted(tmp_path, to="de", translator="phrasebook", **more):
    """Parts over the same home, as a person sets them."""
    told = {"speech": SPEECH, "models": MODELS, "translate_to": to, "translator": translator, **more}
    return Parts(Settings(home=tmp_path / "home", _env_file=None, **told))


@pytest.fixture
def parts(tmp_path):
    return wanted(tmp_path)


class Runs:
    """Runs of the real steps, without Dagster."""

    def __init__(self, parts):
        self.parts, self.count = parts, 0

    def add(self, *new):
        return self.parts.catalog.add(new)

    def go(self, items, steps=STEPS, *, force=False):
        """Whether all has landed well."""
        self.count += 1
        run = Run(f"run-{self.count}", f"run-{self.count}", frozenset(steps), force=force)
        landed = list(Flow(CHAIN, self.parts, run, widths(self.parts.settings)).land([item.id for item in items]))
        return all(one.error is None for one in landed)

    def now(self, item):
        return self.parts.catalog.get(item.id)


@pytest.fixture
def runs(parts):
    return Runs(parts)


def text(parts, name="talk", *sentences):
    return drop(parts, f"{name}.srt", srt(*(sentences or TALK)), kind=Kind.TEXT)


def go(runs, parts, items, **how):
    """A run with these parts, as after a change of settings."""
    runs.parts = parts
    return runs.go(items, **how)


def find(parts, words, mode="words", **filters):
    vector = None if mode == "words" else parts.engines.embedder().embed([words])[0]
    return list(parts.archive.search(Query(words, mode, filters), vector).hits)


def rows(parts, item):
    return [{k: v for k, v in row.items() if k != "vector"} for row in parts.archive.passages(item.id)]


def test_an_item_is_translated_on_the_same_ids_and_times(runs, parts):
    [item] = runs.add(text(parts))
    assert runs.go([item])
    now = runs.now(item)
    assert (now.state, now.step("translation").state) == (ItemState.DONE, State.DONE)
    assert now.step("translation").engine == "phrasebook:all"
    spoken, told = transcript_of(now, parts), translations_of(now, parts)
    assert list(told) == ["de"]
    assert [s.text for s in told["de"].segments] == [GERMAN[s.text] for s in spoken.segments]
    assert [(s.id, s.start_s, s.end_s) for s in told["de"].segments] == [
        (s.id, s.start_s, s.end_s) for s in spoken.segments
    ]
    assert (told["de"].language, told["de"].engine) == ("de", "phrasebook:all")


def test_both_languages_lead_to_the_second(runs, parts):
    between = ["Marsupials are plain and they live very quietly on a small island far away."] * 6
    sentences = (TALK[0], *between, TALK[1], *between)
    [item] = runs.add(text(parts, "talk", *sentences))
    runs.go([item])
    at_s = 4.0 * 7
    for words, language in (("Samstag Konzert", "de"), ("Saturday concert", "en")):
        hit = find(parts, words)[0]
        assert (hit.item_id, hit.language, hit.kind) == (item.id, language, "speech")
        assert hit.start_s <= at_s < hit.end_s
        lit = {hit.text[a:b] for a, b in hit.highlights}
        assert lit == set(words.split())


@pytest.mark.parametrize("mode", ["words", "hybrid", "meaning"])
def test_a_moment_is_found_once_and_a_language_can_be_chosen(runs, parts, mode):
    [item] = runs.add(text(parts))
    runs.go([item])
    assert parts.archive.count(item.id) == 2
    [hit] = find(parts, "Sara David", mode)  # names that stand in both
    assert hit.item_id == item.id
    found = parts.archive.search(Query("Sara David", "words", {"language": ["de", "en"]}), None)
    assert (found.total, sum(found.facets["language"].values())) == (1, 1)
    for language in ("de", "en"):
        [hit] = find(parts, "Sara David", mode, language=language)
        assert hit.language == language


def shape(transcript):
    return [(s.id, s.start_s, s.end_s, s.speaker) for s in transcript.segments]


def test_translated_segments_have_the_speakers_and_cuts_of_what_was_said(runs, parts, tmp_path):
    [item] = runs.add(drop(parts, "talk.flac", written(tmp_path / "talk.flac", *tracks(TWO).values())))
    assert runs.go([item])
    assert {s.speaker for s in translations_of(runs.now(item), parts)["de"].segments} == {None}
    told = wanted(tmp_path, speakers="channels")
    assert go(runs, told, [item])
    spoken, german = (transcript_of(runs.now(item), told), translations_of(runs.now(item), told)["de"])
    assert {s.speaker for s in spoken.segments} == {"S1", "S2"}
    assert shape(german) == shape(spoken)
    assert dict(Phrasebook.asked) == {"de": 2}
    found = {(row["language"], row["speaker"]) for row in rows(told, item) if row["kind"] == "speech"}
    assert found == set(product(("de", "en"), ("S1", "S2")))
    told.catalog.edit(item.id, speakers={"S1": "Ann"})
    named = translations_of(runs.now(item), told)["de"]
    assert (named.speakers["S1"], shape(named)) == ("Ann", shape(spoken))
    assert go(runs, told, [item])
    assert dict(Phrasebook.asked) == {"de": 2}
    assert upkeep.check(told) == []


def test_without_a_setting_it_is_skipped_and_embeddings_are_as_they_were(runs, tmp_path):
    parts = wanted(tmp_path, to="")
    runs.parts = parts
    [item] = runs.add(text(parts))
    assert runs.go([item])
    now = runs.now(item)
    step = now.step("translation")
    assert (now.state, step.state, step.reason) == (ItemState.DONE, State.SKIPPED, Skipped.SWITCHED_OFF)
    without = replace(CHAIN[-1], wants=("enrichment",))
    assert without.key(now, parts) == now.step("embedding").version_key
    assert Phrasebook.asked == {}


def test_an_item_in_the_wanted_language_is_left_alone(runs, tmp_path):
    parts = wanted(tmp_path, to="en,EN-gb")
    runs.parts = parts
    [item] = runs.add(text(parts))
    assert runs.go([item])
    step = runs.now(item).step("translation")
    assert (step.state, step.reason) == (State.SKIPPED, Skipped.SAME_LANGUAGE)
    assert translations_of(runs.now(item), parts) == {}


def test_a_second_run_changes_nothing_and_asks_nobody(runs, parts):
    [item] = runs.add(text(parts))
    runs.go([item])
    before, asked = rows(parts, item), dict(Phrasebook.asked)
    assert runs.go([item])
    assert runs.go([item], force=True)
    assert rows(parts, item) == before
    assert (asked, dict(Phrasebook.asked)) == ({"de": 1}, {"de": 2})
    assert upkeep.check(parts) == []


def test_a_language_more_leaves_the_others_as_they_are(runs, parts, tmp_path):
    [item] = runs.add(text(parts))
    runs.go([item])
    more = wanted(tmp_path, to="de,fr")
    assert go(runs, more, [item])
    assert list(translations_of(runs.now(item), more)) == ["de", "fr"]
    assert dict(Phrasebook.asked) == {"de": 1, "fr": 1}
    assert [hit.language for hit in find(more, "musique")] == ["fr"]
    less = wanted(tmp_path, to="")
    assert go(runs, less, [item])
    assert translations_of(runs.now(item), less) == {}
    assert {row["language"] for row in rows(less, item)} == {"en"}
    assert upkeep.check(less) == []


def test_a_language_that_is_refused_costs_no_other_one(runs, tmp_path):
    parts = wanted(tmp_path, to="de,fr", translator="phrasebook:refuses-de")
    runs.parts = parts
    [item] = runs.add(text(parts))
    assert not runs.go([item])
    now = runs.now(item)
    step = now.step("translation")
    assert (now.state, step.state, step.error_code) == (ItemState.FAILED, State.FAILED, "engine_refused")
    assert step.error_message.startswith("into de: ")
    assert now.step("embedding").state is State.DONE
    assert list(translations_of(now, parts)) == ["fr"]
    assert [hit.language for hit in find(parts, "musique")] == ["fr"]
    assert [hit.language for hit in find(parts, "concert")] == ["en"]
    assert upkeep.check(parts) == []
    parts.catalog.ask("retry", [item.id])
    both = wanted(tmp_path, to="de,fr", translator="phrasebook:refuses-de,phrasebook")
    assert go(runs, both, [item])
    assert list(translations_of(runs.now(item), both)) == ["de", "fr"]
    assert runs.now(item).step("translation").reason == "de: phrasebook:refuses-de: engine_refused"
    assert [hit.language for hit in find(both, "Samstag")] == ["de"]


def test_an_engine_that_is_down_blocks_its_language_only_until_it_is_back(runs, tmp_path):
    parts = wanted(tmp_path, to="de,fr", translator="phrasebook:down-de")
    runs.parts = parts
    (parts.settings.cache).mkdir(parents=True)
    (parts.settings.cache / "down").touch()
    [item] = runs.add(text(parts))
    assert not runs.go([item])
    now = runs.now(item)
    assert (now.state, now.step("translation").state) == (ItemState.BLOCKED, State.BLOCKED)
    assert now.step("translation").reason == "engine_down"
    assert [hit.language for hit in find(parts, "musique")] == ["fr"]
    assert not runs.go([item])  # looked at again, and still down: nothing is lost
    assert list(translations_of(runs.now(item), parts)) == ["fr"]
    (parts.settings.cache / "down").unlink()
    assert runs.go([item])
    assert runs.now(item).state is ItemState.DONE
    assert list(translations_of(runs.now(item), parts)) == ["de", "fr"]
    assert dict(Phrasebook.asked) == {"de": 3, "fr": 1}
    assert [hit.language for hit in find(parts, "Samstag")] == ["de"]
    assert upkeep.check(parts) == []


def test_made_anew_and_failing_what_was_there_before_still_stands(runs, tmp_path):
    parts = wanted(tmp_path, to="de,fr", translator="phrasebook:down-de")
    runs.parts = parts
    [item] = runs.add(text(parts))
    assert runs.go([item])
    before = rows(parts, item)
    parts.settings.cache.mkdir(parents=True, exist_ok=True)
    (parts.settings.cache / "down").touch()
    assert not runs.go([item], force=True)
    assert runs.now(item).state is ItemState.BLOCKED
    assert list(translations_of(runs.now(item), parts)) == ["de", "fr"]
    assert rows(parts, item) == before
    assert upkeep.check(parts) == []


def test_a_whisper_that_cannot_says_what_to_choose(runs, tmp_path):
    parts = wanted(tmp_path, to="de", translator="auto")
    runs.parts = parts
    [item] = runs.add(text(parts))
    runs.go([item])
    step = runs.now(item).step("translation")
    assert (step.state, step.error_code) == (State.FAILED, "engine_failed")
    assert "into English only" in step.error_message
    assert "openai:MODEL" in step.error_message
    assert find(parts, "concert")


def test_a_rebuild_writes_the_same_rows(runs, parts):
    [item] = runs.add(text(parts))
    runs.go([item])
    before = rows(parts, item)
    assert {row["language"] for row in before} == {"en", "de"}
    parts.archive.remove([item.id])
    assert upkeep.check(parts)
    assert upkeep.rebuild(parts) == {"items": 1, "passages": len(before), "stale": 0}
    assert rows(parts, item) == before
    assert upkeep.check(parts) == []


def test_translated_alone_its_passages_want_a_run_and_a_rebuild_says_so(runs, parts, tmp_path):
    [item] = runs.add(text(parts))
    runs.go([item])
    more = wanted(tmp_path, to="de,fr")
    go(runs, more, [item], steps=["translation"])
    assert list(translations_of(runs.now(item), more)) == ["de", "fr"]
    assert upkeep.rebuild(more) == {"items": 0, "passages": 0, "stale": 1}
    assert go(runs, more, [item])
    assert upkeep.rebuild(more)["stale"] == 0
    assert upkeep.check(more) == []


def test_a_copy_reads_its_firsts_shifted_and_takes_it_over(runs, parts, tmp_path):
    first = speak(tmp_path / "first.wav", SENTENCES)
    copy = tmp_path / "copy.mp3"
    ffmpeg("-ss", "2", "-i", first, "-b:a", "64k", copy)
    [original] = runs.add(drop(parts, "first.wav", first))
    runs.go([original])
    [again] = runs.add(drop(parts, "copy.mp3", copy))
    runs.go([again])
    assert runs.now(again).duplicate_of == original.id
    [(whole, mine)] = [
        (translations_of(runs.now(original), parts)["de"], translations_of(runs.now(again), parts)["de"])
    ]
    assert mine.segments[-1].end_s == pytest.approx(whole.segments[-1].end_s - 2, abs=0.3)
    assert mine.segments[-1].text == whole.segments[-1].text
    asked = dict(Phrasebook.asked)
    upkeep.erase(parts, original.id)
    assert runs.go([again])
    assert translations_of(runs.now(again), parts)["de"].segments == mine.segments
    assert dict(Phrasebook.asked) == asked
    assert {row["language"] for row in rows(parts, again)} == {"en", "de"}


def test_erasing_takes_translations_out_of_every_byte(runs, parts, monkeypatch):
    monkeypatch.setattr(erasing, "KEPT_FOR", timedelta(0))
    monkeypatch.setitem(GERMAN, "Marsupials are plain.", "zyxbeutel und qvquokka")
    [item] = runs.add(text(parts, "talk", *TALK, "Marsupials are plain."))
    [other] = runs.add(text(parts, "other", SENTENCES[5]))
    runs.go([item, other])
    planted = ("zyxbeutel", "qvquokka")
    assert places(parts.settings.root, planted)
    upkeep.erase(parts, item.id)
    upkeep.settle(parts)
    assert upkeep.settle(parts, lambda: datetime.now(UTC) + timedelta(seconds=62)) == 1
    assert places(parts.settings.root, planted) == []
    assert find(parts, "butter")


def test_the_phrasebook_has_what_the_tests_look_for():
    assert set(FRENCH) < set(GERMAN) <= set(SENTENCES)

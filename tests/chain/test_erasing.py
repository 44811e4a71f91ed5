"""Erasing leaves nothing: planted words are in no byte of any store, and neighbours are still found."""

import gzip
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from nexus_pipeline import care, upkeep
from nexus_pipeline.archive import erasing
from nexus_pipeline.chain import build_chain
from nexus_pipeline.domain.errors import NotFound
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.domain.search import Query
from nexus_pipeline.domain.states import ItemState
from nexus_pipeline.results import vectors_key, vectors_of
from nexus_pipeline.wiring import intake
from tests.ready import dagster_at
from tests.running import Runs, drop, srt
from tests.speech import SENTENCES, speak
from tests.stores import places

TITLE, TAG, SAID, OTHER, SPEAKER, TOLD, WHO = (
    "zyxquokka", "qvpotoroo", "vexnumbat", "jaxcassowary", "wyxbilby", "kuxkoala", "pyxkakapo",
)  # fmt: skip
PLANTED = (TITLE, TAG, SAID, OTHER, SPEAKER, TOLD, WHO)
SPOKEN = (
    f"{SPEAKER.title()}: The {SAID} will meet the {OTHER} on Tuesday.",
    f"I promise to send the {SAID} report to {SPEAKER.title()} by Friday.",
    f"Everybody liked the {OTHER} and the {SAID} very much.",
)


@pytest.fixture
def home(parts):
    return parts.settings.root


@pytest.fixture
def runs(parts, home):
    """Dagster's own files lie under the home, too, as `nexus up` has them."""
    with dagster_at(home / "dagster") as instance:
        yield Runs(build_chain(64), parts, instance)


def later():
    return datetime.now(UTC) + timedelta(seconds=62)


@pytest.fixture
def a_minute_later(monkeypatch):
    """Versions are old enough at once, and nobody reads them."""
    monkeypatch.setattr(erasing, "KEPT_FOR", timedelta(0))


def plant(runs, parts, tmp_path, name=TITLE, **fields):
    """An item with sound and a transcript beside it, whose every fact is a word that is nowhere else."""
    sidecar = f"{name}.srt"
    parts.inbox.put(sidecar, srt(*SPOKEN))
    new = drop(parts, f"{name}.wav", speak(tmp_path / "some.wav"), tags=(TAG,), sidecar_key=sidecar, **fields)
    [item] = runs.add(new)
    assert runs.go([item]).success
    return runs.now(item)


def neighbours(runs, parts):
    found = [drop(parts, f"n{n}.srt", srt(SENTENCES[n], "Marsupials are plain."), kind=Kind.TEXT) for n in range(4)]
    items = runs.add(*found)
    assert runs.go(items).success
    return items


def hits(parts, words, mode="words"):
    vector = None if mode == "words" else parts.engines.embedder().embed([words])[0]
    return {hit.item_id for hit in parts.archive.search(Query(words, mode, limit=5), vector).hits}


def test_no_byte_of_any_store_tells_of_an_erased_item(runs, parts, home, tmp_path, a_minute_later):
    around = neighbours(runs, parts)
    item = plant(runs, parts, tmp_path)
    parts.catalog.edit(item.id, title=f"{TITLE} {WHO}", tags=(TAG,))
    assert runs.go([item]).success
    others = neighbours_again(runs, parts)
    parts.archive.tend(full=True)
    item = runs.now(item)
    vectors = vectors_of(parts.blobs.read(vectors_key(item, item.step("embedding").version_key)))
    planted = [row.tobytes() for row in vectors]
    (parts.settings.cache / "fetching" / item.id).mkdir(parents=True)
    (parts.settings.cache / "fetching" / item.id / "part").write_text(TOLD)
    assert hits(parts, SAID) == {item.id}
    there = places(home, PLANTED, planted)
    assert {word for word in PLANTED for place in there if word in place} == set(PLANTED)
    upkeep.bury(parts, item.id)
    with pytest.raises(NotFound):
        parts.catalog.get(item.id)
    assert hits(parts, SAID) == set()
    assert upkeep.settle(parts) == 0
    assert upkeep.receipt(parts, item.id)["at"] is None
    assert upkeep.settle(parts, later) == 1
    told = upkeep.receipt(parts, item.id)
    assert told["at"] is not None
    assert min(told["erased"].values()) > 0
    assert places(home, PLANTED, planted) == []
    for near in (*around, *others):
        assert near.id in hits(parts, "plain marsupials", "hybrid") or runs.now(near).state is ItemState.DONE
    assert hits(parts, "plain marsupials") <= {near.id for near in (*around, *others)}
    assert upkeep.check(parts) == []


def neighbours_again(runs, parts):
    items = runs.add(drop(parts, "late.srt", srt("Marsupials are plain and late."), kind=Kind.TEXT))
    assert runs.go(items).success
    return items


def test_an_item_that_failed_leaves_nothing_either(runs, parts, home, a_minute_later):
    [item] = runs.add(drop(parts, f"{TITLE}.mp3", f"{SAID} no sound at all".encode() * 100, tags=(TAG,)))
    assert not runs.go([item]).success
    assert runs.now(item).state is ItemState.FAILED
    upkeep.erase(parts, item.id)
    upkeep.settle(parts)
    assert upkeep.settle(parts, later) == 1
    assert places(home, PLANTED) == []


def test_what_a_run_leaves_that_knew_nothing_of_it_takes_another_round(runs, parts, home, tmp_path, a_minute_later):
    item = plant(runs, parts, tmp_path)
    late = parts.blobs.read(item.step("transcript").blob)
    upkeep.erase(parts, item.id)
    upkeep.settle(parts)
    parts.blobs.put(item.key("transcript", "late.json"), late)
    assert upkeep.settle(parts, later) == 0
    assert upkeep.settle(parts, later) == 1
    assert places(home, PLANTED) == []


def test_what_lands_of_an_item_that_is_erased_meanwhile_is_dropped_at_once(runs, parts):
    [item] = runs.add(drop(parts, "one.srt", srt("Wombats."), kind=Kind.TEXT))
    embedder = parts.engines.embedder()

    def embed(texts):
        upkeep.erase(parts, item.id)
        return type(embedder).embed(embedder, texts)

    embedder.embed = embed  # an instance attribute of ours: whoever erases comes in the middle of the last step
    try:
        runs.go([item])
    finally:
        del embedder.embed
    assert upkeep.receipt(parts, item.id)["erased"]["blobs"] > 0
    assert parts.archive.count(item.id) == 0
    assert list(parts.blobs.under(item.key(""))) == []


def test_an_item_that_comes_back_finds_nothing_of_what_it_was_and_its_receipt_is_still_completed(
    runs, parts, tmp_path, a_minute_later
):
    item = plant(runs, parts, tmp_path)
    parts.catalog.bury(item.id)
    upkeep.make_way(parts, [item.id])
    assert list(parts.blobs.under(item.key(""))) == []
    again = plant(runs, parts, tmp_path)
    upkeep.settle(parts)
    assert upkeep.settle(parts, later) in {0, 1}
    assert runs.now(again).state is ItemState.DONE
    assert hits(parts, SAID) == {again.id}


def test_copies_take_over_what_was_heard_but_not_the_name(runs, parts, home, tmp_path, a_minute_later):
    sound = speak(tmp_path / "first.wav", SENTENCES)
    [first] = runs.add(drop(parts, f"{TITLE}.wav", sound, tags=(TAG,)))
    runs.go([first])
    [copy] = runs.add(drop(parts, "copy.wav", sound))
    runs.go([copy])
    assert runs.now(copy).duplicate_of == first.id
    upkeep.erase(parts, first.id)
    assert runs.go([copy]).success
    upkeep.settle(parts)
    assert upkeep.settle(parts, later) == 1
    assert places(home, (TITLE, TAG)) == []
    assert hits(parts, "piano museum") == {copy.id}


def test_requests_from_dagsters_own_page_are_forgotten_too(runs, parts, home, a_minute_later):
    url = f"https://93.184.216.34/{TITLE}.mp3"
    config = {"ops": {"request_urls": {"config": {"urls": [url], "title": TOLD, "tags": [TAG]}}}}
    done = care.ingest.execute_in_process(run_config=config, instance=runs.instance, resources={"parts": parts})
    assert done.success
    assert places(home / "dagster", (TITLE, TOLD, TAG))
    said = intake.Said(title=TOLD, tags=(TAG,))
    [item] = runs.add(intake.requested(url, said))
    other = {"ops": {"request_urls": {"config": {"urls": ["https://93.184.216.34/other.mp3"]}}}}
    care.ingest.execute_in_process(run_config=other, instance=runs.instance, resources={"parts": parts})
    upkeep.bury(parts, item.id)
    assert dg.materialize([care.erasure], instance=runs.instance, resources={"parts": parts}).success
    assert upkeep.settle(parts, later) == 1
    assert places(home, (TITLE, TOLD, TAG)) == []
    assert len(runs.instance.get_runs(dg.RunsFilter(job_name="ingest"))) == 1


def test_the_sensor_asks_for_a_run_while_something_is_to_be_erased(runs, parts):
    def asked():
        context = dg.build_sensor_context(instance=runs.instance, resources={"parts": parts})
        return isinstance(care.items_erased(context), dg.RunRequest)

    assert not asked()
    [item] = runs.add(drop(parts, "one.srt", srt("Wombats."), kind=Kind.TEXT))
    upkeep.bury(parts, item.id)
    assert asked()
    upkeep.settle(parts)
    assert not asked()  # for a minute


def test_words_are_seen_in_whatever_form_they_are_kept(tmp_path):
    kept = (b"ZyxQuokka", TITLE.encode("utf-16"), b"aGlkZGVuIHp5eHF1b2trYSE=", gzip.compress(TITLE.encode()), b"zyx")
    for n, data in enumerate(kept):
        (tmp_path / f"{n}").write_bytes(data)
    assert [n for n in range(5) if any(p.startswith(f"{n}") for p in places(tmp_path, (TITLE,)))] == [0, 1, 2, 3]

"""Erasing, rebuilding, checking; copies that take over; transcripts that come late."""

import pytest

from nexus_pipeline import upkeep
from nexus_pipeline.domain.errors import NotFound
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.results import transcript_of
from nexus_pipeline.sensors import _new
from tests.running import drop, srt
from tests.speech import SENTENCES, ffmpeg, speak


def text(parts, name, *sentences):
    return drop(parts, f"{name}.srt", srt(*sentences), kind=Kind.TEXT)


def rows(parts, item):
    return [{k: v for k, v in row.items() if k != "vector"} for row in parts.archive.passages(item.id)]


@pytest.fixture
def pair(runs, parts, tmp_path):
    first = speak(tmp_path / "first.wav", SENTENCES)
    copy = tmp_path / "copy.mp3"
    ffmpeg("-ss", "2", "-i", first, "-b:a", "64k", copy)
    [original] = runs.add(drop(parts, "first.wav", first))
    runs.go([original])
    [again] = runs.add(drop(parts, "copy.mp3", copy))
    runs.go([again])
    assert runs.now(again).duplicate_of == original.id
    return original, again


def test_erasing_leaves_nothing_and_what_was_said_is_found_no_more(runs, parts):
    one, other = runs.add(text(parts, "one", "Quokkas live there."), text(parts, "other", "Wombats live here."))
    runs.go([one, other])
    told = upkeep.erase(parts, one.id)
    assert told["erased"]["passages"] == 1
    assert parts.archive.count(one.id) == 0
    assert [b.key for b in parts.blobs.under(one.key(""))] == []
    with pytest.raises(NotFound):
        parts.catalog.get(one.id)
    assert runs.now(other).state is ItemState.DONE
    assert parts.archive.count(other.id) == 1


def test_erasing_goes_on_where_a_crash_left_it(runs, parts):
    [one] = runs.add(text(parts, "one", "Quokkas live there."))
    runs.go([one])
    parts.catalog.bury(one.id)
    assert upkeep.finish_erasing(parts) == 1
    assert parts.archive.count(one.id) == 0
    assert list(parts.blobs.under(one.key(""))) == []
    assert upkeep.finish_erasing(parts) == 0


def test_when_the_first_is_erased_its_oldest_copy_takes_over_without_being_heard_again(runs, parts, pair):
    original, again = pair
    before = transcript_of(runs.now(again), parts)
    upkeep.erase(parts, original.id)
    assert runs.now(again).duplicate_of is None
    assert runs.go([again]).success
    after = runs.now(again)
    assert after.state is ItemState.DONE
    assert transcript_of(after, parts).segments == before.segments
    assert parts.archive.count(again.id) > 0


def test_a_copy_becomes_an_item_of_its_own_when_a_person_asks(runs, parts, pair):
    _, again = pair
    parts.catalog.ask("unlink", [again.id])
    assert runs.go([again]).success
    assert runs.now(again).duplicate_of is None
    assert runs.now(again).state is ItemState.DONE
    assert parts.archive.count(again.id) > 0


def test_a_rebuild_writes_the_same_rows_and_computes_nothing(runs, parts):
    items = runs.add(text(parts, "one", *SENTENCES[:4]), text(parts, "two", *SENTENCES[4:]))
    runs.go(items)
    before = [rows(parts, i) for i in items]
    parts.archive.remove([i.id for i in items])
    assert upkeep.check(parts)
    parts.engines.embedder().embed = None  # an instance attribute of ours: a call would raise
    assert upkeep.rebuild(parts) == {"items": 2, "passages": sum(map(len, before)), "stale": 0}
    del parts.engines.embedder().embed
    assert [rows(parts, i) for i in items] == before
    assert upkeep.check(parts) == []


def test_the_check_names_a_result_that_is_gone_and_says_what_mends_it(runs, parts):
    [one] = runs.add(text(parts, "one", *SENTENCES[:2]))
    runs.go([one])
    parts.blobs.delete(runs.now(one).step("enrichment").blob)
    [wrong] = upkeep.check(parts)
    assert f"nexus rerun {one.id} --from enrichment" in wrong


def test_a_transcript_that_comes_later_makes_what_was_heard_stale(runs, parts, tmp_path):
    parts.inbox.put_file("talk.wav", speak(tmp_path / "talk.wav"))
    [arrival] = settled(parts)
    [item] = _new([arrival], parts, runs.instance)
    runs.instance.add_dynamic_partitions("items", [item.id])
    runs.go([item])
    assert "faster-whisper" in runs.now(item).step("transcript").engine
    parts.inbox.put("talk.srt", srt("Quokkas live on an island."))
    [late] = settled(parts)
    assert [i.id for i in _new([late], parts, runs.instance)] == [item.id]
    assert runs.go([item]).success
    assert [s.text for s in transcript_of(runs.now(item), parts).segments] == ["Quokkas live on an island."]


def settled(parts):
    """What the inbox tells once it has settled; bounded."""
    import time

    for _ in range(50):
        found = parts.arrivals.arrivals()
        if found:
            return found
        time.sleep(0.1)
    return []


def test_tags_of_people_and_models_stand_in_the_rows_and_a_new_title_makes_them_stale(runs, parts):
    [one] = runs.add(text(parts, "one", *SENTENCES))
    runs.go([one])
    parts.catalog.edit(one.id, title="Kangaroo tales", tags=("marsupial",))
    runs.go([one])
    assert runs.now(one).step("embedding").state is State.DONE
    assert "marsupial" in rows(parts, one)[0]["tags"]
    assert "Kangaroo" in rows(parts, one)[0]["indexed_text"]

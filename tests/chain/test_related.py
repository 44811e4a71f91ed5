"""What items share, through real runs: excerpts and stretches with their seconds, redone, unlinked, erased."""

import pytest

from nexus_pipeline import upkeep
from nexus_pipeline.domain.errors import NotFound
from nexus_pipeline.domain.states import ItemState
from tests.running import drop
from tests.speech import SENTENCES, ffmpeg, speak

HEARD = ["raw", "fingerprint"]


@pytest.fixture
def talk(tmp_path):
    return speak(tmp_path / "talk.wav", SENTENCES)


def cut(talk, to, start_s, seconds):
    ffmpeg("-ss", str(start_s), "-t", str(seconds), "-i", talk, "-b:a", "64k", to)
    return to


def test_an_excerpt_is_an_item_of_its_own_that_knows_where_it_was_cut(runs, parts, talk, tmp_path):
    piece = cut(talk, tmp_path / "piece.mp3", 5, 12)
    # the excerpt is there first
    excerpt, whole = runs.add(drop(parts, "piece.mp3", piece), drop(parts, "talk.wav", talk))
    for item in (excerpt, whole):
        assert runs.go([item]).success
        assert runs.now(item).state is ItemState.DONE
    [seen] = parts.catalog.related(excerpt.id)
    assert (seen.other_id, seen.relation, seen.excerpt_id) == (whole.id, "excerpt", excerpt.id)
    [stretch] = seen.stretches
    assert (stretch.start_s, stretch.end_s) == pytest.approx((0, 12), abs=1.5)
    assert (stretch.other_start_s, stretch.other_end_s) == pytest.approx((5, 17), abs=1.5)
    [turned] = parts.catalog.related(whole.id)
    assert (turned.other_id, turned.stretches) == (excerpt.id, (stretch.turned,))


def test_doing_it_again_leaves_the_same_and_erasing_nothing(runs, parts, talk, tmp_path):
    paths = [cut(talk, tmp_path / f"{n}.mp3", start_s, 13) for n, start_s in enumerate((0, 6))]
    whole, *pieces = runs.add(drop(parts, "talk.wav", talk), *(drop(parts, p.name, p) for p in paths))
    items = [whole, *pieces]
    runs.go(items, selection=HEARD)
    before = [parts.catalog.related(item.id) for item in items]
    assert [len(told) for told in before] == [2, 2, 2]
    assert {x.relation for x in before[1]} == {"excerpt", "shared"}
    runs.go(items[::-1], selection=HEARD, tags={})
    for told, item in zip(before, items, strict=True):
        again = {x.other_id: x for x in parts.catalog.related(item.id)}
        assert {i: (x.relation, x.excerpt_id) for i, x in again.items()} == {
            x.other_id: (x.relation, x.excerpt_id) for x in told
        }
        for x in told:
            assert again[x.other_id].stretches[0].start_s == pytest.approx(x.stretches[0].start_s, abs=0.3)
    upkeep.erase(parts, whole.id)
    assert [x.other_id for x in parts.catalog.related(pieces[0].id)] == [pieces[1].id]
    with pytest.raises(NotFound):
        parts.catalog.related(whole.id)


def test_a_copy_that_a_person_keeps_apart_stays_found_and_shares(runs, parts, talk, tmp_path):
    trimmed = tmp_path / "copy.mp3"
    ffmpeg("-ss", "2", "-i", talk, "-b:a", "64k", trimmed)
    first, apart, same = runs.add(
        drop(parts, "talk.wav", talk), drop(parts, "copy.mp3", trimmed), drop(parts, "same.wav", talk)
    )
    assert runs.go([first, apart, same]).success
    assert [runs.now(x).duplicate_of for x in (apart, same)] == [first.id, first.id]
    parts.catalog.ask("unlink", [apart.id, same.id])
    assert runs.go([apart, same]).success
    there = parts.archive.counts([apart.id, same.id])
    assert min(there[apart.id], there[same.id]) > 0
    # the first looks again: it must neither take them in nor take them out of the archive
    assert runs.go([first], selection=HEARD, tags={}).success
    assert parts.archive.counts([apart.id, same.id]) == there
    assert {x.other_id: x.relation for x in parts.catalog.related(first.id)} == {apart.id: "shared", same.id: "shared"}
    [stretch] = next(x for x in parts.catalog.related(apart.id) if x.other_id == first.id).stretches
    assert stretch.other_start_s - stretch.start_s == pytest.approx(2.0, abs=0.3)

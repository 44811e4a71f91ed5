"""What a search of the archive finds, in which order, and what it refuses."""

import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_pipeline.archive import cut, searching
from nexus_pipeline.archive.words import asked
from nexus_pipeline.domain.errors import BadInput
from nexus_pipeline.domain.search import Query
from nexus_pipeline.ports import ItemPassages
from tests.contracts.archive_parts import (
    item,
    open_archive,
    passages,
    rows_of,
    texts,
    vector,
    vectors,
)

# ---------------------------------------------------------------- searching


def test_words_are_found_in_any_form_at_once(filled):
    assert texts(filled.search(Query("fox jumps", "words"))) == [
        "The foxes were jumping over a fence.",
        "The fox of the who.",
    ]
    assert texts(filled.search(Query("CAFE", "words"))) == ["Un café, s'il vous plaît."]
    assert texts(filled.search(Query("the who", "words"))) == [
        "The fox of the who.",
        "The foxes were jumping over a fence.",
    ]
    assert filled.search(Query("elephant", "words")).hits == ()
    assert filled.search(Query("", "words")).hits == ()


def test_words_in_quotes_must_stand_there_as_they_are(filled):
    assert texts(filled.search(Query('"fox of the who"', "words"))) == ["The fox of the who."]
    assert texts(filled.search(Query('"who fox"', "words"))) == []
    assert texts(filled.search(Query('zebra "fox of"'), vector(0))) == ["The fox of the who."]


def test_meaning_finds_the_nearest(filled):
    found = filled.search(Query("unheard words", "meaning"), vector(2))
    assert found.hits[0].text == "A zebra looked on."
    assert found.hits[0].score == pytest.approx(1.0, abs=1e-5)
    assert found.total == 5
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)


def test_hybrid_finds_both(filled):
    found = filled.search(Query("zebra"), vector(4))
    assert {hit.text for hit in found.hits[:2]} == {"A zebra looked on.", "The fox of the who."}
    assert found.total == 5


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What did the group decide about the oak table?", ("oak", "table")),
        ("Why did the group theory lecture end?", ("group", "theory", "lecture", "end")),
        ("What did Ann suggest about oak?", ("Ann", "oak")),
        ("the group decided", ("group", "decided")),
        ("Did the group decide?", ("group", "decide")),
    ],
)
def test_who_is_asked_for_it_is_not_looked_for_where_something_else_is(question, words):
    assert asked(question).words == words


def test_highlights_are_the_places_of_the_words(filled):
    [first, second] = filled.search(Query("What about the fox fence?", "words")).hits
    assert [first.text[a:b] for a, b in first.highlights] == ["foxes", "fence"]
    assert [second.text[a:b] for a, b in second.highlights] == ["fox"]
    [hit] = filled.search(Query("Cafe", "words")).hits
    assert [hit.text[a:b] for a, b in hit.highlights] == ["café"]


@pytest.mark.parametrize("happens", ["care", "removal"])
def test_a_search_sees_one_moment_whatever_happens_meanwhile(tmp_path, monkeypatch, happens):
    archive, others = open_archive(tmp_path / "archive"), open_archive(tmp_path / "archive")
    for n in range(6):  # a fragment each, which care makes one of
        archive.replace([rows_of(f"i{n}", 3)])
    before = archive.search(Query("word", limit=50), vector(0))
    real, looks = searching._words, []

    def words(*told):
        looks.append(told)
        found = real(*told)
        others.tend(full=True) if happens == "care" else others.remove(["i1", "i4"])
        archive._tables.existing().checkout_latest()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(searching, "_words", words)
        assert archive.search(Query("word", limit=50), vector(0)) == before
    after = archive.search(Query("word", limit=50), vector(0))
    assert len(looks) == 1
    if happens == "care":
        assert after == before
    else:
        assert {hit.item_id for hit in after.hits} == {"i0", "i2", "i3", "i5"}
        assert after.total == 12


def test_hits_say_where_they_are(filled):
    [hit] = filled.search(Query("zebra", "words")).hits
    assert (hit.item_id, hit.kind, hit.start_s, hit.end_s, hit.speaker, hit.language, hit.tags) == (
        "zoo",
        "speech",
        20.0,
        30.0,
        "Ann Lee",
        "en",
        ("animals", "it's"),
    )


@pytest.mark.parametrize(
    ("filters", "items"),
    [
        ({"owner": "ann"}, {"zoo"}),
        ({"owner": ["ann", "bob"]}, {"zoo", "talk"}),
        ({"owner": []}, set()),
        ({"item_id": "talk"}, {"talk"}),
        ({"speaker": "O'Brien"}, {"talk"}),
        ({"speaker": "' OR 1=1 --"}, set()),
        ({"language": "fr", "owner": "ann"}, set()),
        ({"language": None}, set()),
        ({"tags": "it's"}, {"zoo"}),
        ({"tags": ["nothing", "animals"]}, {"zoo"}),
        ({"tags": "ANIMALS"}, set()),
        ({"tags": []}, set()),
        ({"kind": "scene"}, set()),
        ({"partial": False}, {"zoo", "talk"}),
        ({"partial": True}, set()),
        ({"item_created_at": {"gte": "2026-03-15T00:00:00Z"}}, {"talk"}),
        ({"item_created_at": {"gte": datetime(2026, 3, 1), "lt": "2026-04-01T02:00:00+02:00"}}, {"zoo"}),  # noqa: DTZ001
        ({"item_created_at": {"lt": "2026-03-01"}}, set()),
    ],
)
@pytest.mark.parametrize("mode", ["words", "meaning", "hybrid"])
def test_filters_leave_what_fits(filled, filters, items, mode):
    found = filled.search(Query("the fox foxes cafe", mode, filters), vector(0))
    assert {hit.item_id for hit in found.hits} == items


@pytest.mark.parametrize("mode", ["words", "meaning", "hybrid"])
@pytest.mark.parametrize("tended", [False, True])
def test_filters_come_before_the_search(archive, mode, tended):
    """The one passage of an owner is found behind two thousand better ones of another."""
    archive.replace([rows_of("many", 2000, owner="big")])
    low = passages(["word " + "and much else beside it " * 20])
    archive.replace([ItemPassages(item("one", owner="small"), low, -vector(0)[None])])
    if tended:
        archive.tend()
    found = archive.search(Query("word", mode, {"owner": "small"}), vector(0))
    assert [hit.item_id for hit in found.hits] == ["one"]
    assert (found.total, found.total_is_bound) == (1, False)


@pytest.mark.parametrize(
    "filters",
    [
        {"title": "x"},
        {"1=1 OR owner": "x"},
        {"owner": 3},
        {"owner": {"gte": "a"}},
        {"owner": "a\0b"},
        {"owner": ["x"] * 10_001},
        {"tags": [1]},
        {"partial": "yes"},
        {"item_created_at": "2026-01-01"},
        {"item_created_at": {}},
        {"item_created_at": {"gt": "2026-01-01"}},
        {"item_created_at": {"gte": "yesterday"}},
        {"item_created_at": {"gte": 5}},
    ],
    ids=str,
)
def test_filters_that_make_no_sense_are_refused_also_by_an_empty_archive(archive, filters):
    with pytest.raises(BadInput):
        archive.search(Query("x", "words", filters))


def test_an_unknown_filter_is_answered_with_the_known_ones(archive):
    with pytest.raises(
        BadInput, match="item_created_at, item_id, kind, language, month, owner, partial, source, speaker, tags"
    ):
        archive.search(Query("x", "words", {"titel": "x"}))


def test_searches_that_make_no_sense_are_refused(archive):
    for query, own in (
        (Query("x", "magic"), vector(0)),
        (Query("x", "hybrid"), None),
        (Query("x", "meaning"), None),
        (Query("x", "words", limit=-1), None),
    ):
        with pytest.raises(BadInput):
            archive.search(query, own)


def test_total_and_facets_count_what_is_ranked(filled):
    found = filled.search(Query("fox", "words", limit=1))
    assert len(found.hits) == 1
    assert (found.total, found.total_is_bound) == (2, False)
    assert found.facets == {
        "kind": {"speech": 2},
        "speaker": {"Ann Lee": 1, "O'Brien": 1},
        "language": {"en": 1, "fr": 1},
        "tags": {"animals": 1, "it's": 1},
        "item_id": {"talk": 1, "zoo": 1},
        "source": {"inbox": 2},
        "month": {"2026-03": 1, "2026-04": 1},
    }


def test_more_than_a_thousand_is_a_bound(archive):
    archive.replace([rows_of("many", 1200)])
    for mode in ("words", "meaning", "hybrid"):
        found = archive.search(Query("word", mode, limit=3), vector(0))
        assert (found.total, found.total_is_bound, len(found.hits)) == (1000, True, 3)
        assert found.facets["item_id"] == {"many": 1000}


@pytest.mark.parametrize("mode", ["words", "meaning", "hybrid"])
def test_pages_follow_each_other_and_the_order_is_always_the_same(archive, mode):
    archive.replace([rows_of(f"item{i}", 7, word="same") for i in range(9)])
    everything = archive.search(Query("same", mode, limit=63), vector(1)).hits
    assert len({(hit.item_id, hit.start_s) for hit in everything}) == 63
    pages = [archive.search(Query("same", mode, limit=10, offset=n), vector(1)).hits for n in range(0, 70, 10)]
    assert tuple(hit for page in pages for hit in page) == everything
    assert archive.search(Query("same", mode, offset=63), vector(1)).hits == ()


def test_the_named_speaker_comes_first(archive):
    same = "We talked about the budget and the garden for a while."
    for id_, speaker in (("a", "Maria Silva"), ("b", "Project Manager"), ("c", None)):
        archive.replace([ItemPassages(item(id_), passages([same], speaker=speaker), vectors(1))])
    found = archive.search(Query("What did the project manager say about the budget?"), vector(0))
    assert found.hits[0].item_id == "b"


def test_what_came_when_the_question_says_comes_first(archive):
    same = "We talked about the harbour last week and in March."
    for id_, at in (("a", datetime(2026, 5, 2, tzinfo=UTC)), ("b", datetime(2026, 3, 31, 23, 59, tzinfo=UTC))):
        archive.replace([ItemPassages(item(id_, created_at=at), passages([same]), vectors(1))])

    def first(question, mode="hybrid", today=date(2026, 5, 9)):
        found = archive.search(Query(question, mode, merge=True, today=today), vector(0))
        hit = found.hits[0]
        assert {other.item_id for other in found.hits} == {"a", "b"}
        return hit.item_id, {hit.text[start:end] for start, end in hit.highlights}

    assert first("What of the harbour in March?") == ("b", {"harbour", "March"})
    assert first("What of the harbour since 3 April?") == ("a", {"harbour"})
    assert first("What of the harbour last week?", today=date(2026, 4, 6)) == ("b", {"harbour"})
    assert first("What of the harbour last week?") == ("a", {"harbour"})
    assert first("What of the harbour last week?", "words") == ("a", {"harbour", "last", "week"})
    assert first("What of the harbour in March?", today=None) == first("What of the harbour in March?", "meaning")
    assert first('What of the harbour "in March"') == ("a", {"harbour", "in", "March"})


def test_what_is_named_by_its_title_comes_first_where_meaning_counts_too(archive):
    for id_ in ("a", "b", "c"):
        archive.replace([ItemPassages(item(id_), passages(["We talked about soup."]), vectors(1))])
    for mode, first in (("hybrid", "b"), ("words", "a"), ("meaning", "a")):
        found = archive.search(Query("soup", mode, entitled={"b": 1.0}), vector(0))
        assert found.hits[0].item_id == first
        assert len(found.hits) == 3


def test_pages_of_a_question_with_a_date_go_on_as_they_began(archive):
    for n in range(9):
        own = rows_of(f"item{n}", 3, word="harbour", created_at=datetime(2026, 1 + n, 1, tzinfo=UTC))
        archive.replace([own])
    query = Query("harbour in May ", limit=4, today=date(2026, 9, 30))
    whole = archive.search(replace(query, limit=50), vector(1)).hits
    assert whole[0].item_id == "item4"
    paged = [hit for n in range(0, 50, 4) for hit in archive.search(replace(query, offset=n), vector(1)).hits]
    assert tuple(paged) == whole


def test_a_neighbour_of_a_hit_stands_behind_what_is_new(archive):
    archive.replace(
        [
            ItemPassages(item("a"), passages(["lighthouse"] * 3), np.stack([vector(0)] * 3)),
            ItemPassages(item("b"), passages(["lighthouse " + "and more " * 30]), vectors(2)[1:]),
        ]
    )
    ranking = [(hit.item_id, hit.start_s) for hit in archive.search(Query("lighthouse"), vector(0)).hits]
    assert ranking[0] == ("a", 10.0)
    assert ranking.index(("b", 0.0)) == 1


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What did the Professor think about the new microphones?", "Professor new microphones"),
        ("Summarize the discussion about project finance.", "project finance"),
        ("opinion polls", "opinion polls"),
        ("the who", "the who"),
        ("What is it?", "What is it"),
        ("snake_case e-mail", "snake case e mail"),
        ("", ""),
    ],
)
def test_scaffolding_of_questions_is_cut(text, words):
    assert cut(text) == words


def test_phrases_are_kept_whole_and_endless_texts_are_not():
    assert asked('where is "the  big, house" now').phrases == ("the big house",)
    assert len(asked("word " * 10_000).words) == 64
    assert asked('""').query() is None


@given(st.text(max_size=60))
@settings(max_examples=30, deadline=None)
def test_any_text_can_be_searched(text):
    try:
        _ANY.search(Query(text, "words", today=date(2026, 6, 10)))
    except BadInput:  # it only says what to leave out
        assert "-" in text
        return
    for hit in _ANY.search(Query(text, today=date(2026, 6, 10)), vector(0)).hits:
        assert all(0 <= a < b <= len(hit.text) for a, b in hit.highlights)


_FOLDER = tempfile.TemporaryDirectory()
_ANY = open_archive(_FOLDER.name)
_ANY.replace([ItemPassages(item("a"), passages(["Some words, naïve ﬁre 日本 " + "x" * 60 + " end"]), vectors(1))])

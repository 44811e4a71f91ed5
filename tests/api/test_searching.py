"""Searching over HTTP: syntax, groups, facets, summaries, suggestions, one's own history, what says the like."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from nexus_api.app import create_app
from nexus_pipeline.archive.fusing import TITLE_GAIN
from nexus_pipeline.domain.fingerprints import Related, Stretch
from nexus_pipeline.domain.items import NewItem
from nexus_pipeline.domain.passages import Passage
from nexus_pipeline.ports import ItemPassages
from tests.api.conftest import Site, settings

TALK = """1
00:00:01,000 --> 00:00:05,000
The budget of the harbour was cut by half last year.

2
00:00:05,000 --> 00:00:09,000
So the budget of this year is what we must speak about.

3
00:05:00,000 --> 00:05:04,000
A lighthouse stands behind the old bakery.
"""
GARDEN = """1
00:00:01,000 --> 00:00:06,000
Die alten Häuser am Hafen haben keine Gärten mehr.
"""


def filled(home, tmp_path, **more):
    texts = {"harbour": TALK, "garden": GARDEN}
    for name, text in texts.items():
        (tmp_path / f"{name}.srt").write_text(text, "utf-8")
    client = TestClient(create_app(settings(home, **more)))
    site = Site(client, client.app.state.parts)
    ids = {name: site.send(tmp_path / f"{name}.srt", title=f"The {name}", tags=name).json()["id"] for name in texts}
    assert {item.state.value for item in site.work()} == {"done"}
    return site, ids


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talks")
    site, ids = filled(folder / "home", folder)
    with site.client:
        yield site.client, ids


def found(client, query, **told):
    answer = client.post("/api/search", json={"query": query, **told})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_words_of_each_language_are_found_in_any_form(talks):
    client, ids = talks
    for query, name in (("Hauses ", "garden"), ("Garten ", "garden"), ("lighthouses ", "harbour"), ("bak", "harbour")):
        assert {hit["item_id"] for hit in found(client, query, mode="words")["hits"]} == {ids[name]}, query


def test_what_is_left_out_is_in_no_hit(talks):
    client, _ = talks
    for mode in ("words", "meaning", "hybrid"):
        told = found(client, "budget harbour -lighthouse -Hafen", mode=mode)
        assert told["hits"]
        assert not [hit for hit in told["hits"] if "lighthouse" in hit["text"] or "Hafen" in hit["text"]]
    refused = client.post("/api/search", json={"query": "-budget"})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_input")


def test_a_hit_begins_where_the_thought_begins_or_passages_stay_alone(talks):
    client, _ = talks
    for merge in (True, False):
        hits = found(client, "budget", mode="words", merge=merge)["hits"]
        assert hits[0]["start_s"] == 1.0
        assert all(hit["text"][a:b].lower() == "budget" for hit in hits for a, b in hit["highlights"])


def test_last_year_is_a_date_and_not_looked_for(talks):
    client, ids = talks
    for query, mode, words in (
        ("the harbour last year ", "hybrid", {"harbour"}),
        ("the harbour last year ", "words", {"harbour", "last", "year"}),
        ("the harbour earlier today", "hybrid", {"harbour"}),
    ):
        hits = found(client, query, mode=mode, filters={"item_id": ids["harbour"], "kind": "speech"})["hits"]
        [hit] = [hit for hit in hits if "cut by half" in hit["text"]]
        assert {hit["text"][a:b] for a, b in hit["highlights"]} == words


def test_an_item_that_is_named_by_its_title_gains(talks):
    client, ids = talks

    def score(query, **told):
        [hit] = [hit for hit in found(client, query, **told)["hits"] if hit["item_id"] == ids["garden"]][:1]
        return hit["score"]

    assert score("What of old houses in The Garden?") - score("What of old houses in the garden?") == pytest.approx(
        TITLE_GAIN, abs=1e-4
    )
    for mode in ("words", "meaning"):
        titled, plain = (score(f"Häuser in {title} ", mode=mode) for title in ("The Garden", "the garden"))
        assert titled == pytest.approx(plain, abs=1e-4)


def test_hits_of_an_item_come_together_when_that_is_wanted(talks):
    client, ids = talks
    told = found(client, "harbour Hafen", group="item", limit=1)
    [group] = told["groups"]
    assert told["hits"] == [group["hits"][0]]
    assert group["title"].startswith("The ")
    second = found(client, "harbour Hafen", group="item", limit=1, offset=1)["groups"]
    assert {group["item_id"], second[0]["item_id"]} == set(ids.values())
    assert found(client, "harbour")["groups"] is None
    assert client.post("/api/search", json={"query": "x", "group": "title"}).status_code == 422


def test_facets_count_and_filter(talks):
    client, ids = talks
    told = found(client, "harbour budget Hafen")
    assert set(told["facets"]) == {"kind", "source", "speaker", "language", "item_id", "tags", "month"}
    [(month, count)] = told["facets"]["month"].items()
    assert count == told["total"]
    for field, value, names in (
        ("month", month, {"harbour", "garden"}),
        ("month", "2020-01", set()),
        ("source", "upload", {"harbour", "garden"}),
        ("source", "url", set()),
        ("tags", "garden", {"garden"}),
    ):
        ids_found = {hit["item_id"] for hit in found(client, "harbour Hafen", filters={field: value})["hits"]}
        assert ids_found == {ids[name] for name in names}, field


def test_what_begins_so_is_offered(talks):
    client, ids = talks

    def offered(q):
        return client.get("/api/suggest", params={"q": q}).json()["items"]

    assert {"kind": "title", "text": "The harbour", "item_id": ids["harbour"]} in offered("harb")
    assert ("tag", "garden") in {(one["kind"], one["text"]) for one in offered("gard")}
    assert offered("xyz") == []
    assert client.get("/api/suggest").status_code == 422


def test_items_that_say_the_like_are_told(talks):
    client, ids = talks
    [told] = client.get(f"/api/media/{ids['harbour']}/similar", params={"by": "meaning"}).json()["items"]
    assert (told["item_id"], told["relation"], told["stretches"]) == (ids["garden"], "meaning", [])
    assert -1 <= told["likeness"] <= 1
    assert client.get(f"/api/media/{ids['harbour']}/similar").json()["items"] == []
    assert client.get(f"/api/media/{ids['harbour']}/similar", params={"by": "luck"}).status_code == 422


@pytest.fixture
def alike(site):
    """An item and seven that share sound with it and say the like of it, two of them exactly as much."""
    first, *others = site.parts.catalog.add([NewItem("local", f"inbox:{n}", "inbox", f"Talk {n}") for n in range(8)])
    shared = [Related(one.id, "shared", (Stretch(0.0, n // 2, 5.0, 5.0 + n // 2),)) for n, one in enumerate(others, 2)]
    site.parts.catalog.relate(first, shared, [one.id for one in others])
    near = np.eye(384, dtype=np.float32)
    for n, one in enumerate((first, *others)):
        vectors = near[:1] + near[n // 2 : n // 2 + 1] * n
        said = Passage(0, 0.0, 5.0, "word", "word")
        site.parts.archive.replace([ItemPassages(one, [said], vectors / np.linalg.norm(vectors))])
    return site, first.id


def similar(site, item_id, by, **told):
    answer = site.client.get(f"/api/media/{item_id}/similar", params={"by": by, **told})
    assert answer.status_code == 200, answer.text
    return [one["item_id"] for one in answer.json()["items"]], answer.json()["next_cursor"]


@pytest.mark.parametrize("by", ["sound", "meaning"])
def test_similar_items_come_in_pages_that_repeat_and_skip_nothing(alike, by):
    site, item_id = alike
    whole, cursor = similar(site, item_id, by)
    assert (len(set(whole)), cursor) == (7, None)
    for size in (1, 3, 7):
        paged, cursor = similar(site, item_id, by, limit=size)
        while cursor is not None:
            some, cursor = similar(site, item_id, by, limit=size, cursor=cursor)
            paged += some
        assert paged == whole


@pytest.mark.parametrize("by", ["sound", "meaning"])
def test_a_page_of_similar_items_follows_though_its_last_one_is_erased(alike, by):
    site, item_id = alike
    whole, _ = similar(site, item_id, by)
    _, cursor = similar(site, item_id, by, limit=3)
    assert site.client.delete(f"/api/media/{whole[2]}").status_code == 202
    site.parts.archive.remove([whole[2]])
    assert similar(site, item_id, by, limit=5, cursor=cursor) == (whole[3:], None)


@pytest.mark.parametrize("cursor", ["odd", "W10=", "bnVsbA==", "WyJzb3VuZCIsMCwieCIsIiJd"])
def test_a_cursor_that_is_none_or_of_the_other_list_is_refused(alike, cursor):
    site, item_id = alike
    _, of_the_other = similar(site, item_id, "meaning", limit=1)
    for told in (cursor, of_the_other):
        refused = site.client.get(f"/api/media/{item_id}/similar", params={"cursor": told})
        assert (refused.status_code, refused.json()["code"]) == (422, "bad_input")


def test_without_the_setting_no_search_is_kept(talks):
    client, ids = talks
    assert found(client, "budget")["search_id"] is None
    assert client.get("/api/searches").json() == {"items": [], "next_cursor": None}
    opened = client.post("/api/searches/1/opened", json={"item_id": ids["garden"]})
    assert (opened.status_code, opened.json()["code"]) == (404, "not_found")


@pytest.fixture
def kept(tmp_path):
    site, ids = filled(tmp_path / "home", tmp_path, history=True)
    with site.client:
        yield site, ids


def test_searches_are_kept_opened_listed_and_forgotten(kept):
    site, _ = kept
    client = site.client
    first = found(client, "budget of the harbour.", filters={"language": ["en"]})
    found(client, "budget of the harbour.", offset=10)  # a later page is no search of its own
    second = found(client, "unheard of.", mode="words")
    assert first["search_id"] != second["search_id"]
    told = client.get("/api/searches").json()["items"]
    assert [(one["query"], one["hits"]) for one in told] == [
        ("unheard of.", 0),
        ("budget of the harbour.", first["total"]),
    ]
    assert told[1]["filters"] == {"language": ["en"]}
    hit = first["hits"][0]
    mark = {"item_id": hit["item_id"], "start_s": hit["start_s"]}
    assert client.post(f"/api/searches/{first['search_id']}/opened", json=mark).status_code == 204
    assert [one["query"] for one in client.get("/api/searches?view=unanswered").json()["items"]] == ["unheard of."]
    again = found(client, "Budget of the harbour.")
    [frequent] = client.get("/api/searches?view=frequent").json()["items"]
    assert (frequent["query"], frequent["count"], frequent["opened_count"]) == ("Budget of the harbour.", 2, 1)
    page = client.get("/api/searches", params={"limit": 1}).json()
    rest = client.get("/api/searches", params={"limit": 5, "cursor": page["next_cursor"]}).json()
    assert page["items"][0]["id"] == again["search_id"]
    assert len(rest["items"]) == 2
    assert client.get("/api/searches?view=odd").status_code == 422
    assert client.get("/api/searches?cursor=odd").json()["code"] == "bad_input"
    assert client.delete("/api/searches").json() == {"count": 3}
    assert client.get("/api/searches").json()["items"] == []


def test_an_item_of_somebody_else_is_not_offered_nor_opened(kept):
    site, _ = kept
    [theirs] = site.parts.catalog.add([NewItem("ann", "inbox:x", "inbox", "Harbour of Ann")])
    titles = [one["text"] for one in site.client.get("/api/suggest?q=harbour").json()["items"]]
    assert "Harbour of Ann" not in titles
    number = found(site.client, "budget")["search_id"]
    answer = site.client.post(f"/api/searches/{number}/opened", json={"item_id": theirs.id})
    assert answer.status_code == 404

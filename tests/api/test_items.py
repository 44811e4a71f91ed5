"""Items over HTTP: listings that survive inserts, changes, asks, erasing, and problem documents."""

import pytest

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Kind, NewItem
from nexus_pipeline.domain.listing import ItemQuery
from nexus_pipeline.domain.states import State, StepStatus
from tests.running import srt
from tests.speech import ffmpeg


def add(site, *titles, **fields):
    new = [NewItem("local", f"inbox:{title}", "inbox", title, **fields) for title in titles]
    return [item.id for item in site.parts.catalog.add(new)]


def fail(site, item_id, *, retryable):
    item = site.parts.catalog.lease([item_id], "run")[item_id]
    site.parts.catalog.begin(item, "raw", "run", "run")
    why = {"error_code": "source_busy", "error_message": "busy", "retryable": retryable}
    site.parts.catalog.land(item, StepStatus("raw", State.FAILED, run_id="run", **why))
    site.parts.catalog.release("run")


def titles(answer):
    return [item["title"] for item in answer.json()["items"]]


def test_pages_follow_one_another_while_items_are_added(site):
    add(site, *(f"talk {n}" for n in range(5)))
    first = site.client.get("/api/media?limit=2")
    add(site, "newer")
    second = site.client.get("/api/media", params={"limit": 2, "cursor": first.json()["next_cursor"]})
    third = site.client.get("/api/media", params={"limit": 2, "cursor": second.json()["next_cursor"]})
    assert [*titles(first), *titles(second), *titles(third)] == [f"talk {n}" for n in (4, 3, 2, 1, 0)]
    assert third.json()["next_cursor"] is None


def test_a_listing_is_filtered_and_sorted(site):
    a, b, c = add(site, "b side", "A side", "other", tags=("work",))
    site.parts.catalog.edit(b, language="de")
    fail(site, c, retryable=True)
    get = lambda **told: titles(site.client.get("/api/media", params=told))  # noqa: E731
    assert get(sort="title") == ["A side", "b side", "other"]
    assert get(q="SIDE", sort="title") == ["A side", "b side"]
    assert get(state="failed") == ["other"]
    assert get(state=["failed", "waiting"]) == ["other", "A side", "b side"]
    assert get(language="de") == ["A side"]
    assert get(tag="work") == ["other", "A side", "b side"]
    assert get(tag="none") == []
    assert get(exhausted=True) == ["other"]
    assert get(exhausted=False) == ["A side", "b side"]
    assert get(id=[a[:6], c]) == ["other", "b side"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "sort=size", "state=gone", "kind=book", "cursor=abc", "exhausted=perhaps", "no=1"]
)
def test_a_listing_that_is_none_is_a_problem(site, query):
    answer = site.client.get(f"/api/media?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail", "code", "item_id", "retryable"}


def test_a_person_changes_title_and_tags(site):
    [item] = add(site, "talk")
    told = site.client.patch(f"/api/media/{item}", json={"title": "  Better  ", "tags": ["x", "y", "x"]}).json()
    assert (told["title"], told["tags"]) == ("Better", ["x", "y"])
    assert site.client.patch(f"/api/media/{item}", json={"tags": []}).json()["title"] == "Better"
    for wrong in ({"title": ""}, {"title": "x" * 501}, {"tags": [""]}, {"bytes": 1}, []):
        assert site.client.patch(f"/api/media/{item}", json=wrong).status_code == 422


def test_what_a_search_finds_follows_a_change(site, spoken):
    item = site.send(spoken[0]).json()["id"]
    site.work(item)
    site.client.patch(f"/api/media/{item}", json={"title": "The ostrich lecture", "tags": ["birds"]})
    site.work(item)
    found = site.client.post("/api/search", json={"query": "ostrich", "mode": "words"}).json()["hits"]
    assert [(hit["item_id"], hit["title"]) for hit in found] == [(item, "The ostrich lecture")]
    tagged = site.client.post("/api/search", json={"query": "piano", "filters": {"tags": ["birds"]}}).json()
    assert [hit["item_id"] for hit in tagged["hits"]] == [item]


def test_speakers_are_named_by_their_labels(site, tmp_path):
    (tmp_path / "talk.srt").write_bytes(
        srt("Ann: The piano is here.", "Ben: It is red.", "Ann: So it is.", "Ben: Yes.")
    )
    item = site.send(tmp_path / "talk.srt").json()["id"]
    site.work(item)
    name = lambda **names: site.client.patch(f"/api/media/{item}", json={"speakers": names})  # noqa: E731
    assert name(Ann="Dr Bell").status_code == 200
    told = site.client.get(f"/api/media/{item}/transcript").json()
    assert told["speakers"] == {"Ann": "Dr Bell", "Ben": "Ben"}
    assert told["segments"][0]["speaker"] == "Ann"
    site.work(item)
    found = site.client.post("/api/search", json={"query": "bell piano", "mode": "words"}).json()["hits"]
    assert found[0]["speaker"] == "Dr Bell"
    assert "Dr Bell" in site.client.get(f"/api/media/{item}/transcript?format=srt").text
    assert name(Ann=None).status_code == 200
    assert site.client.get(f"/api/media/{item}/transcript").json()["speakers"] == {}
    refused = name(S1="Mia")
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_input")
    assert "Ann, Ben" in refused.json()["detail"]


def test_asks_are_what_a_person_wants_done(site):
    item, other = add(site, "talk", "other")
    fail(site, item, retryable=False)
    assert site.client.get(f"/api/media/{item}").json()["state"] == "failed"
    asked = site.client.post(f"/api/media/{item}/retry")
    assert (asked.status_code, asked.json()["state"]) == (202, "waiting")
    assert site.client.post(f"/api/media/{item}/cancel").json()["state"] == "cancelled"
    assert site.client.post(f"/api/media/{item}/rerun?from=transcript").status_code == 202
    assert site.client.post(f"/api/media/{item}/rerun?from=nothing").status_code == 422
    asks = [(a.ask, a.item_id, a.from_step) for a in site.parts.catalog.asks()]
    assert ("rerun", item, "transcript") in asks
    many = site.client.post("/api/asks", json={"ask": "cancel", "ids": [item, other, item]})
    assert (many.status_code, many.json()) == (202, {"count": 2})
    assert {i.state.value for i in site.parts.catalog.page(ItemQuery()).items} == {"cancelled"}


def test_one_ask_reaches_all_that_a_listing_names(site):
    some = add(site, *(f"n{n}" for n in range(450)))
    for item in some[:3]:
        fail(site, item, retryable=False)
    failed = site.client.post("/api/asks", json={"ask": "retry", "filters": {"state": ["failed"]}})
    assert failed.json() == {"count": 3}
    assert site.client.post("/api/asks", json={"ask": "cancel", "filters": {}}).json() == {"count": 450}
    assert site.parts.catalog.counts()["cancelled"] == 450


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"ask": "retry"}, 422),
        ({"ask": "retry", "ids": [], "filters": {}}, 422),
        ({"ask": "eat", "ids": []}, 422),
        ({"ask": "retry", "ids": ["nosuchitem"]}, 404),
        ({"ask": "retry", "ids": [], "from_step": "raw"}, 422),
    ],
)
def test_an_ask_that_is_none_is_a_problem(site, told, status):
    assert site.client.post("/api/asks", json=told).status_code == status


def test_nothing_is_asked_for_when_one_of_the_ids_is_unknown(site):
    [item] = add(site, "talk")
    assert site.client.post("/api/asks", json={"ask": "cancel", "ids": [item, "nosuchitem"]}).status_code == 404
    assert site.client.get(f"/api/media/{item}").json()["state"] == "waiting"


def test_an_erased_item_is_in_no_answer_and_has_a_receipt(site, spoken):
    item, other = (site.send(path).json()["id"] for path in spoken[:2])
    site.work()
    erasing = site.client.delete(f"/api/media/{item}")
    assert erasing.status_code == 202
    for path in ("", "/transcript", "/enrichment", "/play", "/file", "/waveform", "/similar"):
        assert site.client.get(f"/api/media/{item}{path}").status_code == 404
    assert site.client.delete(f"/api/media/{item}").status_code == 404
    assert site.client.patch(f"/api/media/{item}", json={"title": "x"}).status_code == 404
    assert site.client.post(f"/api/media/{item}/retry").status_code == 404
    assert [i["id"] for i in site.client.get("/api/media").json()["items"]] == [other]
    assert site.client.post("/api/search", json={"query": "piano", "mode": "words"}).json()["hits"] == []
    told = site.client.get(erasing.json()["receipt_url"]).json()
    assert told["item_id"] == item
    assert told["erased"]["blobs"] > 0
    assert told["erased"]["passages"] == 1
    assert site.client.get("/api/receipts/nosuchitem").status_code == 404


def test_a_problem_says_which_item_and_whether_to_try_again(site):
    told = site.client.get("/api/media/nosuchitem").json()
    assert (told["status"], told["code"], told["item_id"], told["retryable"]) == (404, "not_found", "nosuchitem", False)
    assert (told["type"], told["title"]) == ("about:blank", "Not Found")


def test_an_item_of_somebody_else_is_none(site):
    [theirs] = [i.id for i in site.parts.catalog.add([NewItem("ann", "inbox:x", "inbox", "hers", kind=Kind.AUDIO)])]
    assert site.client.get("/api/media").json()["items"] == []
    for path in ("", "/transcript", "/play", "/events"):
        assert site.client.get(f"/api/media/{theirs}{path}").status_code == 404
    assert site.client.post(f"/api/media/{theirs}/rerun").status_code == 404
    assert site.client.delete(f"/api/media/{theirs}").status_code == 404
    assert site.client.post("/api/asks", json={"ask": "cancel", "filters": {}}).json() == {"count": 0}
    assert site.parts.catalog.get(theirs).state == "waiting"


def test_an_overview_counts_what_stands(site, spoken):
    done = site.send(spoken[0]).json()["id"]
    site.work(done)
    failed, *_ = add(site, "a", "b")
    fail(site, failed, retryable=True)
    told = site.client.get("/api/overview").json()
    assert (told["items"]["done"], told["items"]["failed"], told["items"]["waiting"]) == (1, 1, 1)
    raw = {step["step"]: step for step in told["steps"]}["raw"]
    assert (raw["failed"], raw["waiting"]) == (1, 1)
    assert told["failures"] == [{"step": "raw", "code": "source_busy", "count": 1}]
    assert told["throughput"]["hour"]["items"] == 1
    assert told["space"]["bytes"] == spoken[0].stat().st_size
    assert told["space"]["passages"] == 1
    engines = ["transcript", "speakers", "translation", "enrichment", "embedding", "answers", "reranking"]
    assert [engine["step"] for engine in told["engines"]] == engines
    assert [lane["lane"] for lane in told["lanes"]] == ["now", "bulk"]
    assert sum(lane["waiting"] for lane in told["lanes"]) == 1


def test_every_item_has_the_chains_steps(site):
    [item] = add(site, "talk")
    assert [step["step"] for step in site.client.get(f"/api/media/{item}").json()["steps"]] == list(STEPS)


def test_items_that_share_sound_are_told_with_the_seconds(site, spoken, tmp_path):
    part = tmp_path / "part.wav"
    ffmpeg("-i", spoken[0], "-ss", "0.5", "-c", "copy", part)
    whole, copy, other = (site.send(path).json()["id"] for path in (spoken[0], part, spoken[1]))
    site.work(whole)
    site.work(copy, other)
    [told] = site.client.get(f"/api/media/{copy}/similar").json()["items"]
    assert (told["item_id"], told["relation"]) == (whole, "duplicate")
    [stretch] = told["stretches"]
    assert stretch["other_start_s"] - stretch["start_s"] == pytest.approx(0.5, abs=0.2)
    assert [one["item_id"] for one in site.client.get(f"/api/media/{whole}/similar").json()["items"]] == [copy]
    assert site.client.get(f"/api/media/{other}/similar").json() == {"items": [], "next_cursor": None}

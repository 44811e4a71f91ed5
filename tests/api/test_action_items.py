"""What was promised: listed over all items, ticked by people, kept by later runs, shown by copies."""

import pytest

from nexus_api.client import Remote
from nexus_api.local import Local
from nexus_pipeline.engines import ENRICHERS
from tests.api.server import Server
from tests.language import Promising, promise
from tests.running import srt
from tests.speech import ffmpeg

SAID = ("Welcome to the budget meeting.", "Anna must send the invoice to finance.", "Please review the contract today.")


@pytest.fixture
def talk(site, tmp_path):
    """An item with two promises."""
    return read(site, tmp_path, "talk")


def read(site, tmp_path, name):
    path = tmp_path / f"{name}.srt"
    path.write_bytes(srt(*SAID, f"This is {name}."))
    item = site.send(path).json()["id"]
    site.work(item)
    return item


def enrichment(site, item):
    return site.client.get(f"/api/media/{item}/enrichment").json()


def tick(site, item, n, **changes):
    return site.client.patch(f"/api/media/{item}/action_items/{n}", json=changes)


def test_a_tick_and_a_change_stand_in_the_enrichment_and_in_the_listing(site, talk):
    assert [(a["n"], a["done"]) for a in enrichment(site, talk)["action_items"]] == [(1, False), (2, False)]
    answer = tick(site, talk, 1, done=True, assignee="", priority="low")
    assert answer.status_code == 200
    assert answer.json() == enrichment(site, talk)["action_items"][0]
    told = answer.json()
    assert (told["done"], told["assignee"], told["priority"]) == (True, None, "low")
    assert told["task"] == "Send the invoice to finance"
    listed = site.client.get("/api/action_items?done=false").json()
    assert [(a["item_id"], a["title"], a["n"], a["at_s"]) for a in listed["items"]] == [(talk, "talk", 2, 8.0)]
    assert [a["n"] for a in site.client.get("/api/action_items?done=true").json()["items"]] == [1]


def test_a_listing_has_pages_over_all_items(site, tmp_path):
    items = [read(site, tmp_path, f"talk {n}") for n in range(3)]
    told, cursor = [], None
    while True:
        page = site.client.get(
            "/api/action_items", params={"limit": 4, **({"cursor": cursor} if cursor else {})}
        ).json()
        told += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [(a["item_id"], a["n"]) for a in told] == [(item, n) for item in reversed(items) for n in (2, 1)]


@pytest.mark.parametrize(
    ("n", "changes", "told"),
    [
        (9, {"done": True}, (404, "not_found")),
        (0, {"done": True}, (422, "bad_request")),
        (1, {"task": ""}, (422, "bad_request")),
        (1, {"at_s": 3}, (422, "bad_request")),
        (1, {"priority": "asap"}, (422, "bad_request")),
    ],
)
def test_what_cannot_be_changed_is_a_problem(site, talk, n, changes, told):
    answer = tick(site, talk, n, **changes)
    assert (answer.status_code, answer.json()["code"]) == told


def test_what_is_no_item_or_no_cursor_is_a_problem(site):
    assert tick(site, "nobody", 1, done=True).status_code == 404
    assert site.client.get("/api/action_items?cursor=x").json()["code"] == "bad_input"


def rerun(site, item):
    site.parts.catalog.ask("rerun", [item], from_step="enrichment")
    site.parts.catalog.edit(item, engines={"enrichment": "promising"})
    [now] = site.work(item)
    assert now.step("enrichment").engine == "scripted:one"


def test_a_later_run_of_another_engine_keeps_what_people_did(site, talk, monkeypatch):
    monkeypatch.setitem(ENRICHERS, "promising", "tests.language:Promising")
    tick(site, talk, 1, done=True)
    tick(site, talk, 2, task="Read it all")
    monkeypatch.setattr(
        Promising,
        "says",
        [
            promise("Anna must send the invoice", 4, task="Send the invoice to the finance office", assignee="Anna"),
            promise("Welcome to the budget meeting", 0, task="Bake a cake"),
        ],
    )
    rerun(site, talk)
    assert [(a["n"], a["task"], a["done"]) for a in enrichment(site, talk)["action_items"]] == [
        (3, "Bake a cake", False),
        (1, "Send the invoice to the finance office", True),
        (2, "Read it all", False),
    ]


def test_what_was_enriched_before_they_were_kept_can_be_ticked(site, talk):
    with site.parts.catalog.writing() as w:
        w.db.exec_driver_sql("DELETE FROM action_items")
    assert [a["n"] for a in enrichment(site, talk)["action_items"]] == [1, 2]
    assert tick(site, talk, 2, done=True).status_code == 200
    assert [(a["n"], a["done"]) for a in enrichment(site, talk)["action_items"]] == [(1, False), (2, True)]


def test_they_go_with_the_item(site, talk):
    tick(site, talk, 1, done=True)
    site.client.delete(f"/api/media/{talk}")
    assert site.client.get("/api/action_items").json() == {"items": [], "next_cursor": None}
    assert tick(site, talk, 1, done=True).status_code == 404
    with site.parts.catalog.reading() as r:
        assert r.db.exec_driver_sql("SELECT count(*) FROM action_items").scalar() == 0


def test_a_copy_shows_and_ticks_its_firsts_in_its_own_seconds(site, spoken, tmp_path):
    part = tmp_path / "part.wav"
    ffmpeg("-i", spoken[0], "-ss", "0.5", "-c", "copy", part)
    first, copy = (site.send(path).json()["id"] for path in (spoken[0], part))
    site.work(first)
    site.work(copy)
    assert site.client.get(f"/api/media/{copy}").json()["duplicate_of"] == first
    [own] = enrichment(site, first)["action_items"]
    [seen] = enrichment(site, copy)["action_items"]
    assert own["at_s"] - seen["at_s"] == pytest.approx(0.5, abs=0.2)
    assert tick(site, copy, own["n"], done=True).json()["at_s"] == seen["at_s"]
    assert enrichment(site, first)["action_items"] == [own | {"done": True}]
    assert [a["item_id"] for a in site.client.get("/api/action_items").json()["items"]] == [first]


@pytest.fixture
def server(site):
    """Over the same stores, as a process of its own."""
    found = Server(site.parts.settings.root).start()
    yield found.url
    found.end()


def test_the_command_lines_client_says_the_same_as_the_stores_here(site, talk, server):
    here, there = Local(site.parts.settings, parts=site.parts), Remote(server, None)
    for both in (
        lambda nexus: nexus.change_action_item(talk, 1, done=True),
        lambda nexus: nexus.action_items(done=False),
        lambda nexus: nexus.action_items(limit=1),
        lambda nexus: list(nexus.enrichment(talk)["action_items"]),
    ):
        assert both(here) == both(there)
    there._http.close()

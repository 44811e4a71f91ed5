"""For machines, and for who asks about themselves: `/metrics`, `/api/me`, scenes that nobody sees, odd headers."""

import re

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from nexus_api.app import create_app
from nexus_pipeline.domain.items import NewItem
from nexus_pipeline.domain.states import State, StepStatus
from tests.api.conftest import settings
from tests.api.server import Server, Stream
from tests.api.test_items import add, fail

SECRET = "The ostrich lecture"


def scraped(text):
    """Samples by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def metrics(site):
    answer = site.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return scraped(answer.text)


def requests(told, route, method="GET", status="200"):
    return told.get(("nexus_requests_total", ("method", method), ("route", route), ("status", status)), 0)


def test_requests_are_counted_by_their_route_and_what_leads_nowhere_together(site):
    [item] = add(site, SECRET)
    for path in (f"/api/media/{item}", f"/api/media/{item}", "/api/media/nosuchitem", "/no/such/path", "/nor/this"):
        site.client.get(path)
    site.client.request("BREW", f"/api/media/{item}")
    site.client.get("/api/media", headers={"host": "evil.example"})
    told = metrics(site)
    assert requests(told, "/api/media/{item_id}") == 2
    assert requests(told, "/api/media/{item_id}", status="404") == 1
    assert requests(told, "other", status="404") == 2
    assert requests(told, "other", status="403") == 1
    assert sum(v for k, v in told.items() if k[0] == "nexus_requests_total" and ("method", "other") in k) == 1
    assert told[("nexus_request_seconds_count", ("method", "GET"), ("route", "/api/media/{item_id}"))] == 3
    assert requests(metrics(site), "/metrics") == 1


def test_what_goes_wrong_inside_counts_too(tmp_path):
    app = create_app(settings(tmp_path))

    @app.get("/api/broken")
    def broken():
        raise RuntimeError

    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/api/broken").status_code == 500
        assert requests(scraped(client.get("/metrics").text), "/api/broken", status="500") == 1


def test_items_and_steps_are_counted_as_the_catalog_has_them_whoever_owns_them(site):
    waits, failed, runs = add(site, "a", "b", "c")
    site.parts.catalog.add([NewItem("ann", "inbox:x", "inbox", "hers")])
    fail(site, failed, retryable=False)
    site.parts.catalog.requested([waits], "bulk")
    taken = site.parts.catalog.lease([runs], "run", lane="now")[runs]
    site.parts.catalog.begin(taken, "raw", "run", "run")
    told = metrics(site)
    items = {key[1][1]: value for key, value in told.items() if key[0] == "nexus_items"}
    assert {state: count for state, count in items.items() if count} == {"waiting": 2, "failed": 1, "running": 1}
    raw = {
        (dict(key[1:])["lane"], dict(key[1:])["state"]): value
        for key, value in told.items()
        if key[0] == "nexus_steps" and ("step", "raw") in key
    }
    assert raw == {("bulk", "waiting"): 1, ("now", "waiting"): 1, ("now", "running"): 1}
    assert told[("nexus_store_up", ("store", "catalog"))] == 1
    assert told[("process_resident_memory_bytes",)] > 10_000_000


def test_metrics_say_nothing_of_what_items_are(site, tmp_path):
    [item] = [i.id for i in site.parts.catalog.add([NewItem("ann", "inbox:x", "inbox", SECRET, tags=("birds",))])]
    held = site.parts.catalog.lease([item], "run-17")[item]
    site.parts.catalog.begin(held, "raw", "run-17", "run-17")
    site.parts.catalog.land(
        held, StepStatus("raw", State.FAILED, run_id="run-17", error_code="x", error_message=SECRET)
    )
    for path in (f"/api/media/{item}", f"/api/media/{item}/transcript", f"/{SECRET}", f"/api/media?q={SECRET}"):
        site.client.get(path)
    text = site.client.get("/metrics").text
    assert [word for word in (item, "ostrich", "birds", "ann", "run-17", str(tmp_path)) if word in text] == []


def test_metrics_are_told_while_the_catalog_is_away_and_say_so(site, tmp_path):
    site.client.get("/api/media")
    site.parts.catalog.close()
    path = site.parts.settings.root / "catalog.sqlite"
    for beside in path.parent.glob("catalog.sqlite-*"):
        beside.unlink()
    path.unlink()
    path.mkdir()
    told = metrics(site)
    assert told[("nexus_store_up", ("store", "catalog"))] == 0
    assert requests(told, "/api/media") == 1
    assert not any(key[0] in {"nexus_items", "nexus_steps"} for key in told)


def test_open_streams_are_counted_when_they_begin_and_as_long_as_they_are_open(tmp_path):
    server = Server(tmp_path).start()
    try:
        streams = [Stream(server.url, "/api/events").connect() for _ in range(3)]
        for stream in streams:
            stream.answer.readline()
        told = scraped(server.ask("GET", "/metrics")[2].decode())
        assert told[("nexus_event_streams",)] == 3
        assert requests(told, "/api/events") == 3
        for stream in streams:
            stream.close()
    finally:
        server.close()


def test_who_asks_is_told_their_limits_and_what_they_have(site, spoken):
    mine = site.send(spoken[0]).json()["id"]
    site.work(mine)
    site.parts.catalog.add([NewItem("ann", "inbox:x", "inbox", "hers")])
    told = site.client.get("/api/me").json()
    assert (told["owner"], told["auth"], told["role"]) == ("local", "none", "admin")
    settings = site.parts.settings
    assert told["limits"] == {"max_bytes": settings.max_bytes, "max_duration_s": settings.max_duration_s}
    item = site.client.get(f"/api/media/{mine}").json()
    assert told["used"] == {"items": 1, "bytes": spoken[0].stat().st_size, "duration_s": item["duration_s"]}
    site.client.delete(f"/api/media/{mine}")
    assert site.client.get("/api/me").json()["used"] == {"items": 0, "bytes": 0, "duration_s": 0.0}


def test_nobody_looks_for_scenes_yet_and_that_is_said(site):
    [item] = add(site, "talk")
    answer = site.client.get(f"/api/media/{item}/scenes")
    assert (answer.status_code, answer.json()["code"], answer.json()["item_id"]) == (404, "not_found", item)
    assert "does not look at pictures yet" in answer.json()["detail"]
    assert "no item" in site.client.get("/api/media/nosuchitem/scenes").json()["detail"]


ODD = (
    b"", b"*", b",", b'"', b"bytes=", b"bytes=-", b"bytes=-0", b"bytes=5-2", b"bytes=a-b", b"bytes=0-1,3-4,9-",
    b"bytes=99999999999999999999-", b"items=0-1", b"\xe9\xff", b"x" * 5000, b"../../etc/passwd", b"-1", b"1e9", b"NaN",
    b"application/xml", b"text/event-stream;q=0", b"multipart/form-data; boundary=", b"Mon, 99 Foo 2026 00:00:00 GMT",
    b"W/", b"Bearer \x80",
)  # fmt: skip
HEADERS = (
    "range", "if-range", "if-none-match", "if-modified-since", "accept", "content-type", "authorization",
    "idempotency-key", "last-event-id", "origin",
)  # fmt: skip
ASKED = (
    ("GET", "/api/media", None), ("GET", "/api/media/{}", None), ("GET", "/api/media/{}/play", None),
    ("HEAD", "/api/media/{}/file", None), ("GET", "/api/media/{}/transcript", None), ("GET", "/metrics", None),
    ("POST", "/api/search", b'{"query": "piano", "mode": "words"}'), ("PATCH", "/api/media/{}", b'{"title": "x"}'),
    ("POST", "/api/media/file", b"x"),
)  # fmt: skip


@pytest.mark.parametrize("header", HEADERS)
def test_no_header_however_odd_breaks_an_answer(full, header):
    """It is obeyed, passed over or refused in the form of all refusals."""
    item = full.client.get("/api/media").json()["items"][0]["id"]
    wrong = []
    for method, path, body in ASKED:
        for value in ODD:
            headers = {"content-type": b"application/json", header: value}
            answer = full.client.request(method, path.format(item), content=body, headers=headers)
            kind = answer.headers.get("content-type", "")
            if answer.status_code >= 500 or (answer.status_code >= 400 and kind != "application/problem+json"):
                wrong.append((method, path, value, answer.status_code, kind))
    assert wrong == []


@pytest.mark.parametrize(("told", "status"), [("bytes=a-b", 400), ("bytes=5-2", 400), ("bytes=99999999-", 416)])
def test_a_range_that_is_none_is_a_problem_that_says_how_many_bytes_there_are(full, told, status):
    item = full.client.get("/api/media").json()["items"][0]
    answer = full.client.get(f"/api/media/{item['id']}/play", headers={"range": told})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["item_id"] == item["id"]
    if status == 416:
        assert answer.json()["code"] == "bad_range"
        assert re.fullmatch(rf"bytes \*/{item['bytes']}", answer.headers["content-range"])

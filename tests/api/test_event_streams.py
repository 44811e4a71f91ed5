"""Event streams over real sockets: several processes write, clients are cut off and come back, servers end."""

import json
import multiprocessing
import random
import shutil
import socket
import sqlite3
import time
from contextlib import closing, suppress

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from nexus_pipeline.catalog import SqlCatalog
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import NewItem
from nexus_pipeline.domain.states import State, StepStatus
from tests import postgres
from tests.api.server import Following, Server, Stream
from tests.api.short_lives import BEAT_S, LIFE_S

FACTORY = "tests.api.short_lives:create_app"
WRITERS, EACH = 3, 8
MANY_LINES = """INSERT INTO changes (item_id, kind, state, progress, at)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
SELECT ?, 'item', 'changed', 0, i FROM n"""
"""Some megabytes on the wire: more than the kernel buffers for a client that does not read."""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("served"), factory=FACTORY, **{BEAT_S: "0.5"}).start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def catalog(served):
    opened = SqlCatalog.open(f"sqlite:///{served.home}/catalog.sqlite", STEPS)
    yield opened
    opened.close()


@pytest.fixture
def item(catalog):
    return catalog.add([NewItem("local", f"o:{time.monotonic_ns()}", "inbox", "Talk")])[0]


def through(catalog, item, steps=STEPS, run_id="run"):
    (item,) = catalog.lease([item.id], run_id).values()
    for step in steps:
        catalog.begin(item, step, run_id, run_id)
        catalog.land(item, StepStatus(step, State.DONE, run_id=run_id))
    catalog.release(run_id, [item.id])


def listening(server):
    return int(server.ask("GET", "/listening")[2])


def until(what, within_s=5.0):
    end = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


def _write(url: str, writer: int) -> None:
    opened = SqlCatalog.open(url, STEPS)
    for n in range(EACH):
        (item,) = opened.add([NewItem("local", f"{writer}:{n}", "inbox", "t")])
        through(opened, item, run_id=f"run-{writer}")
        if n % 3 == 0:
            opened.bury(item.id)
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def over(request, served, tmp_path):
    """A server and its catalog's URL."""
    if request.param == "sqlite":
        yield served, f"sqlite:///{served.home}/catalog.sqlite"
        return
    url = postgres.server().url().render_as_string(hide_password=False)
    server = Server(tmp_path, factory=FACTORY, NEXUS_CATALOG=url).start()
    yield server, url
    server.close()


def test_who_is_cut_off_again_and_again_hears_every_line_once_while_processes_write(over):
    """And so does who stays; both compare with what the catalog has in the end."""
    server, url = over
    opened = SqlCatalog.open(url, STEPS)
    start = opened.changes_span()[1]
    stays = Following(Stream(server.url, "/api/events"))
    comes_back = Stream(server.url, "/api/events", last_id=start)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(url, n)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    expected = start + WRITERS * (
        EACH * (1 + 2 * len(STEPS)) + -(-EACH // 3)
    )  # an item, its steps twice, every third erased
    dice, seen, cuts = random.Random(3), [], 0
    while (seen[-1].id if seen else start) < expected:
        for left, event in zip(range(dice.randint(1, 25), 0, -1), comes_back, strict=False):
            seen.append(event)
            if left == 1 or event.id >= expected:
                break
        comes_back.close()
        cuts += 1
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    lines = opened.changes(start, limit=10_000)
    assert [event.id for event in seen] == [line.id for line in lines]
    assert [event.data["item_id"] for event in seen] == [line.item_id for line in lines]
    assert cuts > 10
    stays.until(lambda events: len(events) >= len(lines))
    assert [event.id for event in stays.events] == [line.id for line in lines]
    stays.close()
    opened.close()


def test_an_event_comes_within_half_a_second_of_its_commit(served, catalog, item):
    following = Following(Stream(served.url, "/api/events"))
    late = []
    for n in range(8):
        time.sleep(0.06 * n)  # at every place between two looks
        committed = time.monotonic()
        catalog.edit(item.id, title=f"title {n}")
        following.until(lambda events, n=n: len(events) > n)
        late.append(following.at[n] - committed)
    following.close()
    assert sorted(late)[len(late) // 2] <= 0.5, late


def test_an_item_is_followed_from_before_its_first_step_to_the_end(served, catalog, item):
    following = Following(Stream(served.url, f"/api/media/{item.id}/events"))
    through(catalog, item)
    events = following.ended()
    assert [event.event for event in events] == [*["step"] * len(STEPS), "item", *["step"] * 2 * len(STEPS), "end"]
    assert events[-1].data["state"] == "done"
    step = events[-2]
    assert step.data == {"item_id": item.id, "step": "embedding", "state": "done", "phase": None, "progress": 1.0} | {
        "at": step.data["at"]
    }
    assert following.stream.retry_ms == 60_000


def test_a_stream_says_that_it_must_not_be_kept_and_beats(served):
    stream = Stream(served.url, "/api/events").connect()
    told = stream.answer.headers
    assert (told["cache-control"], told["x-accel-buffering"]) == ("no-cache", "no")
    following = Following(stream)
    until(lambda: len(stream.comments) >= 2)
    assert (stream.retry_ms, following.events) == (2000, [])
    assert stream.last_id is not None  # where it resumes although it has heard nothing
    following.close()


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/media/aaaaaaaaaaaaaaaa/events", 404, "not_found"),
        ("/api/media/aaaaaaaaaaaaaaaa/events?last_event_id=0", 404, "not_found"),
        ("/api/events?last_event_id=yesterday", 422, "bad_request"),
        ("/api/events?last_event_id=-1", 422, "bad_request"),
        ("/api/events?last_event_id=99999999999999999999", 422, "bad_request"),
        ("/api/events?last_event_id=%C2%B2", 422, "bad_request"),
    ],
)
def test_what_cannot_be_followed_is_a_problem_document(served, path, status, code):
    answered, headers, body = served.ask("GET", path)
    assert (answered, headers["content-type"]) == (status, "application/problem+json")
    assert json.loads(body)["code"] == code


def test_the_header_of_who_comes_back_counts_more_than_the_address(served, catalog, item):
    stream = Stream(served.url, f"/api/media/{item.id}/events?last_event_id=0", last_id=catalog.changes_span()[1])
    following = Following(stream)
    catalog.edit(item.id, title="x")
    assert [event.data["state"] for event in following.until(len)] == ["changed"]
    following.close()


def ws(server, path):
    return connect(f"ws://127.0.0.1:{server.port}{path}", close_timeout=2)


def test_a_websocket_tells_the_same_and_resumes(served, catalog, item):
    start = catalog.changes_span()[1]
    following = Following(Stream(served.url, f"/api/media/{item.id}/events", last_id=start))
    with ws(served, f"/ws/status/{item.id}?last_event_id={start}") as socket:
        socket.send("nobody listens to this")
        through(catalog, item, STEPS[:2])
        told = [json.loads(socket.recv(timeout=5)) for _ in range(3)]
    with ws(served, f"/ws/status/{item.id}?last_event_id={told[-1]['id']}") as socket:
        through(catalog, item, STEPS[2:])
        told += [json.loads(message) for message in socket]
        assert socket.close_code == 1000
    events = [(event.id, event.event, event.data) for event in following.ended()]
    assert [(m["id"], m["event"], m["data"]) for m in told[:-1]] == events[:-1]
    assert (told[-1]["event"], told[-1]["data"]["state"]) == ("end", "done")


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("/ws/status/aaaaaaaaaaaaaaaa", 4404, "no item aaaaaaaaaaaaaaaa"),
        ("/ws/status/aaaaaaaaaaaaaaaa?last_event_id=x", 4422, "Last-Event-ID"),
    ],
)
def test_a_websocket_that_cannot_be_followed_is_closed_with_a_reason(served, path, code, reason):
    with ws(served, path) as socket, pytest.raises(ConnectionClosed):
        socket.recv(timeout=5)
    assert socket.close_code == code
    assert reason in socket.close_reason


def test_a_page_of_another_site_may_not_open_a_websocket(served, item):
    address = f"ws://127.0.0.1:{served.port}/ws/status/{item.id}"
    with pytest.raises(InvalidStatus) as refused:
        connect(address, origin="http://elsewhere.example")
    assert refused.value.response.status_code == 403
    connect(address, origin=f"http://127.0.0.1:{served.port}").close()


def test_clients_that_go_away_leave_nothing_behind(served, item):
    streams = [Stream(served.url, path).connect() for path in ("/api/events", f"/api/media/{item.id}/events") * 10]
    sockets = [ws(served, f"/ws/status/{item.id}") for _ in range(5)]
    until(lambda: listening(served) == 25)
    for one in (*streams, *sockets):
        one.close()
    until(lambda: listening(served) == 0)


def test_a_stream_ends_in_time_and_goes_on_where_it_was(tmp_path):
    server = Server(tmp_path, factory=FACTORY, **{LIFE_S: "1"}).start()
    try:
        opened = SqlCatalog.open(f"sqlite:///{server.home}/catalog.sqlite", STEPS)
        stream = Stream(server.url, "/api/events")
        assert Following(stream).ended(3.0) == []
        opened.add([NewItem("local", "o", "inbox", "t")])
        assert [event.data["state"] for event in Following(stream).ended(3.0)] == ["new"]
        opened.close()
    finally:
        server.close()


def _takes_nothing(server):
    """A client that asks for a stream and never reads."""
    stuck = socket.create_connection(("127.0.0.1", server.port))
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.sendall(b"GET /api/events?last_event_id=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return stuck


@pytest.mark.parametrize("stuck", [False, True])
def test_a_server_ends_quickly_although_streams_are_open(tmp_path, stuck):
    server = Server(tmp_path, factory=FACTORY).start()
    try:
        opened = SqlCatalog.open(f"sqlite:///{server.home}/catalog.sqlite", STEPS)
        (item,) = opened.add([NewItem("local", "o", "inbox", "t")])
        if stuck:
            with closing(sqlite3.connect(server.home / "catalog.sqlite")) as db, db:
                db.execute(MANY_LINES, (item.id,))
        taking_nothing = [_takes_nothing(server) for _ in range(2)] if stuck else []
        following = [Following(Stream(server.url, f"/api/media/{item.id}/events")) for _ in range(10)]
        sockets = [ws(server, f"/ws/status/{item.id}") for _ in range(3)]
        until(lambda: listening(server) == len(following) + len(sockets) + len(taking_nothing))
        time.sleep(0.5)
        took = server.end()
        assert took < (6.0 if stuck else 2.0), server.said()
        for one in following:
            one.ended(1.0)
        for one in sockets:
            with one, suppress(ConnectionClosed):
                assert all(json.loads(message)["event"] in {"step", "item"} for message in one)
            assert one.close_code == 1012
        for one in taking_nothing:
            one.close()
        opened.close()
        if not stuck:
            assert server.said() == ""
    finally:
        server.close()
        shutil.rmtree(tmp_path, ignore_errors=True)

"""A rush of searches: as many at once as there are cores, and other routes do not wait behind them."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from nexus_api.app import create_app
from nexus_api.routes.searching import AT_ONCE
from nexus_pipeline.domain.search import Found
from tests.api.server import Server

MANY = 50
"""More than the threads that all routes share."""


class Slow:
    """An archive in which every search takes its time."""

    def __init__(self, seconds: float = 0.05) -> None:
        self.now, self.most, self.done, self._seconds = 0, 0, 0, seconds
        self._lock = threading.Lock()

    def search(self, query, vector=None, **_):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self._seconds)
        with self._lock:
            self.now -= 1
            self.done += 1
        return Found(hits=(), total=0, total_is_bound=False, facets={})


def test_searches_take_turns_and_nobody_else_waits_for_them(site):
    slow = site.parts.__dict__["archive"] = Slow()
    ask = lambda _: site.client.post("/api/search", json={"query": "x", "mode": "words"}).status_code  # noqa: E731
    with ThreadPoolExecutor(MANY) as clients:
        asked = [clients.submit(ask, n) for n in range(MANY)]
        while slow.done < AT_ONCE:
            time.sleep(0.01)
        before = slow.done
        assert site.client.get("/api/media").status_code == 200
        assert slow.done < MANY, "the listing came after all searches"
        assert [one.result() for one in asked] == [200] * MANY
    assert before < MANY
    assert 1 <= slow.most <= AT_ONCE


def test_who_has_gone_costs_those_behind_nothing(tmp_path):
    """A client that gave up while it waited: its search is not made."""
    server = Server(tmp_path, factory="tests.api.test_turns:slow_app").start()
    try:
        body = b'{"query": "x", "mode": "words"}'
        head = "POST /api/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        gone = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(MANY)]
        for one in gone:
            one.sendall(head.encode() + body)
        time.sleep(0.3)
        for one in gone:
            one.close()
        status, _, _ = server.ask("POST", "/api/search", body, content_type="application/json")
        assert status == 200
        done = int(server.ask("GET", "/done")[2])
        assert 1 <= done < MANY / 2
    finally:
        server.close()


def slow_app():
    """The whole API over an archive in which every search takes a while; it says how many were made."""
    app = create_app()
    slow = app.state.parts.__dict__["archive"] = Slow(0.2)

    @app.get("/done")
    async def done() -> int:
        return slow.done

    return app

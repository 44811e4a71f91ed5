"""A rush of searches: as many at once as there are cores, and other routes do not wait behind them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from nexus_api.routes.searching import AT_ONCE
from nexus_pipeline.domain.search import Found

MANY = 50
"""More than the threads that all routes share."""


class Slow:
    """An archive in which every search takes its time."""

    def __init__(self) -> None:
        self.now, self.most, self.done = 0, 0, 0
        self._lock = threading.Lock()

    def search(self, query, vector=None, **_):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.05)
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

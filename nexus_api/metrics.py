"""What Nexus tells Prometheus: counts, times and sizes; never a word, a name or an id of anybody's.

Each app counts for itself. What is known of items is read from the catalog when Prometheus asks, so all API processes
over one catalog say the same of it.
"""

import logging
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.datastructures import State
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nexus_pipeline.domain.errors import NexusError

log = logging.getLogger(__name__)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Borders of the histogram of answers; 0.15 s is what a search may take."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""A method that nobody knows, and a path that leads nowhere: clients may make up as many as they like."""


class Metrics:
    """All that one app counts."""

    def __init__(self, state: State) -> None:
        """`state`: the app's own, with `parts` and `events`; nothing is opened yet."""
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "nexus_requests", "Requests that were answered.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "nexus_request_seconds",
            "From a request's head to the head of its answer.",
            ("method", "route"),
            buckets=SECONDS,
            registry=self.registry,
        )
        streams = Gauge("nexus_event_streams", "Event streams that are open.", registry=self.registry)
        streams.set_function(lambda: state.events.listening)
        self.registry.register(_Standing(state))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """A request's answer has begun."""
        method = scope["method"] if scope["method"] in METHODS else OTHER
        route = getattr(scope.get("route"), "path", None) or OTHER
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)


class _Standing(Collector):
    """What the catalog knows, asked for at each look."""

    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Items by state, steps by lane; only that the catalog is down, where it is."""
        up = GaugeMetricFamily("nexus_store_up", "Whether a store answers: 1 or 0.", labels=("store",))
        items = GaugeMetricFamily("nexus_items", "Items by state.", labels=("state",))
        steps = GaugeMetricFamily("nexus_steps", "Steps that wait or run.", labels=("lane", "step", "state"))
        try:
            catalog = self._state.parts.catalog
            counts, backlog = catalog.counts(), catalog.backlog()
        except NexusError as error:
            log.warning("metrics without the catalog: %s", error)
            up.add_metric(("catalog",), 0.0)
            yield up
            return
        up.add_metric(("catalog",), 1.0)
        for state, count in counts.items():
            items.add_metric((state,), count)
        for told in backlog:
            steps.add_metric((told.lane, told.step, told.state), told.count)
        yield from (up, items, steps)


class Measured:
    """An ASGI layer around the app: counts what is answered, and how soon the answer began."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on; a stream counts when it begins, what raises counts as 500."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, is_answered = time.perf_counter(), False

        async def sent(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                is_answered = True
                self.metrics.answered(scope, message["status"], time.perf_counter() - began)
            await send(message)

        try:
            await self.app(scope, receive, sent)
        except Exception:
            if not is_answered:  # the server's outermost layer answers
                self.metrics.answered(scope, 500, time.perf_counter() - began)
            raise

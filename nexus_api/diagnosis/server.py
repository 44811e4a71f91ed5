"""What `nexus doctor` looks at where NEXUS_URL names a server: the way there, and how that Nexus is."""

import ipaddress
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from nexus_api.client import Remote
from nexus_api.diagnosis.finding import Finding, fine, warning, wrong
from nexus_api.diagnosis.home import LEAST_FREE_BYTES
from nexus_api.diagnosis.settings import strangers
from nexus_api.shown import Json, size
from nexus_api.wire import shown
from nexus_pipeline.domain.errors import NexusError
from nexus_pipeline.settings import Settings


def findings(told: Settings) -> Iterator[Finding]:
    """All of them; what cannot be reached ends them."""
    yield from strangers()
    url, key = str(told.url), told.key.get_secret_value() if told.key else None
    if urlsplit(url).scheme == "http" and key and not _near(url):
        hint = "everybody on the way can read it: put TLS before the server"
        yield warning("address", f"the key goes to {shown(url)} in the clear", hint, "export NEXUS_URL=https://...")
    began = time.monotonic()
    try:
        nexus = Remote(url, key)
        nexus.health("live")
    except NexusError as error:
        yield wrong(
            "server", str(error), "correct the address, or start the server", f"curl -i {shown(url)}/health/live"
        )
        return
    yield fine("server", f"{shown(url)} answers in {(time.monotonic() - began) * 1000:.0f} ms")
    try:
        nexus.health("ready")
        overview = nexus.overview()
    except NexusError as error:
        yield wrong("stores", str(error), "run `nexus doctor` where the server runs", "nexus doctor")
        return
    yield fine("stores", f"{sum(overview['items'].values())} items, {overview['space']['passages']} passages")
    yield from _standing(overview)


def _standing(overview: Json) -> Iterator[Finding]:
    free = overview["space"]["free_bytes"]
    if free is not None and free < LEAST_FREE_BYTES:
        yield wrong("space", f"{size(free)} left on the server", "make room there; long items cannot be converted")
    for engine in overview["engines"]:
        if engine["ready"]:
            yield fine(engine["step"], engine["engine"])
        else:
            yield warning(engine["step"], f"{engine['engine']} is not ready", engine["missing"])
    for cause in overview["failures"]:
        found = f"{cause['count']} failed in {cause['step']} ({cause['code']})"
        yield warning("items", found, "docs/errors.md says what to do about it", "nexus ls --state failed")
    for step in overview["steps"]:
        if step["blocked"]:
            yield warning(
                "items", f"{step['blocked']} blocked in {step['step']}", "see why", "nexus ls --state blocked"
            )


def _near(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"

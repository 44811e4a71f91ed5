"""Whether `nexus up` runs and answers; where it does not, whether its usual ports are free."""

from collections.abc import Iterator
from contextlib import suppress

import psutil

from nexus_api import lock, programs
from nexus_api.diagnosis.finding import Finding, fine, warning, wrong
from nexus_pipeline.settings import Settings

PORTS = {"--port": 8000, "--dagster-port": 3000}
"""Those of `nexus up`, as its help says; a test compares them."""
ANSWERS_S = 5.0


def looked_at(told: Settings) -> Iterator[Finding]:
    """All of it."""
    pid = lock.holder(told.root)
    if pid is None:
        yield fine("nexus up", "does not run: what is added waits for it")
        yield from _ports()
        return
    port = _port(pid) if pid else None
    if port is None:
        yield fine("nexus up", f"runs as process {pid}" if pid else "does not run; Dagster runs on its own")
    elif ready(f"http://127.0.0.1:{port}"):
        yield fine("nexus up", f"runs as process {pid} and answers at http://127.0.0.1:{port}")
    else:
        log = told.root / "logs" / "api.log"
        hint = "its log says why; ending Nexus and starting it again loses nothing"
        yield wrong(
            "nexus up", f"runs as process {pid}, and its API at port {port} does not answer", hint, f"tail {log}"
        )


def ready(url: str) -> bool:
    """Whether a server's stores answer."""
    import httpx

    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/health/ready", timeout=ANSWERS_S, trust_env=False).is_success
    return False


def _port(pid: int) -> int | None:
    """Of the API that a running `nexus up` has started."""
    with suppress(psutil.Error, ValueError):
        for child in psutil.Process(pid).children():
            words = child.cmdline()
            if "nexus_api.app:create_app" in words:
                return int(words[words.index("--port") + 1])
    return None


def _ports() -> Iterator[Finding]:
    for option, port in PORTS.items():
        try:
            programs.check_free(port, option)
        except programs.PortTaken:
            hint = "end that program, or choose another port"
            yield warning("ports", f"port {port} is taken by {_listener(port)}", hint, f"nexus up {option} {port + 1}")


def _listener(port: int) -> str:
    """Who listens, as far as this person may know."""
    with suppress(psutil.Error):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr[1] == port and one.pid:
                return f"{psutil.Process(one.pid).name()} (process {one.pid})"
    return "another program"

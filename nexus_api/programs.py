"""What `nexus up` runs: Dagster's code server, webserver and daemon, a warm worker for each lane, and the API.

Each is its own process of this Python; none of them is imported here.
"""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from nexus_api.child import Program
from nexus_api.dagster_home import LANES, LOCATION, DagsterHome
from nexus_pipeline.domain.errors import NexusError, StoreError
from nexus_pipeline.settings import Settings

LOOPBACK = "127.0.0.1"
_WAITING_SENSORS = 32  # threads of the code server: each sensor holds one while it waits inside its evaluation
_MIGRATE_S = 600.0
_API_GRACE_S = 3
_DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"


class PortTaken(NexusError):
    """Another program listens where one of ours should."""

    code = "port_taken"


class NotMigrated(StoreError):
    """Dagster's storage is not as the installed Dagster wants it."""


def programs(home: DagsterHome, code_port: int, dagster_port: int, host: str, port: int) -> tuple[Program, ...]:
    """All of them, each after those it waits for."""
    python = sys.executable
    web = f"http://{LOOPBACK}:{dagster_port}"
    workspace = ("-w", str(home.workspace))
    logged = (python, "-m", "nexus_pipeline.logged")
    serve = (*logged, "dagster", "api", "grpc", "-m", "nexus_pipeline.definitions", "--location-name", LOCATION)
    threads = ("--max-workers", str(_WAITING_SENSORS))
    code = Program(
        "code",
        (*serve, "--host", LOOPBACK, "--port", str(code_port), *threads),
        ready=lambda: _listens(code_port),
        # it would wait for its sensors, which wait for arrivals, and the daemon for it
        grace_s=0.5,
    )
    webserver = Program(
        "dagster",
        (*logged, "dagster_webserver", "-h", LOOPBACK, "-p", str(dagster_port), *workspace),
        ready=lambda: _answers(f"{web}/server_info"),
        after=("code",),
    )
    daemon = Program(
        "daemon",
        (*logged, "dagster._daemon", "run", *workspace),
        ready=lambda: _daemons_run(f"{web}/graphql"),
        after=("code",),
    )
    workers = (
        Program(
            f"worker-{lane}",
            (python, "-m", "nexus_pipeline.worker", lane),
            ready=partial(_warm, home, lane),
            after=("code",),
        )
        for lane in LANES
    )
    site = ("uvicorn", "nexus_api.app:create_app", "--factory", "--host", host, "--port", str(port))
    api = Program(
        "api",
        # event streams end by themselves; a client that does not take its answer is cut off
        (*logged, *site, "--log-level", "warning", "--timeout-graceful-shutdown", str(_API_GRACE_S)),
        ready=lambda: _answers(f"http://{_bracketed(host)}:{port}/health/live"),
    )
    return (code, *workers, webserver, daemon, api)


def migrate(home: DagsterHome, environment: Mapping[str, str]) -> None:
    """Make or migrate Dagster's storage, if need be: on SQLite two processes that do it at once break each other.

    Raises NotMigrated with what Dagster said.
    """
    if home.migrated():
        return
    argv = (sys.executable, "-m", "dagster", "instance", "migrate")
    try:
        done = subprocess.run(
            argv, env=dict(environment), capture_output=True, text=True, timeout=_MIGRATE_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotMigrated(f"Dagster's storage in {home.folder} was not migrated within {_MIGRATE_S:.0f} s") from error
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise NotMigrated(f"Dagster's storage in {home.folder} cannot be made or migrated:\n{said}")
    home.note_migrated()


def environment(settings: Settings, site: str, threads: int) -> dict[str, str]:
    """Of all children: ours, and where things lie said absolutely, so that all of them mean the same."""
    return {
        **os.environ,
        "NEXUS_HOME": str(settings.root),
        "NEXUS_SITE": site,
        "DAGSTER_HOME": str(DagsterHome(settings.root).folder),
        "OMP_NUM_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
    }


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def check_free(port: int, option: str) -> None:
    """Raises PortTaken, naming the option by which another port is chosen."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise PortTaken(
                f"port {port} of {LOOPBACK} cannot be used ({error.strerror}): end the program that listens there, "
                f"or choose another with {option} PORT"
            ) from error


def _bracketed(host: str) -> str:
    """An IPv6 address as a URL wants it."""
    return f"[{host}]" if ":" in host else host


def _warm(home: DagsterHome, lane: str) -> bool:
    """The worker says so when its models are loaded and it takes runs."""
    return (home.home / "queue" / f"{lane}.ready").exists()


def _listens(port: int) -> bool:
    """The code server opens its port when the definitions are loaded."""
    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=0.5):
        return True
    return False


def _answers(url: str) -> bool:
    return _asked(url, None, lambda _body: True)


def _daemons_run(url: str) -> bool:
    return _asked(url, json.dumps({"query": _DAEMONS}).encode(), _all_healthy)


def _all_healthy(body: bytes) -> bool:
    statuses = json.loads(body)["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(status["healthy"] for status in statuses if status["required"])


def _asked(url: str, data: bytes | None, judge: Callable[[bytes], bool]) -> bool:
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - our own loopback
    # no proxy stands between us and loopback, whatever the environment says
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=1.0) as answer:
            return bool(answer.status == 200 and judge(answer.read()))  # noqa: PLR2004 - HTTP's OK
    except (urllib.error.URLError, OSError, ValueError, KeyError, TypeError):
        return False  # not yet

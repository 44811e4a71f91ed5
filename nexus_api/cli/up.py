"""`nexus up`: everything that makes items searchable, until it is told to end."""

import ipaddress
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from typer import Option, Typer

from nexus_api.cli import WrongUse
from nexus_api.cli.printing import note, say
from nexus_pipeline.settings import Settings

app = Typer()


@app.command("up")
def up_command(
    *,
    host: Annotated[str, Option(help="Address of the API and its page.")] = "127.0.0.1",
    port: Annotated[int, Option(min=1, max=65535, help="Its port.")] = 8000,
    dagster_port: Annotated[int, Option(min=1, max=65535, help="Port of Dagster's UI.")] = 3000,
) -> None:
    """Run Nexus until Ctrl-C or SIGTERM: Dagster's UI and daemon, and a warm worker for each lane.

    Prints a line `ready` on stdout when files are taken. Logs lie in {home}/logs.
    """
    from nexus_api import lock, programs
    from nexus_api.cli.opening import settings as read_settings
    from nexus_api.dagster_home import DagsterHome
    from nexus_api.supervisor import Supervisor

    if not _loopback(host):
        raise WrongUse(
            f"{host} is not an address of this machine alone, and this version has no sign-in: use 127.0.0.1, "
            "and a proxy with a sign-in of its own in front of it"
        )
    settings = read_settings()
    logging.getLogger("nexus_api").setLevel(logging.INFO)
    with lock.held(settings.root):
        programs.check_free(port, "--port")
        programs.check_free(dagster_port, "--dagster-port")
        threads = _open_stores(settings)
        home, code_port = DagsterHome(settings.root), programs.free_port()
        home.forget_messages()
        home.write(code_port)
        site = settings.site if "site" in settings.model_fields_set else f"http://{host}:{port}"
        note("Starting Nexus; this takes some seconds.")
        environment = programs.environment(settings, site, threads)
        programs.migrate(home, environment)
        runs = programs.programs(home, code_port, dagster_port, host, port)
        supervisor = Supervisor(runs, settings.root / "logs", environment, say=note)
        supervisor.run(on_ready=lambda: _ready(settings, dagster_port))
        note("Nexus has ended.")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _open_stores(settings: Settings) -> int:
    """Make and migrate what is needed before several processes do it at once; threads for one item's engine."""
    from nexus_pipeline import wiring
    from nexus_pipeline.machine import threads

    parts = wiring.Parts(settings)
    parts.catalog.counts()
    inbox = urlsplit(settings.inbox_url)
    if inbox.scheme == "file":
        Path(unquote(inbox.path)).mkdir(parents=True, exist_ok=True)
    return threads(settings)


def _ready(settings: Settings, dagster_port: int) -> None:
    inbox = urlsplit(settings.inbox_url)
    drop = unquote(inbox.path) if inbox.scheme == "file" else settings.inbox_url
    say(f"Drop files into   {drop}")
    say(f"Dagster's UI at   http://127.0.0.1:{dagster_port}")
    say(f"Logs lie in       {settings.root / 'logs'}")
    say("ready")
    sys.stdout.flush()

"""`nexus up`: everything that makes items searchable, until it is told to end."""

import ipaddress
import logging
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click

from nexus_api.cli.printing import note
from nexus_pipeline.settings import Settings


@click.command("up")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the API and its page.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Its port.")
@click.option(
    "--dagster-port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port of Dagster's UI."
)
def up_command(host: str, port: int, dagster_port: int) -> None:
    """Run Nexus until Ctrl-C or SIGTERM: Dagster's UI and daemon, and a warm worker for each lane.

    Prints a line `ready` on stdout when files are taken. Logs lie in {home}/logs.
    """
    from nexus_api import lock, programs
    from nexus_api.cli.opening import settings as read_settings
    from nexus_api.dagster_home import DagsterHome
    from nexus_api.supervisor import Supervisor

    if not _loopback(host):
        raise click.UsageError(
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

    parts = wiring.Parts(settings)
    parts.catalog.counts()
    inbox = urlsplit(settings.inbox_url)
    if inbox.scheme == "file":
        Path(unquote(inbox.path)).mkdir(parents=True, exist_ok=True)
    return wiring.threads(settings)


def _ready(settings: Settings, dagster_port: int) -> None:
    inbox = urlsplit(settings.inbox_url)
    drop = unquote(inbox.path) if inbox.scheme == "file" else settings.inbox_url
    click.echo(f"Drop files into   {drop}")
    click.echo(f"Dagster's UI at   http://127.0.0.1:{dagster_port}")
    click.echo(f"Logs lie in       {settings.root / 'logs'}")
    click.echo("ready")
    sys.stdout.flush()

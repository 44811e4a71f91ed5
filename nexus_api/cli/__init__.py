"""`nexus`, the command line. Each command's module is loaded when it is asked for, so that starting is quick.

Exit codes: 0 done; 1 what was asked for failed or was not found; 2 wrong use; 3 Nexus is not set up or a store cannot
be reached. Facts go to stdout, everything else to stderr.
"""

from importlib import import_module
from typing import Any

import click

COMMANDS = {
    "up": "up",
    "add": "adding",
    "ls": "listing",
    "show": "listing",
    "transcript": "listing",
    "search": "searching",
    "retry": "asks",
    "rerun": "asks",
    "cancel": "asks",
    "rm": "asks",
    "rebuild": "upkeep",
    "care": "upkeep",
    "models": "models",
    "doctor": "doctor",
}
"""Command -> the module below this package that has it, in the order in which `nexus --help` shows them."""

FAILED, WRONG_USE, NOT_SET_UP = 1, 2, 3


class Failed(click.ClickException):
    """Ends with a message on stderr and this exit code."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance


class Nexus(click.Group):
    """Commands by name; what goes wrong becomes a message and an exit code here and nowhere else."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """In our own order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Loads one module."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{COMMANDS[cmd_name]}"), f"{cmd_name}_command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            raise told(error) from error


def told(error: Exception) -> Failed:
    """What a person reads of an error, and the exit code."""
    from pydantic import ValidationError

    from nexus_pipeline.domain.errors import Conflict, NexusError, NotFound, StoreError

    if isinstance(error, StoreError) and not isinstance(error, (NotFound, Conflict)):
        return Failed(str(error), NOT_SET_UP)
    if isinstance(error, NexusError):
        return Failed(str(error))
    if isinstance(error, ValidationError) and error.title == "Settings":
        return Failed(_wrong_settings(error), NOT_SET_UP)
    return Failed(
        f"unexpected {type(error).__name__}: {error}. This is a defect of Nexus; `nexus doctor` may say more."
    )


def _wrong_settings(error: Any) -> str:
    """Which settings, and what is wrong with them; not their values, which may be secret."""
    lines = (f"NEXUS_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
    return "settings cannot be used:\n" + "\n".join(lines)


def _version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's signature
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"nexus {version('nexus-archive')}")
    except PackageNotFoundError:
        click.echo("nexus, not installed")
    ctx.exit()


@click.group(cls=Nexus, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version.")
def main() -> None:
    """Find what was said: a self-hosted archive of audio and video.

    Drop files into the inbox or `nexus add` them while `nexus up` runs, then `nexus search`.
    """

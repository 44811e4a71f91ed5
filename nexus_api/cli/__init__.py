"""`nexus`, the command line. Each command's module is loaded when it is asked for, so that starting is quick.

Exit codes: 0 done; 1 what was asked for failed or was not found; 2 wrong use; 3 Nexus is not set up or a store cannot
be reached. Facts go to stdout, everything else to stderr.
"""

import sys
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group


class Told(NamedTuple):
    """A command before it is loaded: the module below this package that has it, and what `nexus --help` says of it."""

    module: str
    panel: str
    help: str


_DAILY, _ASKS, _KEEP = "Add and find", "Ask for", "Run and keep"
COMMANDS = {
    "up": Told("up", _KEEP, "Run Nexus until Ctrl-C or SIGTERM"),
    "add": Told("adding", _DAILY, "Add files, all files below a folder, or URLs."),
    "ls": Told("listing", _DAILY, "List items, newest first."),
    "show": Told("listing", _DAILY, "Show all that is known of an item, with its steps."),
    "transcript": Told("listing", _DAILY, "Print what was said"),
    "search": Told("searching", _DAILY, "Find what was said, by its words and by its meaning."),
    "ask": Told("asking", _DAILY, "Answer a question out of what was said, with its sources."),
    "retry": Told("asks", _ASKS, "Try again what failed, is blocked or was cancelled"),
    "rerun": Told("asks", _ASKS, "Do items again, even what is done"),
    "cancel": Told("asks", _ASKS, "Stop items; what has been done stays."),
    "rm": Told("asks", _ASKS, "Erase items: bytes, transcripts, passages, all of it."),
    "rebuild": Told("upkeep", _KEEP, "Write the archive anew from what is kept"),
    "care": Told("upkeep", _KEEP, "Compact and index the archive, and look whether the stores agree"),
    "models": Told("models", _KEEP, "List engines and models"),
    "doctor": Told("doctor", _KEEP, "Find what is wrong, and say how to mend it"),
}
"""In the order in which `nexus --help` shows them; a test compares what they say with the commands' own words."""

FAILED, WRONG_USE, NOT_SET_UP = 1, 2, 3


class Failed(Exception):
    """Ends with a message on stderr and this exit code."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class WrongUse(Failed):
    """What was written is no use of the command."""

    def __init__(self, message: str) -> None:
        super().__init__(message, WRONG_USE)


class Nexus(TyperGroup):
    """Commands by name; what goes wrong becomes a message and an exit code here and nowhere else.

    `commands` holds stand-ins, which are enough for help, completion and "did you mean"; the real one takes its place
    when it is to do something.
    """

    def __init__(self, **told: Any) -> None:
        super().__init__(**told)
        for name, one in COMMANDS.items():
            self.add_command(TyperCommand(name, help=one.help, rich_help_panel=one.panel), name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Loads one module."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and loaded(str(name)), rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Drawn on a terminal, plain lines in a pipe."""
        self.rich_markup_mode = _markup()
        super().format_help(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except WrongUse as wrong:
            told = f"{wrong}\nTry 'nexus {ctx.invoked_subcommand} --help' for help."
            raise Failed(told, wrong.exit_code) from wrong
        except (Failed, typer.TyperException, typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            raise told_of(error) from error

    def main(self, *args: Any, **how: Any) -> Any:
        """As ever, and ends with the exit code of what failed."""
        try:
            return super().main(*args, **how)
        except Failed as failed:
            if not how.get("standalone_mode", True):
                raise
            message = "".join(c if c.isprintable() or c == "\n" else " " for c in str(failed))
            typer.echo(f"Error: {message}", err=True)
            sys.exit(failed.exit_code)


def loaded(name: str) -> Any:
    """The command itself, its module imported. Its help is drawn on a terminal only."""
    command = get_group(import_module(f"{__name__}.{COMMANDS[name].module}").app).commands[name]
    for one in (command, *getattr(command, "commands", {}).values()):
        one.rich_markup_mode = _markup()
    return command


def _markup() -> Any:
    return "rich" if sys.stdout.isatty() else None


def told_of(error: Exception) -> Failed:
    """What a person reads of an error, and the exit code."""
    from pydantic import ValidationError

    from nexus_pipeline.domain.errors import Conflict, NexusError, NotFound, StoreError

    if isinstance(error, StoreError) and not isinstance(error, (NotFound, Conflict)):
        return Failed(str(error), NOT_SET_UP)
    if isinstance(error, NexusError):
        return Failed(str(error))
    if isinstance(error, ValidationError) and error.title == "Settings":
        return Failed("settings cannot be used:\n" + "\n".join(wrong_settings(error)), NOT_SET_UP)
    return Failed(
        f"unexpected {type(error).__name__}: {error}. This is a defect of Nexus; `nexus doctor` may say more."
    )


def wrong_settings(error: Any) -> list[str]:
    """Which settings, and what is wrong with them; not their values, which may be secret."""
    return [f"NEXUS_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]


def _version(ctx: typer.Context, wanted: bool) -> None:  # noqa: FBT001 - typer's signature
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        typer.echo(f"nexus {version('nexus-archive')}")
    except PackageNotFoundError:
        typer.echo("nexus, not installed")
    raise typer.Exit


app = typer.Typer(
    name="nexus",
    cls=Nexus,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def _nexus(
    *,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version.")
    ] = False,
) -> None:
    """Find what was said: a self-hosted archive of audio and video.

    Drop files into the inbox or `nexus add` them while `nexus up` runs, then `nexus search`.
    """


main = get_command(app)

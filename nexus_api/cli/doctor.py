"""`nexus doctor`: what is there, what is missing, and what to do about it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from typer import Exit, Option, Typer

from nexus_api.cli import FAILED, wrong_settings
from nexus_api.cli.opening import AsJson, read
from nexus_api.cli.printing import clean, document, line, note

if TYPE_CHECKING:
    from nexus_api.diagnosis import Finding

app = Typer()
_MARKS = {"fine": ("ok   ", "green"), "warning": ("warn ", "yellow"), "wrong": ("WRONG", "bold red")}


@app.command("doctor")
def doctor_command(
    *,
    online: Annotated[
        bool, Option("--online", help="Also ask others: whether keys are taken and models can be fetched.")
    ] = False,
    full: Annotated[
        bool, Option("--full", help="Also what takes long: whether the stores agree on every item.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find what is wrong, and say how to mend it. Ends with 1 if something stops work, with 0 if all is well or may do.

    With NEXUS_URL it looks at the way to that server and at what it says of itself.
    """
    found = []
    for one in _findings(online=online, full=full):
        found.append(one)
        if not as_json:
            _print(one)
    stopping = sum(not one.ok for one in found)
    if as_json:
        document({"ok": not stopping, "checks": [one.json() for one in found]})
    warned = sum(one.level == "warning" for one in found)
    note(f"{len(found)} looked at: {stopping} wrong, {warned} to know of.")
    if stopping:
        raise Exit(FAILED)


def _findings(*, online: bool, full: bool) -> "Iterator[Finding]":
    from pydantic import ValidationError

    from nexus_api import diagnosis

    try:
        settings = read()
    except ValidationError as error:
        return diagnosis.unusable(wrong_settings(error))
    if settings.url:
        from nexus_api.diagnosis import server

        return server.findings(settings)
    return diagnosis.findings(settings, online=online, full=full)


def _print(one: "Finding") -> None:
    mark, style = _MARKS[one.level]
    line((mark, style), (f" {one.name:12} {clean(one.found)}", ""))
    if one.hint:
        line((clean(one.hint), ""), indent=19)
    if one.line:
        line((f"$ {clean(one.line)}", "cyan"), indent=19)

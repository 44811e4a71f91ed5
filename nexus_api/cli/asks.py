"""`nexus retry`, `rerun`, `cancel`, `rm`: what a person wants done to items."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option, Typer, confirm

from nexus_api.cli import WrongUse
from nexus_api.cli.completing import item_ids
from nexus_api.cli.opening import AsJson, opened
from nexus_api.cli.printing import clean, document, note, say

if TYPE_CHECKING:
    from nexus_api.cli.opening import Nexus
    from nexus_api.shown import Json

app = Typer()
Step = Literal["raw", "fingerprint", "transcript", "speakers", "translation", "enrichment", "embedding"]
"""A test compares them with the chain's."""
Ids = Annotated[list[str], Argument(metavar="ID", help="The first four characters may do.", autocompletion=item_ids)]


@app.command("retry")
def retry_command(
    ids: Annotated[list[str] | None, Argument(metavar="ID", autocompletion=item_ids)] = None,
    *,
    everything: Annotated[bool, Option("--all", help="Every failed item.")] = False,
    as_json: AsJson = False,
) -> None:
    """Try again what failed, is blocked or was cancelled; what is done is not done again."""
    if everything == bool(ids):
        raise WrongUse("name the items, or all failed ones with --all")
    nexus = opened()
    _answer(nexus.retry_all() if everything else nexus.ask("retry", _whole(nexus, ids or ())), as_json=as_json)


@app.command("rerun")
def rerun_command(
    ids: Ids,
    *,
    from_step: Annotated[Step | None, Option("--from", help="The first step that is done again.")] = None,
    as_json: AsJson = False,
) -> None:
    """Do items again, even what is done; a URL is fetched again if raw is among it."""
    nexus = opened()
    _answer(nexus.ask("rerun", _whole(nexus, ids), from_step), as_json=as_json)


@app.command("cancel")
def cancel_command(ids: Ids, *, as_json: AsJson = False) -> None:
    """Stop items; what has been done stays."""
    nexus = opened()
    _answer(nexus.ask("cancel", _whole(nexus, ids)), as_json=as_json)


@app.command("rm")
def rm_command(
    ids: Ids, *, yes: Annotated[bool, Option("--yes", "-y", help="Do not ask.")] = False, as_json: AsJson = False
) -> None:
    """Erase items: bytes, transcripts, passages, all of it. This cannot be undone."""
    if not yes and not sys.stdin.isatty():
        raise WrongUse("there is no terminal to ask on: say --yes to erase without being asked")
    nexus = opened()
    whole = _whole(nexus, ids)
    if not yes:
        for item in nexus.find(whole):
            note(f"{item['id']}  {clean(item['title'])}")
        confirm(f"Erase {len(whole)} for good?", abort=True, err=True)
    erased = [nexus.erase(item_id) for item_id in whole]
    if as_json:
        document({"items": erased, "next_cursor": None})
        return
    for one in erased:
        say(f"{one['item_id']}  erased: " + ", ".join(f"{n} {what}" for what, n in one["erased"].items()))


def _whole(nexus: "Nexus", ids: Sequence[str]) -> list[str]:
    """Whole ids, each once: all must be there before anything is done."""
    return list(dict.fromkeys(nexus.id_of(told) for told in ids))


def _answer(items: "list[Json]", *, as_json: bool) -> None:
    if as_json:
        document({"items": items, "next_cursor": None})
        return
    for item in items:
        say(f"{item['id']}  {clean(item['title'])}  ({item['state']})")
    if not items:
        note("Nothing to do: no item has failed.")

"""`nexus retry`, `rerun`, `cancel`, `rm`: what a person wants done to items."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from nexus_api.cli.opening import json_option, opened
from nexus_api.cli.printing import clean, document, note
from nexus_pipeline.domain.chain import STEPS

if TYPE_CHECKING:
    from nexus_api.cli.opening import Nexus
    from nexus_api.shown import Json

ids_argument = click.argument("ids", nargs=-1, required=True, metavar="ID...")


@click.command("retry")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@click.option("--all", "everything", is_flag=True, help="Every failed item.")
@json_option
def retry_command(ids: Sequence[str], *, everything: bool, as_json: bool) -> None:
    """Try again what failed, is blocked or was cancelled; what is done is not done again."""
    if everything == bool(ids):
        raise click.UsageError("name the items, or all failed ones with --all")
    nexus = opened()
    _answer(nexus.retry_all() if everything else nexus.ask("retry", _whole(nexus, ids)), as_json=as_json)


@click.command("rerun")
@ids_argument
@click.option("--from", "from_step", type=click.Choice(STEPS), help="The first step that is done again.")
@json_option
def rerun_command(ids: Sequence[str], from_step: str | None, *, as_json: bool) -> None:
    """Do items again, even what is done; a URL is fetched again if raw is among it."""
    nexus = opened()
    _answer(nexus.ask("rerun", _whole(nexus, ids), from_step), as_json=as_json)


@click.command("cancel")
@ids_argument
@json_option
def cancel_command(ids: Sequence[str], *, as_json: bool) -> None:
    """Stop items; what has been done stays."""
    nexus = opened()
    _answer(nexus.ask("cancel", _whole(nexus, ids)), as_json=as_json)


@click.command("rm")
@ids_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def rm_command(ids: Sequence[str], *, yes: bool, as_json: bool) -> None:
    """Erase items: bytes, transcripts, passages, all of it. This cannot be undone."""
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on: say --yes to erase without being asked")
    nexus = opened()
    whole = _whole(nexus, ids)
    if not yes:
        for item in nexus.find(whole):
            note(f"{item['id']}  {clean(item['title'])}")
        click.confirm(f"Erase {len(whole)} for good?", abort=True, err=True)
    erased = [nexus.erase(item_id) for item_id in whole]
    if as_json:
        document({"items": erased, "next_cursor": None})
        return
    for one in erased:
        click.echo(f"{one['item_id']}  erased: " + ", ".join(f"{n} {what}" for what, n in one["erased"].items()))


def _whole(nexus: "Nexus", ids: Sequence[str]) -> list[str]:
    """Whole ids, each once: all must be there before anything is done."""
    return list(dict.fromkeys(nexus.id_of(told) for told in ids))


def _answer(items: "list[Json]", *, as_json: bool) -> None:
    if as_json:
        document({"items": items, "next_cursor": None})
        return
    for item in items:
        click.echo(f"{item['id']}  {clean(item['title'])}  ({item['state']})")
    if not items:
        note("Nothing to do: no item has failed.")

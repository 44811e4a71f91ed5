"""`nexus search`: the moment at which something was said."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from nexus_api.cli.opening import json_option, opened
from nexus_api.cli.printing import clean, document, note

if TYPE_CHECKING:
    from nexus_api.shown import Json


@click.command("search")
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 1000))
@click.option("--mode", type=click.Choice(["hybrid", "words", "meaning"]), default="hybrid", show_default=True)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Such as language=en, tags=work, speaker=Ann, item_created_at=2026-01-01..2026-02-01. "
    "Several values of one field: one of them; several fields: all of them.",
)
@json_option
def search_command(words: Sequence[str], limit: int, mode: str, filters: Sequence[str], *, as_json: bool) -> None:
    """Find what was said, by its words and by its meaning."""
    wanted = parsed(filters)
    found = opened().search(" ".join(words), mode=mode, limit=limit, filters=wanted)
    if as_json:
        document(found)
        return
    for hit in found["hits"]:
        _print(hit)
    if not found["hits"]:
        note("Nothing is found.")


def parsed(filters: Sequence[str]) -> dict[str, Any]:
    """FIELD=VALUE to the filters of the contract; of instants FIELD=FROM..TO, of which one may be left out."""
    wanted: dict[str, Any] = {}
    for told in filters:
        field, mark, value = told.partition("=")
        if not mark or not field.strip():
            raise click.UsageError(f"--filter wants FIELD=VALUE, not {told!r}")
        field = field.strip()
        if field.endswith("_at"):
            first, mark, last = value.partition("..")
            if not mark:
                raise click.UsageError(f"--filter {field} wants FROM..TO, such as 2026-01-01..2026-02-01")
            wanted[field] = {name: at for name, at in (("gte", first), ("lt", last)) if at}
        elif value in {"true", "false"} and field == "partial":
            wanted[field] = value == "true"
        else:
            wanted[field] = [*wanted.get(field, []), value]
    return wanted


def _print(hit: "Json") -> None:
    from nexus_api.shown import clock

    who = f"  {clean(hit['speaker'])}" if hit["speaker"] else ""
    title = click.style(clean(hit["title"]), bold=True)
    click.echo(f"{title}  {click.style(clock(hit['start_s']), fg='cyan')}{who}  ({hit['item_id']})")
    click.echo(f"  {_lit(hit['text'], hit['highlights'])}")


def _lit(text: str, highlights: Sequence[Sequence[int]]) -> str:
    """The found words stand out; click leaves the colours away where stdout is no terminal."""
    pieces, at = [], 0
    for start, end in sorted((h[0], h[1]) for h in highlights):
        if start >= at:
            pieces += [_plain(text[at:start]), click.style(_plain(text[start:end]), fg="yellow", bold=True)]
            at = end
    return "".join([*pieces, _plain(text[at:])]).strip()


def _plain(text: str) -> str:
    """Without what could steer a terminal; spaces stay, as pieces are put together again."""
    return "".join(c if c.isprintable() else " " for c in text)

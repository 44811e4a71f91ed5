"""`nexus ls`, `nexus show`, `nexus transcript`: what is known of items."""

from typing import TYPE_CHECKING, cast

import click

from nexus_api.cli.opening import json_option, opened
from nexus_api.cli.printing import clean, document, note, table
from nexus_pipeline.domain.states import ItemState

if TYPE_CHECKING:
    from nexus_api.local import Form
    from nexus_api.shown import Json

PAGE = 200
"""Items asked for at once, as of the API."""


@click.command("ls")
@click.option("--state", "states", multiple=True, type=click.Choice([s.value for s in ItemState]))
@click.option("--tag", help="Items with this tag.")
@click.option("--kind", type=click.Choice(["audio", "video", "image", "text"]))
@click.option("--source", help="How it came: upload, inbox, url...")
@click.option("--title", "q", metavar="WORDS", help="Items whose title has these words in it.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1))
@click.option("--cursor", help="Go on where the last list ended (its next_cursor).")
@json_option
def ls_command(limit: int, cursor: str | None, *, as_json: bool, **filters: str | tuple[str, ...] | None) -> None:
    """List items, newest first."""
    nexus = opened()
    filters["states"] = tuple(ItemState(state) for state in filters["states"] or ())
    items: list[Json] = []
    while True:
        page = nexus.page(limit=min(limit - len(items), PAGE), cursor=cursor, **filters)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None or len(items) >= limit:
            break
    if as_json:
        document({"items": items, "next_cursor": cursor})
        return
    table(("id", "state", "title", "duration", "created"), [_row(item) for item in items])
    if not items:
        note("No item is there." if not any(filters.values()) else "No item is like this.")
    elif cursor:
        note(f"There are more: --limit {limit * 2}, or --cursor {cursor}")


def _row(item: "Json") -> tuple[str, ...]:
    from nexus_api.shown import clock

    long = clock(item["duration_s"]) if item["duration_s"] is not None else ""
    created = item["created_at"][:16].replace("T", " ")
    return (item["id"], _state(item), clean(item["title"]), long, created)


def _state(item: "Json") -> str:
    """With the step that runs, or the one that is to blame."""
    state = str(item["state"])
    if state in {"running", "failed", "blocked"}:
        at = next((step for step in item["steps"] if step["state"] == state), None)
        if at is not None:
            return f"{state}: {at['step']}" + (f" {at['progress']:.0%}" if state == "running" else "")
    return state


@click.command("show")
@click.argument("item_id", metavar="ID")
@json_option
def show_command(item_id: str, *, as_json: bool) -> None:
    """Show all that is known of an item, with its steps. ID: the first four characters may do."""
    nexus = opened()
    item = nexus.get(nexus.id_of(item_id))
    if as_json:
        document(item)
        return
    for name, value in item.items():
        if name != "steps" and value not in (None, "", []):
            click.echo(f"{name:13} {clean(', '.join(value) if isinstance(value, list) else str(value))}")
    click.echo()
    table(("step", "state", "seconds", "engine", ""), [_step_row(step) for step in item["steps"]])


def _step_row(step: "Json") -> tuple[str, ...]:
    why = step["reason"] or step["phase"] or ""
    if step["error"]:
        why = step["error"]["message"] or step["error"]["code"]
        if step["error"]["next_attempt_at"]:
            why += f" (tried again at {step['error']['next_attempt_at']})"
    seconds = f"{step['seconds']:.1f}" if step["seconds"] is not None else ""
    state = step["state"] + (f" {step['progress']:.0%}" if step["state"] == "running" else "")
    return (step["step"], state, seconds, step["engine"] or "", clean(why))


@click.command("transcript")
@click.argument("item_id", metavar="ID")
@click.option(
    "--format", "form", type=click.Choice(["txt", "srt", "vtt", "json", "md"]), default="txt", show_default=True
)
@click.option("--language", metavar="CODE", help="A translation, such as de; the spoken language if none is said.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def transcript_command(item_id: str, form: str, language: str | None, *, as_json: bool) -> None:
    """Print what was said; while an item is being heard, what has been heard so far."""
    nexus = opened()
    told = nexus.transcript(nexus.id_of(item_id), cast("Form", "json" if as_json else form), language)
    click.echo(told, nl=False)

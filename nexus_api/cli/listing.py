"""`nexus ls`, `nexus show`, `nexus transcript`: what is known of items."""

from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option, Typer, echo

from nexus_api.cli.completing import item_ids
from nexus_api.cli.opening import AsJson, opened
from nexus_api.cli.printing import Column, clean, document, note, say, table
from nexus_pipeline.domain.states import ItemState

if TYPE_CHECKING:
    from nexus_api.shown import Json

app = Typer()
PAGE = 200
"""Items asked for at once, as of the API."""
ItemId = Annotated[str, Argument(metavar="ID", help="The first four characters may do.", autocompletion=item_ids)]
_ITEMS = (
    Column("id"),
    Column("state", least=9),
    Column("title", least=12),
    Column("duration", goes=1),
    Column("created", goes=2),
)
_STEPS = (
    Column("step"),
    Column("state"),
    Column("seconds", goes=1),
    Column("engine", least=10, goes=2),
    Column("", least=16, wraps=True),
)


@app.command("ls")
def ls_command(
    *,
    state: Annotated[list[ItemState] | None, Option("--state", help="May be given several times.")] = None,
    tag: Annotated[str | None, Option(help="Items with this tag.")] = None,
    kind: Annotated[Literal["audio", "video", "image", "text"] | None, Option()] = None,
    source: Annotated[str | None, Option(help="How it came: upload, inbox, url...")] = None,
    title: Annotated[str | None, Option(metavar="WORDS", help="Items whose title has these words in it.")] = None,
    limit: Annotated[int, Option(min=1)] = 50,
    cursor: Annotated[str | None, Option(help="Go on where the last list ended (its next_cursor).")] = None,
    as_json: AsJson = False,
) -> None:
    """List items, newest first."""
    nexus = opened()
    filters = {"tag": tag, "kind": kind, "source": source, "q": title}
    items: list[Json] = []
    while True:
        page = nexus.page(limit=min(limit - len(items), PAGE), cursor=cursor, states=tuple(state or ()), **filters)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None or len(items) >= limit:
            break
    if as_json:
        document({"items": items, "next_cursor": cursor})
        return
    table(_ITEMS, [_row(item) for item in items])
    if not items:
        note("No item is like this." if state or any(filters.values()) else "No item is there.")
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


@app.command("show")
def show_command(item_id: ItemId, *, as_json: AsJson = False) -> None:
    """Show all that is known of an item, with its steps."""
    nexus = opened()
    item = nexus.get(nexus.id_of(item_id))
    if as_json:
        document(item)
        return
    for name, value in item.items():
        if name != "steps" and value not in (None, "", []):
            say(f"{name:13} {clean(', '.join(value) if isinstance(value, list) else str(value))}")
    say("")
    table(_STEPS, [_step_row(step) for step in item["steps"]])


def _step_row(step: "Json") -> tuple[str, ...]:
    why = step["reason"] or step["phase"] or ""
    if step["error"]:
        why = step["error"]["message"] or step["error"]["code"]
        if step["error"]["next_attempt_at"]:
            why += f" (tried again at {step['error']['next_attempt_at']})"
    seconds = f"{step['seconds']:.1f}" if step["seconds"] is not None else ""
    state = step["state"] + (f" {step['progress']:.0%}" if step["state"] == "running" else "")
    return (step["step"], state, seconds, step["engine"] or "", clean(why))


@app.command("transcript")
def transcript_command(
    item_id: ItemId,
    *,
    form: Annotated[Literal["txt", "srt", "vtt", "json", "md"], Option("--format")] = "txt",
    language: Annotated[
        str | None, Option(metavar="CODE", help="A translation, such as de; the spoken language if none is said.")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Print what was said; while an item is being heard, what has been heard so far."""
    nexus = opened()
    echo(nexus.transcript(nexus.id_of(item_id), "json" if as_json else form, language), nl=False)

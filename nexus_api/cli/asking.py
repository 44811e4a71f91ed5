"""`nexus ask`: an answer out of what was said, as it is written, then the sources on which it stands."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Exit, Option, Typer, echo

from nexus_api.cli import FAILED
from nexus_api.cli.completing import item_ids
from nexus_api.cli.opening import AsJson, opened
from nexus_api.cli.printing import Column, clean, document, note, say, table
from nexus_api.cli.searching import Filters, parsed, print_hit

if TYPE_CHECKING:
    from nexus_api.cli.opening import Nexus
    from nexus_api.shown import Json

app = Typer()
_SOURCES = (
    Column(""),
    Column("at"),
    Column("title", least=12),
    Column("quote", least=24, wraps=True),
    Column("id", goes=1),
)
Items = Annotated[
    list[str] | None,
    Option("--item", metavar="ID", help="Only out of this item; may be given several times.", autocompletion=item_ids),
]


@app.command("ask")
def ask_command(
    question: Annotated[list[str], Argument(metavar="QUESTION")],
    *,
    items: Items = None,
    chat: Annotated[str | None, Option(metavar="ID", help="Go on with a chat (its chat_id).")] = None,
    filters: Filters = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question out of what was said, with its sources.

    Ends with 1 when the archive does not say; what comes nearest is shown then.
    """
    wanted = parsed(filters or ())
    nexus = opened()
    ids = [nexus.id_of(told) for told in items or ()]
    asked: dict[str, Any] = {"chat_id": chat, "item_ids": ids, "filters": wanted or None}
    if as_json:
        told = nexus.chat(" ".join(question), **asked)
        document(told)
    else:
        told = told_of(nexus, " ".join(question), asked)
    if told["refused"]:
        raise Exit(FAILED)


def told_of(nexus: "Nexus", question: str, asked: Mapping[str, Any]) -> "Json":
    """Print the answer as it comes, then what it stands on; the body of the chat."""
    told: Json = {}
    for event in nexus.chatting(question, **asked):
        if event["event"] == "token":
            echo(_words(event["data"]["text"]), nl=False)
        elif event["event"] == "done":
            told = dict(event["data"])
    say("")
    _sources(nexus, told["citations"])
    for hit in told.get("nearest") or () if told["refused"] else ():
        print_hit(hit)
    unproven = [clean(one["text"]) for one in told.get("sentences") or () if not one["supported"]]
    if unproven and not told["refused"]:
        note("No quote stands for: " + " ".join(unproven))
    note(f"To go on: nexus ask --chat {told['chat_id']} ...")
    return told


def _words(text: str) -> str:
    """What an engine wrote: lines stay lines, and nothing steers the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def _sources(nexus: "Nexus", cited: "list[Json]") -> None:
    """Where it was said, and the words."""
    from nexus_api.shown import clock

    if not cited:
        return
    titles = {item["id"]: item["title"] for item in nexus.find(list(dict.fromkeys(c["item_id"] for c in cited)))}
    say("")
    rows = (
        (f"[{c['n']}]", clock(c["start_s"]), clean(titles.get(c["item_id"])), clean(c["quote"]), c["item_id"])
        for c in cited
    )
    table(_SOURCES, list(rows))

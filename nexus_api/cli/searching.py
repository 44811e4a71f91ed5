"""`nexus search`: the moment at which something was said."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option, Typer
from typer.core import TyperCommand

from nexus_api.cli import WrongUse
from nexus_api.cli.completing import filters as filters_offered
from nexus_api.cli.opening import AsJson, opened
from nexus_api.cli.printing import Column, Piece, clean, document, line, note, plain, table

if TYPE_CHECKING:
    from nexus_api.shown import Json

app = Typer()
_GROUPED = (
    Column("id"),
    Column("title", least=12),
    Column("at"),
    Column("speaker", least=6, goes=2),
    Column("said", least=16),
    Column("more", goes=1),
)
Filters = Annotated[
    list[str] | None,
    Option(
        "--filter",
        metavar="FIELD=VALUE",
        help="Such as language=en, tags=work, speaker=Ann, item_created_at=2026-01-01..2026-02-01. "
        "Several values of one field: one of them; several fields: all of them.",
        autocompletion=filters_offered,
    ),
]


class Search(TyperCommand):
    """`-train` is a word to leave out, as in every search, and no option; the only one with a single dash is `-h`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As ever, with such words behind all options."""
        end = args.index("--") if "--" in args else len(args)
        out = [a for a in args[:end] if len(a) > 1 and a[0] == "-" != a[1] and a != "-h"]
        rest = [a for a in args[:end] if a not in out]
        left = super().parse_args(ctx, [*rest, "--", *out, *args[end + 1 :]])
        return list(left)


@app.command("search", cls=Search)
def search_command(
    words: Annotated[list[str], Argument(metavar="WORDS", help='A `-word` is left out, a `"phrase"` stands so.')],
    *,
    limit: Annotated[int, Option(min=1, max=1000)] = 10,
    mode: Annotated[Literal["hybrid", "words", "meaning"], Option()] = "hybrid",
    filters: Filters = None,
    group: Annotated[
        Literal["item"] | None, Option(help="The best hits of an item together; --limit then counts items.")
    ] = None,
    no_merge: Annotated[
        bool, Option("--no-merge", help="Each passage is a hit of its own, even where one follows another.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find what was said, by its words and by its meaning."""
    wanted = parsed(filters or ())
    found = opened().search(" ".join(words), mode=mode, limit=limit, filters=wanted, group=group, merge=not no_merge)
    if as_json:
        document(found)
        return
    if found["groups"]:
        table(_GROUPED, [row for one in found["groups"] for row in _rows(one)])
    for hit in found["hits"] if group is None else ():
        print_hit(hit)
    if not found["hits"]:
        note("Nothing is found.")


def parsed(filters: Sequence[str]) -> dict[str, Any]:
    """FIELD=VALUE to the filters of the contract; of instants FIELD=FROM..TO, of which one may be left out."""
    wanted: dict[str, Any] = {}
    for told in filters:
        field, mark, value = told.partition("=")
        if not mark or not field.strip():
            raise WrongUse(f"--filter wants FIELD=VALUE, not {told!r}")
        field = field.strip()
        if field.endswith("_at"):
            first, mark, last = value.partition("..")
            if not mark:
                raise WrongUse(f"--filter {field} wants FROM..TO, such as 2026-01-01..2026-02-01")
            wanted[field] = {name: at for name, at in (("gte", first), ("lt", last)) if at}
        elif value in {"true", "false"} and field == "partial":
            wanted[field] = value == "true"
        else:
            wanted[field] = [*wanted.get(field, []), value]
    return wanted


def _rows(group: "Json") -> list[tuple[str, ...]]:
    """A row a hit; the first one says how many more there are."""
    from nexus_api.shown import clock

    rows: list[tuple[str, ...]] = []
    for hit in group["hits"]:
        more = f"+{group['more']}" if group["more"] and not rows else ""
        told = clean(group["title"]), clock(hit["start_s"]), clean(hit["speaker"]), clean(hit["text"]), more
        rows.append((group["item_id"], *told))
    return rows


def print_hit(hit: "Json") -> None:
    """Where it was said, by whom, and the words."""
    from nexus_api.shown import clock

    who = f"  {clean(hit['speaker'])}" if hit["speaker"] else ""
    line((clean(hit["title"]), "bold"), ("  ", ""), (clock(hit["start_s"]), "cyan"), (f"{who}  ({hit['item_id']})", ""))
    line(*_lit(hit["text"], hit["highlights"]), indent=2)


def _lit(text: str, highlights: Sequence[Sequence[int]]) -> list[Piece]:
    """The found words stand out."""
    pieces: list[Piece] = []
    at = 0
    for start, end in sorted((h[0], h[1]) for h in highlights):
        if start >= at:
            pieces += [(plain(text[at:start]), ""), (plain(text[start:end]), "bold yellow")]
            at = end
    return [*pieces, (plain(text[at:]), "")]

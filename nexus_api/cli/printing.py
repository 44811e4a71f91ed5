"""What is printed where: facts on stdout, everything else on stderr; colours and bars on a terminal only.

Whatever comes from items is text and nothing else: what could steer a terminal is left out, and rich is never given
markup. In a pipe there are no colours and no drawn tables: columns are separated by tabs, which `cut` and `awk` read.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

GAP = 2
"""Cells between two columns."""
Piece = tuple[str, str]
"""Text and its style, as rich names styles."""


def document(body: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(body, ensure_ascii=False, indent=2))


def note(text: str) -> None:
    """Lines for people on stderr."""
    typer.echo("".join(c if c.isprintable() or c == "\n" else " " for c in text), err=True)


def say(text: str) -> None:
    """A line of facts on stdout."""
    typer.echo(text)


def clean(text: str | None) -> str:
    """Words of an item on one line: whatever could steer a terminal is left out."""
    return "".join(c for c in " ".join((text or "").split()) if c.isprintable())


def plain(text: str) -> str:
    """The same for a piece of a text: it keeps its length, and spaces stay, as pieces are put together again."""
    return "".join(c if c.isprintable() else " " for c in text)


def console(*, err: bool = False) -> "Console":
    """Of the terminal: its width and its colours (`NO_COLOR`, `COLUMNS` and `TERM` count)."""
    from rich.console import Console

    return Console(stderr=err, highlight=False, markup=False, emoji=False)


def line(*pieces: Piece, indent: int = 0) -> None:
    """Styled text on stdout; on a terminal it is wrapped below its own beginning."""
    if not sys.stdout.isatty():
        typer.echo(" " * indent + "".join(text for text, _ in pieces).rstrip())
        return
    from rich.padding import Padding
    from rich.text import Text

    text = Text.assemble(*pieces)
    text.rstrip()
    console().print(Padding(text, (0, 0, 0, indent)))


# ---------------------------------------------------------------- tables


@dataclass(frozen=True, slots=True)
class Column:
    """A column on a terminal: what happens to it where the terminal is narrow."""

    head: str
    least: int | None = None
    """Cells that it keeps when it is cut; None: it is never cut."""
    goes: int = 0
    """The column with the highest number is left out first; 0: never."""
    wraps: bool = False
    """It is continued below instead of being cut."""


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Columns: fitted to the terminal, long ones cut with an ellipsis; in a pipe all of them, whole, between tabs."""
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(row))
        return
    from rich.table import Table
    from rich.text import Text

    terminal = console()
    widths = fitted(columns, rows, terminal.width)
    drawn = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for at, width in widths.items():
        one = columns[at]
        drawn.add_column(one.head, width=width, no_wrap=not one.wraps, overflow="fold" if one.wraps else "ellipsis")
    for row in rows:
        drawn.add_row(*(Text(row[at]) for at in widths))
    terminal.print(drawn)


def fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> dict[int, int]:
    """Which columns are shown, and in how many cells each: wide characters take two."""
    from rich.cells import cell_len

    shown = [at for at, one in enumerate(columns) if one.head or any(row[at] for row in rows)]
    wanted = {at: max([cell_len(columns[at].head), *(cell_len(row[at]) for row in rows)]) for at in shown}
    while True:
        widths = {at: wanted[at] for at in shown}
        room = width - GAP * (len(shown) - 1)
        while sum(widths.values()) > room and (cut := _widest(columns, widths)) is not None:
            widths[cut] -= 1
        if sum(widths.values()) <= room:
            return widths
        last = max(shown, key=lambda at: columns[at].goes)
        if not columns[last].goes:
            return widths
        shown.remove(last)


def _widest(columns: Sequence[Column], widths: dict[int, int]) -> int | None:
    """The widest column that can still be cut."""
    can = [at for at, now in widths.items() if (least := columns[at].least) is not None and now > least]
    return max(can, key=lambda at: widths[at], default=None)


# ---------------------------------------------------------------- progress


class Bar:
    """Progress on stderr; where that is no terminal nobody looks."""

    def __init__(self, what: str, drawn: "tuple[Progress, TaskID] | None" = None) -> None:
        """Of `what`."""
        self._what, self._drawn = what, drawn

    def show(self, done: float, now: str | None = None, total: float | None = None) -> None:
        """How much is done and, if that changes, what is going on now and how much there is."""
        if self._drawn is not None:
            progress, task = self._drawn
            progress.update(task, completed=done, total=total, description=clean(now or self._what))

    def landed(self, text: str) -> None:
        """A line that stays above the bar."""
        if self._drawn is not None:
            from rich.text import Text

            self._drawn[0].console.print(Text(clean(text)))


@contextmanager
def bar(what: str, total: float | None = None, *, of_bytes: bool = False) -> Iterator[Bar]:
    """A bar as long as this lasts; without a total it only shows that something goes on. None in a pipe."""
    if not sys.stderr.isatty():
        yield Bar(what)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column as Drawn

    name = TextColumn("{task.description}", markup=False, table_column=Drawn(ratio=1, no_wrap=True))
    much = (DownloadColumn(),) if of_bytes else (TaskProgressColumn(),) if total is not None else ()
    columns = (name, BarColumn(bar_width=20), *much, TimeElapsedColumn())
    # stdout stays what it is: what is printed there meanwhile are facts
    with Progress(*columns, console=console(err=True), transient=True, expand=True, redirect_stdout=False) as progress:
        yield Bar(what, (progress, progress.add_task(clean(what), total=total)))

"""What is printed where: facts on stdout, everything else on stderr; colours and bars on a terminal only."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click


def document(body: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(body, ensure_ascii=False, indent=2))


def note(text: str) -> None:
    """A line for people on stderr."""
    click.echo(text, err=True)


def clean(text: str | None) -> str:
    """Words of an item on one line: whatever could steer a terminal is left out."""
    return "".join(c for c in " ".join((text or "").split()) if c.isprintable())


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns: drawn and fitted on a terminal, separated by tabs in a pipe (`cut` and `awk` read them)."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        drawn.add_column(header, no_wrap=header == "id")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console().print(drawn)


@contextmanager
def bar(what: str, total: float | None = None) -> Iterator[Callable[[float, str | None], None]]:
    """Progress on stderr. Call it with how much is done and, if that changes, what is going on now."""
    if not sys.stderr.isatty():
        yield _nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        shown = progress.add_task(what, total=total)

        def show(done: float, now: str | None) -> None:
            progress.update(shown, completed=done, description=now or what)

        yield show


def _nothing(done: float, now: str | None) -> None:
    """Where nobody looks."""

"""`nexus add`: files, folders and URLs become items."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option, Typer

from nexus_api.cli import Failed, WrongUse
from nexus_api.cli.completing import engines_of_steps
from nexus_api.cli.opening import AsJson, opened
from nexus_api.cli.printing import bar, clean, document, say

if TYPE_CHECKING:
    from nexus_api.adding import Offered, Said
    from nexus_api.cli.opening import Nexus
    from nexus_api.shown import Json
    from nexus_pipeline.domain.errors import NexusError

    Added = tuple[Json, bool]

app = Typer()


@app.command("add")
def add_command(
    what: Annotated[list[str], Argument(metavar="PATH_OR_URL")],
    *,
    title: Annotated[str | None, Option(help="Instead of the file's name or the page's title.")] = None,
    tags: Annotated[list[str] | None, Option("--tag", help="May be given several times.")] = None,
    language: Annotated[
        str | None, Option(metavar="CODE", help="What is spoken, such as en; heard for if not told.")
    ] = None,
    prompt: Annotated[
        str | None, Option(metavar="TEXT", help="What the speech engine is told before it listens.")
    ] = None,
    vocabulary: Annotated[str, Option(metavar="WORD,WORD", help="Names and jargon that may be said.")] = "",
    priority: Annotated[Literal["low", "normal", "high"], Option()] = "normal",
    engines: Annotated[
        list[str] | None,
        Option(
            "--engine",
            metavar="STEP=ENGINE:MODEL",
            help="May be given several times.",
            autocompletion=engines_of_steps,
        ),
    ] = None,
    wait: Annotated[bool, Option("--wait", help="Until all have ended; exit 1 if one failed or is blocked.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add files, all files below a folder, or URLs. What is there already is not added again."""
    wanted = _wishes(
        title=title,
        tags=tags or (),
        language=language,
        prompt=prompt,
        vocabulary=vocabulary,
        priority=priority,
        engines=engines or (),
    )
    nexus = opened(makes=True)
    added, failed = _add_all(nexus, what, wanted)
    ids = list(dict.fromkeys(item["id"] for item, _ in added))
    if wait and ids:
        from nexus_api.cli.waiting import until_ended

        failed += until_ended(nexus, ids)
    if as_json:
        document({"items": nexus.find(ids), "next_cursor": None})
    else:
        now = {item["id"]: item for item in nexus.find(ids)}
        for told, new in added:
            item = now.get(told["id"])
            if item is not None:
                there = "" if new else "already there, "
                say(f"{item['id']}  {clean(item['title'])}  ({there}{item['state']})")
    if failed:
        raise Failed("\n".join(failed))


def _wishes(
    *,
    title: str | None,
    tags: Sequence[str],
    language: str | None,
    prompt: str | None,
    vocabulary: str,
    priority: str,
    engines: Sequence[str],
) -> "Said":
    from nexus_api.adding import Said
    from nexus_api.models import choice
    from nexus_pipeline.domain.errors import BadInput
    from nexus_pipeline.domain.items import LOCAL, Priority

    try:
        chosen = dict(choice(told) for told in engines)
    except BadInput as error:
        raise WrongUse(str(error)) from error
    words = tuple(dict.fromkeys(word.strip() for word in vocabulary.split(",") if word.strip()))
    return Said(LOCAL, title, tuple(dict.fromkeys(tags)), language, chosen, Priority(priority), prompt, words)


def _add_all(nexus: "Nexus", what: Sequence[str], wishes: "Said") -> tuple[list["Added"], list[str]]:
    """What was added, and what is wrong with the rest: one that is missing does not stop the others."""
    from nexus_api.adding import files_at, is_url, offered
    from nexus_pipeline.domain.errors import BadInput, NexusError, NotFound

    added: list[Added] = []
    failed: list[str] = []
    paths: list[Path] = []
    for told in what:
        try:
            if is_url(told):
                added.append(nexus.add_url(told, wishes))
                continue
            below = list(files_at(Path(told)))
            paths += below
            if not below:
                failed.append(f"there is no file below {told}")
        except (BadInput, NotFound) as error:
            failed.append(str(error))
    for one in _add_files(nexus, offered(paths), wishes):
        if isinstance(one, NexusError):
            failed.append(str(one))
        else:
            added.append(one)
    return added, failed


def _add_files(nexus: "Nexus", files: Sequence["Offered"], wishes: "Said") -> "Iterator[Added | NexusError]":
    """Each as it has been added, or why it could not be: it went away, may not be read, or is too large."""
    from nexus_pipeline.domain.errors import BadInput, NotFound

    sizes = [_size(file.path) for file in files]
    with bar("adding", sum(sizes), of_bytes=True) as shown:
        for at, file in enumerate(files):
            before, many = sum(sizes[:at]), f" ({at + 1} of {len(files)})" if len(files) > 1 else ""
            now = f"adding {file.path.name}{many}"

            def show(done: int, of: int, before: int = before, size: int = sizes[at], now: str = now) -> None:
                shown.show(before + size * done / max(of, 1), now)

            show(0, 1)
            try:
                yield nexus.add_file(file, wishes, show)
            except (BadInput, NotFound) as refused:
                yield refused


def _size(path: Path) -> int:
    """Bytes; none where it went away meanwhile, which adding it will say."""
    try:
        return path.stat().st_size
    except OSError:
        return 0

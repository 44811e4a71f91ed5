"""`nexus add`: files, folders and URLs become items."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nexus_api.cli import Failed
from nexus_api.cli.opening import json_option, opened
from nexus_api.cli.printing import bar, clean, document, note

if TYPE_CHECKING:
    from nexus_api.adding import Offered, Said
    from nexus_api.cli.opening import Nexus
    from nexus_api.shown import Json
    from nexus_pipeline.domain.errors import NexusError

    Added = tuple[Json, bool]

LOOK_S = 0.3
"""How often a waiting `add` looks."""
NOBODY_S = 10.0
"""After so long without a step having begun it says that nobody seems to work."""
ENDED = {"done", "duplicate", "failed", "cancelled", "blocked"}
FINE = {"done", "duplicate"}


@click.command("add")
@click.argument("what", nargs=-1, required=True, metavar="PATH_OR_URL...")
@click.option("--title", help="Instead of the file's name or the page's title.")
@click.option("--tag", "tags", multiple=True, help="May be given several times.")
@click.option("--language", metavar="CODE", help="What is spoken, such as en; heard for if not told.")
@click.option("--prompt", metavar="TEXT", help="What the speech engine is told before it listens.")
@click.option("--vocabulary", metavar="WORD,WORD", default="", help="Names and jargon that may be said.")
@click.option("--priority", type=click.Choice(["low", "normal", "high"]), default="normal", show_default=True)
@click.option("--engine", "engines", multiple=True, metavar="STEP=ENGINE:MODEL", help="May be given several times.")
@click.option("--wait", is_flag=True, help="Until all have ended; exit 1 if one failed or is blocked.")
@json_option
def add_command(what: Sequence[str], *, wait: bool, as_json: bool, **wishes: Any) -> None:
    """Add files, all files below a folder, or URLs. What is there already is not added again."""
    wanted = _wishes(**wishes)
    nexus = opened(makes=True)
    added, failed = _add_all(nexus, what, wanted)
    ids = list(dict.fromkeys(item["id"] for item, _ in added))
    if wait and ids:
        failed += _wait(nexus, ids)
    if as_json:
        document({"items": nexus.find(ids), "next_cursor": None})
    else:
        now = {item["id"]: item for item in nexus.find(ids)}
        for told, new in added:
            item = now.get(told["id"])
            if item is not None:
                there = "" if new else "already there, "
                click.echo(f"{item['id']}  {clean(item['title'])}  ({there}{item['state']})")
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
        raise click.UsageError(str(error)) from error
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

    with bar("adding", len(files)) as show:
        for done, file in enumerate(files):
            text = f"adding {clean(file.path.name)}"
            show(done, text)

            def sent(sent: int, of: int, done: int = done, text: str = text) -> None:
                show(done + sent / max(of, 1), text)

            try:
                yield nexus.add_file(file, wishes, sent)
            except (BadInput, NotFound) as refused:
                yield refused


def _wait(nexus: "Nexus", ids: Sequence[str]) -> list[str]:
    """Until all have ended or are gone; what went wrong with each that did not end well."""
    open_ids, ended, began = list(ids), [], time.monotonic()
    warned = False
    with bar("waiting", len(ids)) as show:
        while True:
            items = nexus.find(open_ids)
            over = [item for item in items if item["state"] in ENDED]
            running = [item for item in items if item["state"] not in ENDED]
            ended += over
            open_ids = [item["id"] for item in running]
            if not open_ids:
                break
            show(len(ids) - len(open_ids) + sum(map(_share, running)), _now(running))
            if not warned and time.monotonic() - began > NOBODY_S and not any(_begun(item) for item in items):
                warned = True
                note("Nothing has begun yet: is `nexus up` running?")
            time.sleep(LOOK_S)
    return [_what_failed(item) for item in ended if item["state"] not in FINE]


def _share(item: "Json") -> float:
    """How much of the item is done, 0 to 1: steps count alike."""
    done = {"done": 1.0, "skipped": 1.0}
    return float(sum(done.get(step["state"], step["progress"]) for step in item["steps"]) / len(item["steps"]))


def _begun(item: "Json") -> bool:
    return any(step["attempt"] for step in item["steps"])


def _now(running: Sequence["Json"]) -> str:
    """What goes on, of the first item that is being worked on."""
    for item in running:
        for step in item["steps"]:
            if step["state"] == "running":
                phase = f", {step['phase']}" if step["phase"] else ""
                return f"{clean(item['title'])[:40]}: {step['step']}{phase} {step['progress']:.0%}"
    return f"{len(running)} waiting"


def _what_failed(item: "Json") -> str:
    for step in item["steps"]:
        if step["state"] in {"failed", "blocked", "cancelled"}:
            why = step["error"]["message"] if step["error"] else step["reason"]
            return f"{item['id']}: {step['step']} is {step['state']}" + (f": {why}" if why else "")
    return f"{item['id']} is {item['state']}"

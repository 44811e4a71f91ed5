"""`nexus models`: the engines, and which of their models are on this machine."""

from typing import TYPE_CHECKING

import click

from nexus_api.cli import FAILED
from nexus_api.cli.opening import json_option, settings
from nexus_api.cli.printing import bar, clean, document, note, table

if TYPE_CHECKING:
    from nexus_api.shown import Json


@click.group("models", invoke_without_command=True)
@click.option("--check", is_flag=True, help="Compare every file with the digest that it had when it was fetched.")
@json_option
@click.pass_context
def models_command(ctx: click.Context, *, check: bool, as_json: bool) -> None:
    """List engines and models; `get` fetches one, `rm` removes one.

    Ends with 1 when --check finds a model that is damaged; `nexus models get` fetches it anew.
    """
    if ctx.invoked_subcommand is not None:
        return
    from nexus_api.models import listed
    from nexus_pipeline.wiring import Parts

    rows = listed(Parts(settings()), check=check)
    if as_json:
        document({"models": rows})
    else:
        _printed(rows)
    if check and any(row["damaged"] for row in rows):
        ctx.exit(FAILED)


def _printed(rows: "list[Json]") -> None:
    from nexus_api.shown import size

    table(
        ("engine", "step", "state", "size", "licence", "", "place"),
        [
            (
                row["engine"],
                row["step"],
                row["state"],
                size(row["bytes"]) if row["bytes"] else "",
                row["licence"] or "",
                "chosen" if row["chosen"] else "",
                row["place"] or "",
            )
            for row in rows
        ],
    )
    for row in rows:
        if row["damaged"]:
            files = ", ".join(row["damaged"])
            note(f"{row['engine']} is damaged ({files}): `nexus models get {row['engine']}` fetches it anew")
        elif row["chosen"] and row["missing"]:
            note(clean(row["missing"]))


@models_command.command("get")
@click.argument("engine", metavar="ENGINE:MODEL")
@json_option
def get_command(engine: str, *, as_json: bool) -> None:
    """Fetch a model, if it is not on this machine. What has come of it is kept when it is stopped."""
    from nexus_api.models import get
    from nexus_pipeline.wiring import Parts

    note(f"Looking for {engine}; fetching may take minutes.")
    with bar(f"fetching {engine}", total=1.0) as show:
        name = get(Parts(settings()), engine, lambda done: show(done, None), lambda: False)
    if as_json:
        document({"engine": name, "ready": True})
    else:
        click.echo(f"{name} is ready")


@models_command.command("rm")
@click.argument("engine", metavar="ENGINE:MODEL")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
def rm_command(engine: str, *, yes: bool, as_json: bool) -> None:
    """Remove a model from this machine."""
    from nexus_api.lock import holder
    from nexus_api.models import kept, remove
    from nexus_api.shown import size
    from nexus_pipeline.wiring import Parts

    found = settings()
    parts = Parts(found)
    model = kept(parts, engine)
    if holder(found.root) is not None:
        note("Nexus is running: what it has loaded goes on working until it ends.")
    if model.chosen:
        note(f"{model.engine} is chosen: it is fetched again when it is next needed.")
    if not yes:
        click.confirm(f"Remove {model.engine}, {size(model.bytes)} in {model.place}?", abort=True, err=True)
    freed = remove(parts, model)
    if as_json:
        document({"engine": model.engine, "place": str(model.place), "freed_bytes": freed})
    else:
        click.echo(f"removed {model.engine}: {size(freed)} are free")

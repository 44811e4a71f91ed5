"""`nexus models`: the engines, and which of their models are on this machine."""

import click

from nexus_api.cli.opening import json_option, settings
from nexus_api.cli.printing import clean, document, note, table


@click.group("models", invoke_without_command=True)
@json_option
@click.pass_context
def models_command(ctx: click.Context, *, as_json: bool) -> None:
    """List engines and models; `nexus models get ENGINE:MODEL` fetches one."""
    if ctx.invoked_subcommand is not None:
        return
    from nexus_api.models import listed
    from nexus_api.shown import size
    from nexus_pipeline.wiring import Parts

    rows = listed(Parts(settings()))
    if as_json:
        document({"models": rows})
        return
    table(
        ("engine", "step", "state", "size", ""),
        [
            (
                row["engine"],
                row["step"],
                "ready" if row["ready"] else "missing",
                size(row["bytes"]) if row["bytes"] else "",
                "chosen" if row["chosen"] else "",
            )
            for row in rows
        ],
    )
    for row in rows:
        if row["chosen"] and row["missing"]:
            note(clean(row["missing"]))


@models_command.command("get")
@click.argument("engine", metavar="ENGINE:MODEL")
@json_option
def get_command(engine: str, *, as_json: bool) -> None:
    """Fetch a model, if it is not on this machine."""
    from nexus_api.models import get
    from nexus_pipeline.wiring import Parts

    note(f"Looking for {engine}; fetching may take minutes.")
    name = get(Parts(settings()), engine)
    if as_json:
        document({"engine": name, "ready": True})
    else:
        click.echo(f"{name} is ready")

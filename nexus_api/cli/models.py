"""`nexus models`: the engines, and which of their models are on this machine."""

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Context, Exit, Option, Typer, confirm

from nexus_api.cli import FAILED
from nexus_api.cli.completing import models as models_offered
from nexus_api.cli.opening import AsJson, opened, read, settings
from nexus_api.cli.printing import Column, bar, clean, document, note, say, table

if TYPE_CHECKING:
    from nexus_api.shown import Json

app = Typer()
_models = Typer()
app.add_typer(_models, name="models")
Model = Annotated[str, Argument(metavar="ENGINE:MODEL", autocompletion=models_offered)]
_COLUMNS = (
    Column("engine", least=16),
    Column("step", goes=1),
    Column("state"),
    Column("size", goes=2),
    Column("licence", least=8, goes=3),
    Column("chosen"),
    Column("place", least=12, goes=4),
)


@_models.callback(invoke_without_command=True)
def models_command(
    ctx: Context,
    *,
    check: Annotated[
        bool, Option("--check", help="Compare every file with the digest that it had when it was fetched.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List engines and models; `get` fetches one, `rm` removes one.

    Ends with 1 when --check finds a model that is damaged; `nexus models get` fetches it anew.
    """
    if ctx.invoked_subcommand is not None:
        return
    if read().url:
        rows = opened().models(check=check)
    else:  # nothing is made for looking
        from nexus_api.models import listed
        from nexus_pipeline.wiring import Parts

        rows = listed(Parts(settings()), check=check)
    if as_json:
        document({"models": rows})
    else:
        _printed(rows)
    if check and any(row["damaged"] for row in rows):
        raise Exit(FAILED)


def _printed(rows: "list[Json]") -> None:
    from nexus_api.shown import size

    table(
        _COLUMNS,
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


@_models.command("get")
def get_command(engine: Model, *, as_json: AsJson = False) -> None:
    """Fetch a model, if it is not on this machine. What has come of it is kept when it is stopped."""
    from nexus_api.models import get
    from nexus_pipeline.wiring import Parts

    note(f"Looking for {engine}; fetching may take minutes.")
    with bar(f"fetching {engine}", total=1.0) as shown:
        name = get(Parts(settings()), engine, shown.show, lambda: False)
    if as_json:
        document({"engine": name, "ready": True})
    else:
        say(f"{name} is ready")


@_models.command("rm")
def rm_command(
    engine: Model, *, yes: Annotated[bool, Option("--yes", "-y", help="Do not ask.")] = False, as_json: AsJson = False
) -> None:
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
        confirm(f"Remove {model.engine}, {size(model.bytes)} in {model.place}?", abort=True, err=True)
    freed = remove(parts, model)
    if as_json:
        document({"engine": model.engine, "place": str(model.place), "freed_bytes": freed})
    else:
        say(f"removed {model.engine}: {size(freed)} are free")

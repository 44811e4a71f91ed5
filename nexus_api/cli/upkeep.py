"""`nexus rebuild`, `nexus care`: keeping the archive true and quick."""

import click

from nexus_api.cli import Failed
from nexus_api.cli.opening import here, json_option
from nexus_api.cli.printing import bar, document, note


@click.command("rebuild")
@json_option
def rebuild_command(*, as_json: bool) -> None:
    """Write the archive anew from what is kept; nothing is heard or computed again."""
    nexus = here()
    with bar("rebuilding", nexus.count()) as show:
        counts = nexus.rebuild(lambda done: show(done, None))
    if as_json:
        document(counts)
    else:
        click.echo(", ".join(f"{number} {what}" for what, number in counts.items()))
    if counts.get("stale"):
        note(
            f"{counts['stale']} items have no vectors for the embedder in use: `nexus rerun ID --from embedding` makes "
            "them"
        )


@click.command("care")
@click.option("--full", is_flag=True, help="Also what takes long.")
@json_option
def care_command(*, full: bool, as_json: bool) -> None:
    """Compact and index the archive, and look whether the stores agree; exit 1 if they do not."""
    nexus = here()
    with bar("caring"):
        done = nexus.tend(full=full)
    with bar("checking"):
        wrong = nexus.check()
    if as_json:
        document({"done": done, "disagree": wrong})
    else:
        for what, number in done.items():
            click.echo(f"{what:24} {number:g}")
    if wrong:
        raise Failed("the stores do not agree:\n" + "\n".join(wrong))
    note("The stores agree.")

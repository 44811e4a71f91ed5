"""`nexus rebuild`, `nexus care`: keeping the archive true and quick."""

from typing import Annotated

from typer import Option, Typer

from nexus_api.cli import Failed
from nexus_api.cli.opening import AsJson, here
from nexus_api.cli.printing import bar, document, note, say

app = Typer()


@app.command("rebuild")
def rebuild_command(*, as_json: AsJson = False) -> None:
    """Write the archive anew from what is kept; nothing is heard or computed again."""
    nexus = here()
    with bar("rebuilding", nexus.count()) as shown:
        counts = nexus.rebuild(shown.show)
    if as_json:
        document(counts)
    else:
        say(", ".join(f"{number} {what}" for what, number in counts.items()))
    if counts.get("stale"):
        note(
            f"{counts['stale']} items have no vectors for the embedder in use: `nexus rerun ID --from embedding` makes "
            "them"
        )


@app.command("care")
def care_command(
    *, full: Annotated[bool, Option("--full", help="Also what takes long.")] = False, as_json: AsJson = False
) -> None:
    """Compact and index the archive, and look whether the stores agree; exit 1 if they do not."""
    nexus = here()
    with bar("caring"):
        done = nexus.tend(full=full)
    with bar("checking", nexus.count()) as shown:
        wrong = nexus.check(shown.show)
    if as_json:
        document({"done": done, "disagree": wrong})
    else:
        for what, number in done.items():
            say(f"{what:24} {number:g}")
    if wrong:
        raise Failed("the stores do not agree:\n" + "\n".join(wrong))
    note("The stores agree.")

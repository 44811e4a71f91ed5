"""`nexus doctor`: what is there, what is missing, and what to do about it."""

from dataclasses import asdict

import click

from nexus_api.cli import FAILED
from nexus_api.cli.opening import json_option, settings
from nexus_api.cli.printing import clean, document, note


@click.command("doctor")
@json_option
@click.pass_context
def doctor_command(ctx: click.Context, *, as_json: bool) -> None:
    """Look at everything that Nexus needs; exit 1 if something is wrong."""
    from nexus_api.diagnosis import findings

    found = []
    for one in findings(settings()):
        found.append(one)
        if not as_json:
            mark = click.style("ok   ", fg="green") if one.ok else click.style("WRONG", fg="red")
            click.echo(f"{mark} {one.name:12} {clean(one.found)}")
            if one.hint:
                click.echo(f"      {'':12} {clean(one.hint)}")
    wrong = [one for one in found if not one.ok]
    if as_json:
        document({"ok": not wrong, "checks": [asdict(one) for one in found]})
    if wrong:
        note(f"{len(wrong)} of {len(found)} things are wrong.")
        ctx.exit(FAILED)

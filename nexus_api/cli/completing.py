"""What a shell offers while one types: ids, engines, fields. Whatever goes wrong here, nothing is offered.

A person who presses Tab wants neither a message nor to wait, and nothing is made: no home, no catalog.
"""

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from nexus_api.cli.opening import Nexus

Offer = tuple[str, str]
"""What can be written, and what it is."""
MOST = 50
"""Ids that are offered at once."""
WAITS_S = 1.5
"""A server that has not answered by then is not waited for."""
FILTERS = ("item_created_at", "item_id", "kind", "language", "month", "partial", "source", "speaker", "tags")
"""A test compares them with the archive's."""


def item_ids(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Ids with their titles, the newest first; those that were written already are left out."""
    written = {str(told) for told in ctx.params.get("ids") or ()}
    return _offered(lambda: _ids(incomplete, written))


def _ids(incomplete: str, written: set[str]) -> Iterable[Offer]:
    from nexus_api.cli.printing import clean

    nexus = _there()
    if nexus is None:
        return
    for item in nexus.page(limit=MOST, ids=(incomplete.lower(),) if incomplete else ())["items"]:
        if item["id"] not in written:
            yield item["id"], clean(item["title"])


def _there() -> "Nexus | None":
    from nexus_api.cli.opening import is_forgotten, read
    from nexus_api.local import Local

    found = read()
    if found.url:
        from nexus_api.client import Remote

        return Remote(found.url, found.key.get_secret_value() if found.key else None, patience_s=WAITS_S)
    if is_forgotten(found) or (found.catalog is None and not (found.root / "catalog.sqlite").exists()):
        return None
    return Local(found)


def engines_of_steps(incomplete: str) -> list[Offer]:
    """`STEP=ENGINE`, for the steps whose engine a person can choose."""
    return _offered(lambda: _engines(incomplete))


def _engines(incomplete: str) -> Iterable[Offer]:
    from nexus_api.models import OPTIONAL
    from nexus_pipeline.wiring import CATALOGUES

    for step in sorted(OPTIONAL):
        for engine in sorted(CATALOGUES[step]):
            if (told := f"{step}={engine}").startswith(incomplete):
                yield told, f"engine of {step}"


def models(incomplete: str) -> list[Offer]:
    """`ENGINE:MODEL` of everything that `nexus models` lists."""
    return _offered(lambda: _models(incomplete))


def _models(incomplete: str) -> Iterable[Offer]:
    from nexus_api.cli.opening import settings
    from nexus_api.models import listed
    from nexus_pipeline.wiring import Parts

    for row in listed(Parts(settings())):
        if row["engine"].startswith(incomplete):
            yield row["engine"], f"{row['step']}, {row['state']}"


def filters(incomplete: str) -> list[Offer]:
    """The fields by which a search can be narrowed."""
    return [(f"{name}=", "") for name in FILTERS if name.startswith(incomplete)]


def _offered(look: Callable[[], Iterable[Offer]]) -> list[Offer]:
    logging.disable(logging.CRITICAL)
    try:
        return list(look())
    except Exception:  # noqa: BLE001 - the shell would print it into the line that is being typed
        return []
    finally:
        logging.disable(logging.NOTSET)

"""What every command begins with: the settings, and what it asks of Nexus."""

import logging
from typing import TYPE_CHECKING, Annotated

from typer import Option

from nexus_api.cli import NOT_SET_UP, WRONG_USE, Failed
from nexus_api.cli.printing import note
from nexus_api.local import Local
from nexus_pipeline import logs
from nexus_pipeline.domain.errors import StoreFull
from nexus_pipeline.settings import Settings

if TYPE_CHECKING:
    from nexus_api.client import Remote

    Nexus = Local | Remote
    """On this machine, or behind NEXUS_URL: both answer the same."""

AsJson = Annotated[bool, Option("--json", help="Print one JSON document.")]
"""The option that every command has which prints facts."""


def settings() -> Settings:
    """From the environment and `.env`, for what only the machine of the stores can do: refuses NEXUS_URL."""
    found = read()
    if found.url:
        raise Failed(
            "NEXUS_URL is set, and this command works on the stores of this machine only: "
            "unset it, or run the command where the server runs",
            WRONG_USE,
        )
    return found


def read() -> Settings:
    """From the environment and `.env`, whether it is this machine that is asked or a server."""
    found = Settings()
    if not logging.getLogger().handlers:  # else whoever runs the command in their own process has set it up
        logs.set_up(found.log, found.secrets, brief=True, level=logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.ERROR)
    return found


def opened(*, makes: bool = False) -> "Nexus":
    """The server that NEXUS_URL names, else the stores of this machine; `makes`: see `here`."""
    found = read()
    if found.url:
        from nexus_api.client import Remote

        return Remote(found.url, found.key.get_secret_value() if found.key else None)
    return here(makes=makes)


def here(*, makes: bool = False) -> Local:
    """The stores of this machine. `makes`: this command may be the first one ever, and makes them."""
    found = settings()
    if is_forgotten(found) and not makes:
        raise Failed(
            f"there is no archive at {found.root}: `nexus up` or `nexus add` makes one here, "
            "or NEXUS_HOME says where yours is",
            NOT_SET_UP,
        )
    make_home(found)
    return Local(found, warn=note)


def is_forgotten(found: Settings) -> bool:
    """Whether nobody said where the home is, and none is here."""
    return "home" not in found.model_fields_set and not (found.catalog or found.root.exists())


def make_home(found: Settings) -> None:
    """Make the folder under which everything embedded lives. Raises StoreFull where nobody may write."""
    try:
        found.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreFull(
            f"no folder can be made at {found.root} ({error.strerror}): set NEXUS_HOME to a folder of yours"
        ) from error

"""Fetching an address, or following a short link, in a guarded child process; `downloading.py` is what runs in it.

The child gets no environment but a home of its own: no secret, no proxy (through one, private addresses could not be
told), no plugins. What a broken download left in the folder is taken up again.
"""

import json
import logging
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nexus_pipeline import children
from nexus_pipeline.children import Bounds, ChildFailed
from nexus_pipeline.domain import errors
from nexus_pipeline.domain.timeline import Chapter
from nexus_pipeline.ports import Cancelled, Fetched, Limits, Progress
from nexus_pipeline.sources.failures import EMPTY

log = logging.getLogger(__name__)

_ERRORS: Mapping[str, type[errors.NexusError]] = {
    error.code: error
    for error in (
        *(errors.BadAddress, errors.SourceBusy, errors.SourceGone, errors.SourceRefused),
        *(errors.TooLarge, errors.TooLong, errors.StoreFull),
    )
}
CHILD = "nexus_pipeline.sources.downloading"
"""The module that runs in the child."""
_FOLLOWING_S = 30.0
_SLACK_BYTES = 64 << 20
"""Above the limit of bytes, so that the progress hook, which can say what is wrong, sees it first."""


def fetch(
    url: str,
    folder: Path,
    limits: Limits,
    progress: Progress,
    cancelled: Cancelled,
    *,
    merges: bool = False,
    child: str = CHILD,
) -> Fetched:
    """The media at an address and what is said about it. `merges`: picture and sound may come apart.

    Raises BadAddress, SourceBusy, SourceGone, SourceRefused, TooLarge, TooLong, StoreFull, Cancelled, EngineFailed.
    """
    request = {
        "url": url,
        "follow": False,
        "folder": str(folder.absolute()),
        "max_bytes": limits.max_bytes,
        "max_duration_s": limits.max_duration_s,
        "timeout_s": limits.timeout_s,
        "allow_hosts": list(limits.allow_hosts),
        "merges": merges,
    }
    bounds = Bounds(limits.timeout_s, limits.timeout_s, limits.max_bytes + _SLACK_BYTES)
    told = _asked(request, bounds, progress, cancelled, child)
    if told["without_subtitles"]:
        log.warning("subtitles could not be fetched with the rest; it is heard instead")
    return _fetched(told, folder)


def follow(url: str, limits: Limits, cancelled: Cancelled, *, child: str = CHILD) -> str:
    """Where a short link leads, in canonical form. Takes at most half a minute, or `limits.timeout_s`.

    Raises BadAddress, SourceBusy, SourceGone, SourceRefused, Cancelled, EngineFailed.
    """
    wall_s = min(_FOLLOWING_S, limits.timeout_s)
    request = {"url": url, "follow": True, "allow_hosts": list(limits.allow_hosts)}
    told = _asked(request, Bounds(wall_s, wall_s, _SLACK_BYTES), lambda _: None, cancelled, child)
    return str(told["url"])


def _asked(
    request: Mapping[str, Any], bounds: Bounds, progress: Progress, cancelled: Cancelled, child: str
) -> Mapping[str, Any]:
    """Run the child; what it brought."""
    command = [sys.executable, "-s", "-m", child]
    told: Mapping[str, Any] | None = None
    with tempfile.TemporaryDirectory(prefix="nexus-fetch-") as home:
        env = {"HOME": home, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"}
        chunks = children.output(command, bounds, cancelled, stdin=json.dumps(request).encode(), env=env)
        try:
            for line in children.lines(chunks):
                answer = json.loads(line)
                if "progress" in answer:
                    progress(answer["progress"])
                elif "error" in answer:
                    raise _error(answer)
                else:
                    told = answer["done"]
        except ChildFailed as error:
            raise errors.EngineFailed(
                f"fetching broke down ({error.said[-200:]}); perhaps yt-dlp is too old"
            ) from error
        except errors.EngineKilled as error:
            raise errors.SourceBusy(
                f"fetching was ended, at the latest after {bounds.wall_s:.0f} s; what has come is kept and goes on"
            ) from error
    if told is None:
        raise errors.EngineFailed("fetching ended without a word; the log of this run has more")
    return told


def _error(answer: Mapping[str, Any]) -> errors.NexusError:
    error = _ERRORS.get(answer["error"], errors.EngineFailed)(answer["message"])
    error.retry_after_s = answer["retry_after_s"]
    return error


def _fetched(told: Mapping[str, Any], folder: Path) -> Fetched:
    path, sidecar = folder / told["file"], told["sidecar"]
    if path.is_symlink() or not path.is_file() or not path.stat().st_size:
        raise errors.SourceRefused(EMPTY)
    at = told["published_at"]
    return Fetched(
        path=path,
        filename=told["filename"],
        title=told["title"],
        author=told["author"],
        description=told["description"],
        published_at=datetime.fromtimestamp(at, UTC) if at is not None else None,
        tags=tuple(told["tags"]),
        chapters=tuple(Chapter(*chapter) for chapter in told["chapters"]),
        sidecar=folder / sidecar if sidecar else None,
    )

"""The folder under which everything embedded lives: rights, space, what kind of disk, and Dagster's own folder."""

import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import psutil

from nexus_api.dagster_home import DagsterHome
from nexus_api.diagnosis.finding import Finding, fine, warning, wrong
from nexus_api.shown import size
from nexus_pipeline.settings import Settings

LEAST_FREE_BYTES = 2_000_000_000
"""With less space left long items cannot be converted."""
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "beegfs", "fuse.sshfs"}
)
"""File systems of other machines, as /proc/mounts calls them; SQLite warns of them: https://sqlite.org/useovernet.html
(read 2026-11)."""


class Mount(NamedTuple):
    """Where a file system begins, and its kind."""

    mountpoint: str
    fstype: str


def looked_at(told: Settings) -> Iterator[Finding]:
    """All of it."""
    yield _home(told.root)
    yield _space(told)
    kind = network(told.root, (Mount(p.mountpoint, p.fstype) for p in psutil.disk_partitions(all=True)))
    if kind is not None and told.catalog is None:
        yield warning(
            "disk",
            f"{told.root} lies on another machine ({kind})",
            "SQLite and LanceDB want a disk of this machine: locks get lost there. Move the home, or keep the catalog "
            "in PostgreSQL and the archive on S3",
            "export NEXUS_HOME=/var/lib/nexus",
        )
    if told.dagster_home is not None and told.dagster_home.absolute() != DagsterHome(told.root).folder:
        yield warning(
            "dagster",
            f"DAGSTER_HOME is {told.dagster_home}",
            f"`nexus up` uses {DagsterHome(told.root).folder}; only plain `dagster dev` would use the other one",
            "unset DAGSTER_HOME",
        )


def network(path: Path, mounts: Iterable[Mount]) -> str | None:
    """The kind of file system on which a path lies, if that is one of another machine."""
    above = {str(folder) for folder in (path, *path.parents)}
    there = [mount for mount in mounts if mount.mountpoint in above]
    nearest = max(there, key=lambda mount: len(mount.mountpoint), default=None)
    return nearest.fstype if nearest is not None and nearest.fstype in NETWORK else None


def _home(root: Path) -> Finding:
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        hint = "make it writable for you, or set NEXUS_HOME to a folder of yours"
        return wrong("home", f"{root}: {error.strerror}", hint, f'sudo chown -R "$(id -un)" {shlex.quote(str(root))}')
    return fine("home", str(root))


def _space(told: Settings) -> Finding:
    """Where the bytes lie, as far as that is on this machine."""
    blobs = urlsplit(told.blobs_url)
    place = Path(unquote(blobs.path)) if blobs.scheme == "file" else told.root
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free >= LEAST_FREE_BYTES:
        return fine("space", f"{size(free)} left")
    hint = f"make room: below {size(LEAST_FREE_BYTES)} long items cannot be converted"
    return wrong("space", f"{size(free)} left", hint, f"du -sh {shlex.quote(str(place))}/*")

"""Weights that lie at an address: fetched once for all processes of a machine, each file checked by its digest.

A model is a folder, `{models}/{name}`, that appears whole or not at all; beside its files lies `weights.json`, which
says what they were when they came. `{models}` is NEXUS_MODELS, or the cache's own folder where that is not set or
may not be written.
"""

import json
import logging
import os
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock, Timeout

from nexus_pipeline.domain.errors import BadInput, Cancelled, ModelMissing
from nexus_pipeline.engines.site import EngineSite, Known
from nexus_pipeline.engines.transfer import PROBE_S, Address, connected, digest, download
from nexus_pipeline.ports import Cancelled as IsCancelled
from nexus_pipeline.ports import Progress

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

R = TypeVar("R")
MANIFEST = "weights.json"
LOOK_S = 0.1
"""How often a person's cancellation is looked for."""
_TOLD = 0.1  # a log line each tenth
_NEVER = Event()


@dataclass(frozen=True, slots=True)
class Weights:
    """One model: the folder's name, what lies in it, and on what terms."""

    name: str
    files: Mapping[str, Address]
    """By the name that each has in the folder."""
    licence: str | None = None
    """SPDX, such as `MIT`; None where nobody told."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Small files that are laid beside them, by name: what the model was tuned to; a person may change them."""

    @property
    def bytes(self) -> int:
        """Of the download."""
        return sum({address.url: address.bytes for address in self.files.values()}.values())


def places(site: EngineSite) -> tuple[Path, ...]:
    """The folders that hold models, in the order in which they are looked into."""
    ours = site.cache / "models"
    return (site.models, ours) if site.models else (ours,)


def target(places: Sequence[Path]) -> Path:
    """The folder into which models are fetched: the first in which one may write, else the first."""
    return next((place for place in places if _writable(place)), places[0])


def folder(weights: Weights, site: EngineSite) -> Path | None:
    """The model's folder, when all its files are on this machine: in NEXUS_MODELS or below the cache."""
    return next((at / weights.name for at in places(site) if _whole(weights, at / weights.name)), None)


def missing(weights: Weights, site: EngineSite, spec: str) -> str:
    """What to do when they are not; `spec` is what a person types: `sherpa-onnx:titanet-small`."""
    told = [
        f"{file} ({address.member} in {address.url})" if address.member else f"{file} ({address.url})"
        for file, address in weights.files.items()
    ]
    told += [f"{file} ({text.strip()})" for file, text in weights.texts.items()]
    return (
        f"the model {spec} is not on this machine: get it with `nexus models get {spec}`, "
        f"or put into the folder {places(site)[0] / weights.name}: {', '.join(told)}"
    )


def fetch(
    weights: Weights,
    to: Path,
    progress: Progress,
    cancelled: IsCancelled,
    *,
    headers: Mapping[str, str] | None = None,
    probe_s: float = PROBE_S,
) -> Path:
    """Download into `to / weights.name`, if it is not there yet; that folder.

    Args:
        weights: What to fetch.
        to: The folder that holds models: `target(places(site))`.
        progress: Told from another thread.
        cancelled: Looked at ten times a second; what has come is kept, and the next call goes on from there.
        headers: For the hosts that the addresses name, and no others.
        probe_s: Seconds without a byte after which a server is given up.

    Raises ModelMissing (no network, refused, other bytes than told, no space; the message says which), Cancelled.
    """
    return aside(lambda stop: _fetched(weights, to, progress, stop, lambda: connected(headers, probe_s)), cancelled)


def lying(files: Iterable[str], *places: Path | None) -> dict[str, Known]:
    """The folders below `places` in which all of these files lie, by name."""
    wanted = tuple(files)
    found: dict[str, Known] = {}
    for place in places:
        for at in sorted(place.iterdir()) if place and place.is_dir() else ():
            if not at.name.startswith(".") and all((at / name).is_file() for name in wanted):
                found.setdefault(at.name, Known(weight(at), (manifest(at) or {}).get("licence")))
    return found


def damaged(at: Path, *, digests: bool) -> list[str] | None:
    """The files of a model that are not what they were when they came; None where nobody knows what they were.

    Without `digests` only their lengths are looked at, which takes no time.
    """
    told = manifest(at)
    if told is None:
        return None
    return [name for name, was in told["files"].items() if not _same(at / name, was, digests=digests)]


def manifest(at: Path) -> dict[str, Any] | None:
    """What was written down when a model was fetched: `name`, `licence`, `files`; None for one put there by hand."""
    try:
        told = json.loads((at / MANIFEST).read_bytes())
        return {"name": str(told["name"]), "licence": told["licence"], "files": dict(told["files"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def weight(at: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(file.stat().st_size for file in at.rglob("*") if file.is_file())


def remove(at: Path, site: EngineSite) -> int:
    """Remove a model's folder, at once for all who look; the bytes that it had.

    Raises BadInput for what is no folder of models that Nexus keeps.
    """
    kept = [place.resolve() for place in places(site)]
    if at.parent.resolve() not in kept or at.name.startswith("."):
        raise BadInput(
            f"{at} is not below {' or '.join(map(str, places(site)))}, where Nexus keeps models: others may use it "
            "too; remove it by hand"
        )
    try:
        with _lock(at.parent, at.name, _NEVER):
            if at.is_symlink():
                at.unlink()
                return 0
            freed = weight(at)
            going = at.with_name(f".{at.name}.gone")
            shutil.rmtree(going, ignore_errors=True)
            at.rename(going)
            shutil.rmtree(going)
            return freed
    except OSError as error:
        raise BadInput(f"{at} cannot be removed ({error.strerror}): look who may write there") from error


# ---------------------------------------------------------------- fetching


def _fetched(
    weights: Weights,
    to: Path,
    progress: Progress,
    stop: Event,
    connect: "Callable[[], httpx.Client]",
) -> Path:
    ready, coming = to / weights.name, to / f".{weights.name}.part"
    try:
        to.mkdir(parents=True, exist_ok=True)
        with _lock(to, weights.name, stop):
            if _whole(weights, ready):  # another process was first
                return ready
            _free_the_place(ready)
            coming.mkdir(exist_ok=True)
            _room(weights, coming)
            with connect() as client:
                log.info("fetching model=%s bytes=%d", weights.name, weights.bytes)
                came = _Came(weights, progress)
                archives = {address.url: address for address in weights.files.values()}
                for address in archives.values():
                    download(address, _part(coming, address), client, came.of(address), stop)
            _laid_out(weights, coming)
            _write_manifest(weights, coming)
            coming.rename(ready)
    except OSError as error:
        raise ModelMissing(
            f"the model {weights.name} cannot be written into {to} ({error.strerror}): free space there, "
            "or set NEXUS_MODELS to a folder where you may write"
        ) from error
    log.info("fetched model=%s", weights.name)
    return ready


def _laid_out(weights: Weights, coming: Path) -> None:
    """Each file under its own name, and nothing else."""
    for name, address in weights.files.items():
        if address.member:
            _unpack(_part(coming, address), address.member, coming / name)
        else:
            _part(coming, address).rename(coming / name)
    for other in {file.name for file in coming.iterdir()} - set(weights.files):
        (coming / other).unlink()
    for name, text in weights.texts.items():
        (coming / name).write_text(text, "utf-8")


def _unpack(archive: Path, member: str, to: Path) -> None:
    """One file of a tar archive: nothing else of it is looked at, so nothing else can be written."""
    try:
        with tarfile.open(archive) as packed:
            found = packed.getmember(member)
            inside = packed.extractfile(found) if found.isreg() else None
            if inside is None:
                raise ModelMissing(f"{member} is no file in the archive that was fetched")
            with inside, to.open("wb") as file:
                shutil.copyfileobj(inside, file)
    except (KeyError, tarfile.TarError, EOFError) as error:
        raise ModelMissing(f"there is no {member} in the archive that was fetched") from error


def _write_manifest(weights: Weights, coming: Path) -> None:
    files = {
        name: {
            "digest": digest(coming / name, "sha256:", _NEVER) if address.member else address.digest,
            "bytes": (coming / name).stat().st_size,
            "url": address.url,
        }
        for name, address in weights.files.items()
    }
    told = {"name": weights.name, "licence": weights.licence, "files": files}
    (coming / MANIFEST).write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    for name in (*files, MANIFEST):
        with (coming / name).open("rb") as file:
            os.fsync(file.fileno())


def _free_the_place(ready: Path) -> None:
    """What we fetched and is whole no more makes way; what a person put there does not."""
    if not ready.exists():
        return
    if manifest(ready) is None:
        raise ModelMissing(f"{ready} is there and lacks files: complete it, or remove it so that it can be fetched")
    shutil.rmtree(ready)


def _room(weights: Weights, coming: Path) -> None:
    packed = {address.url: address.bytes for address in weights.files.values() if address.member}
    there = sum(file.stat().st_size for file in coming.iterdir())
    needed, free = weights.bytes + sum(packed.values()) - there, shutil.disk_usage(coming).free
    if free < needed:
        raise ModelMissing(
            f"the model {weights.name} needs {needed // 10**6} MB in {coming.parent}, where {free // 10**6} MB are free"
        )


class _Came:
    """How much of all its files has come."""

    def __init__(self, weights: Weights, progress: Progress) -> None:
        self._weights, self._progress = weights, progress
        self._bytes: dict[str, int] = {}
        self._told = 0.0

    def of(self, address: Address) -> Callable[[int], None]:
        """For one of them."""

        def came(so_far: int) -> None:
            self._bytes[address.url] = so_far
            done = sum(self._bytes.values()) / max(1, self._weights.bytes)
            self._progress(min(done, 1.0))
            if done >= self._told + _TOLD:
                self._told = done
                log.info("fetching model=%s done=%d%%", self._weights.name, 100 * done)

        return came


def _part(coming: Path, address: Address) -> Path:
    """Named by its digest: what lies there is of no other version."""
    return coming / f"{address.digest.rpartition(':')[2]}.part"


def _writable(place: Path) -> bool:
    at = next(at for at in (place, *place.parents) if at.exists())
    return at.is_dir() and os.access(at, os.W_OK)


def _whole(weights: Weights, at: Path) -> bool:
    return all((at / name).is_file() for name in weights.files)


def _same(file: Path, was: Mapping[str, Any], *, digests: bool) -> bool:
    try:
        same = file.stat().st_size == was["bytes"]
        return same and (not digests or digest(file, was["digest"], _NEVER) == was["digest"])
    except OSError:
        return False


# ---------------------------------------------------------------- one at a time, and stoppable


@contextmanager
def _lock(to: Path, name: str, stop: Event) -> Iterator[None]:
    """One process at a time fetches or removes a model. Raises Cancelled when nobody wants it any more."""
    lock = FileLock(to / f".{name}.lock")
    while True:
        try:
            lock.acquire(timeout=LOOK_S, poll_interval=LOOK_S / 2)
        except Timeout:
            if stop.is_set():
                raise Cancelled("stopped while another process was fetching the model") from None
        else:
            break
    try:
        yield
    finally:
        lock.release()


def aside(do: Callable[[Event], R], cancelled: IsCancelled) -> R:
    """What `do` gives; a person who cancels does not wait for a server that says nothing. Raises Cancelled."""
    stop, future = Event(), Future[R]()

    def run() -> None:
        try:
            future.set_result(do(stop))
        except BaseException as error:  # noqa: BLE001 - handed on to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, name="fetching a model", daemon=True).start()
    try:
        while True:
            if cancelled():
                raise Cancelled("stopped while a model was being fetched")
            try:
                return future.result(timeout=LOOK_S)
            except NotYet:
                if future.done():
                    raise
    finally:
        stop.set()

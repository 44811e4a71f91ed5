"""A batch of items on a disk that is full or read-only: a program of its own, `python -m tests.bad_places PLACE DIR`.

Root may write anything, and a limit holds for a whole process; so this runs without root's rights over permissions
(`ruled`), and for a full disk on a small tmpfs in a namespace of its own. Where the machine gives no namespaces, a
quota for files (RLIMIT_FSIZE) takes the disk's place: the same code, the same state. What it prints last is JSON.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from nexus_pipeline.domain.items import Item, Kind
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts
from tests.bad_input import land, run_over
from tests.running import drop, srt
from tests.speech import MODELS, SENTENCES, SPEECH

ROOM_BYTES = 96 << 20
LEFT_BYTES = 6 << 20
"""SQLite's log grows to 4 MB; the 10 MB that are made of the item do not fit."""
_NO_RIGHTS = "-dac_override,-dac_read_search,-fowner"


def ruled(*command: str) -> list[str]:
    """The command bound by permissions, be it root's."""
    return ["setpriv", "--bounding-set", _NO_RIGHTS, "--", *command] if os.geteuid() == 0 else [*command]


def told(place: str, folder: Path) -> dict:
    """What became of the batch in that place. `folder` is empty and ends as it was."""
    own = [sys.executable, "-m", "tests.bad_places", place, str(folder)]
    command = ruled(*own)
    if place == "quota":
        command = [*own[:3], "full", str(folder), "quota"]
    if place == "full":
        mounted = f"mount -t tmpfs -o size={ROOM_BYTES} tmpfs {folder} && exec {' '.join(own)} tmpfs"
        trial = ["unshare", "-rm", "sh", "-c", f"mount -t tmpfs tmpfs {folder}"]
        can = subprocess.run(trial, capture_output=True, check=False).returncode == 0
        command = ["unshare", "-rm", "sh", "-c", mounted] if can else [*own, "quota"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=240)
    return json.loads(done.stdout.splitlines()[-1])


def shown(item: Item) -> dict:
    """What the table says of an item."""
    steps = [(s.state.value, s.reason, s.error_code, s.error_message) for s in item.steps]
    return {"id": item.id, "state": item.state.value, "steps": steps, "due": any(s.next_attempt_at for s in item.steps)}


def heard(parts: Parts, item_id: str) -> int:
    """How often it was tried to hear the item."""
    return parts.catalog.get(item_id).step("transcript").attempt


def batch(parts: Parts, bad: tuple[str, bytes]) -> dict:
    """The item between two good ones, in one run."""
    kind = Kind.TEXT if bad[0].endswith(".srt") else None
    new = [
        drop(parts, "before.srt", srt(SENTENCES[0], "This came before."), kind=Kind.TEXT),
        drop(parts, *bad, kind=kind),
        drop(parts, "after.srt", srt(SENTENCES[1], "This came after."), kind=Kind.TEXT),
    ]
    before, item, after = land(parts, new)
    return {"bad": shown(item), "good": [shown(before), shown(after)]}


def again(parts: Parts, told: dict) -> None:
    """The same once more, as a sensor asks for it when its time has come; all of them as they are then."""
    ids = [told["bad"]["id"], *(one["id"] for one in told["good"])]
    parts.catalog.ask("retry", [i["id"] for i in (told["bad"], *told["good"]) if i["state"] != "done"])
    run_over(parts, ids, "again")
    told["healed"] = [shown(parts.catalog.get(i)) for i in ids]


def swells() -> bytes:
    """Ten minutes of noise at 1 kHz and 8 bits: 0.6 MB, from which 10 MB of 16 kHz speech are made."""
    data = os.urandom(1000 * 60 * 10)
    head = b"RIFF" + (36 + len(data)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    form = (1).to_bytes(2, "little") * 2 + (1000).to_bytes(4, "little") * 2 + (1).to_bytes(2, "little")
    return head + form + (8).to_bytes(2, "little") + b"data" + len(data).to_bytes(4, "little") + data


def full(folder: Path, how: str) -> dict:
    """One that swells, where there is no room for it; then there is."""
    parts = Parts(Settings(home=folder / "home", speech=SPEECH, models=MODELS))
    parts.engines.embedder().embed(["converted before there is no room"])
    if how == "quota":
        resource.setrlimit(resource.RLIMIT_FSIZE, (LEFT_BYTES, resource.RLIM_INFINITY))
        found = batch(parts, ("noise.wav", swells()))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        room = os.statvfs(folder)
        ballast = folder / "ballast"
        parts.catalog.counts()
        with ballast.open("wb") as file:
            file.write(bytes(room.f_bavail * room.f_frsize - LEFT_BYTES))
        found = batch(parts, ("noise.wav", swells()))
        ballast.unlink()
    found["left"] = [str(p) for p in (folder / "home" / "cache" / "scratch").rglob("*") if p.is_file()]
    again(parts, found)
    return found | {"how": how}


def read_only(folder: Path, _: str) -> dict:
    """The blobs' folder may not be written; then it may."""
    inbox = (folder / "inbox").as_uri()
    parts = Parts(Settings(home=folder / "home", inbox=inbox, speech=SPEECH, models=MODELS))
    assert not list(parts.blobs.under(""))
    blobs = folder / "home" / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    blobs.chmod(0o555)
    try:
        found = batch(parts, ("talk.srt", srt(SENTENCES[2])))
    finally:
        blobs.chmod(0o755)
    again(parts, found)
    return found


def archive(folder: Path, _: str) -> dict:
    """The archive's folder may not be written; then it may."""
    parts = Parts(Settings(home=folder / "home", speech=SPEECH, models=MODELS))
    rows = folder / "home" / "archive"
    rows.mkdir(parents=True)
    rows.chmod(0o555)
    try:
        found = batch(parts, ("talk.wav", talk()))
    finally:
        rows.chmod(0o755)
    again(parts, found)
    return found | {"heard": heard(parts, found["bad"]["id"])}


def talk() -> bytes:
    """A spoken sentence."""
    from tests.speech import speak

    with tempfile.TemporaryDirectory() as folder:
        return speak(Path(folder, "talk.wav"), SENTENCES[2:4]).read_bytes()


if __name__ == "__main__":
    places = {"full": full, "read_only": read_only, "archive": archive}
    how = sys.argv[3] if len(sys.argv) > 3 else ""
    sys.stdout.write(json.dumps(places[sys.argv[1]](Path(sys.argv[2]), how)))

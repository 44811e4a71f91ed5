"""A file that comes as a form (multipart/form-data), straight into a file of ours: never all of it in memory.

It is hashed on its way, so its identity is known when its last byte is, and it is renamed into the inbox from there.
What is cut off, too large or refused leaves nothing.
"""

import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from nexus_api.adding import Offered
from nexus_api.problems import BadRequest
from nexus_api.schemas import Wishes
from nexus_api.wishes import wished
from nexus_pipeline.domain.errors import DigestMismatch, StoreFull, TooLarge

FIELD_BYTES = 65_536
"""Of one field that is no file."""
FIELDS = 64
"""Parts of one form."""
SIDECAR_BYTES = 50_000_000
"""Of a transcript beside the file."""
NAME_BYTES = 255
"""As long as a file's name may be."""


class File(Wishes):
    """The form: `file`, perhaps a `transcript` beside it, and what is said of it."""

    digest: str | None = None


@dataclass
class Received:
    """A form that has come whole."""

    offered: Offered
    wishes: Wishes


@dataclass
class _Growing:
    """A part that is a file of ours."""

    path: Path
    most: int
    size_bytes: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    file: BinaryIO | None = None

    def write(self, data: bytes | bytearray) -> None:
        """Raises TooLarge, StoreFull."""
        self.size_bytes += len(data)
        if self.size_bytes > self.most:
            raise TooLarge(f"the file has more than {self.most} bytes; NEXUS_MAX_BYTES bounds what is taken")
        self.digest.update(data)
        try:
            self.file = self.file or self.path.open("xb")
            self.file.write(data)
        except OSError as error:
            raise StoreFull("there is no space for the upload; free some and send it again") from error

    def close(self) -> None:
        if self.file is None:
            self.path.touch()
            return
        try:
            self.file.close()
        except OSError as error:
            raise StoreFull("there is no space for the upload; free some and send it again") from error


class Form:
    """Takes a body as it comes; `received` when it has ended."""

    def __init__(self, content_type: str, length: int, folder: Path, max_bytes: int) -> None:
        """`folder` is emptied by the caller. Raises BadRequest for a body that is no form."""
        kind, options = parse_options_header(content_type)
        if kind != "multipart/form-data" or not options.get("boundary"):
            raise BadRequest("a file comes as multipart/form-data with a part named `file`")
        if length > max_bytes + FIELDS * FIELD_BYTES + SIDECAR_BYTES:
            raise TooLarge(f"the file has more than the {max_bytes} bytes of NEXUS_MAX_BYTES")
        self._parser = PushMultipartParser(options["boundary"], length, max_segment_count=FIELDS, strict=False)
        self._folder, self._max_bytes = folder, max_bytes
        self._fields: dict[str, list[bytearray]] = {}
        self._files: dict[str, _Growing] = {}
        self._names: dict[str, str] = {}
        self._now: _Growing | bytearray | None = None

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the body; empty at its end. Raises BadRequest, TooLarge, StoreFull."""
        try:
            for event in self._parser.parse(chunk):
                if isinstance(event, MultipartSegment):
                    self._begin(event)
                elif event:
                    self._more(event)
                else:
                    self._end()
        except ParserLimitReached as error:
            raise BadRequest(f"the form has more than {FIELDS} parts, or too long headers") from error
        except MultipartError as error:
            raise BadRequest(f"the form cannot be read, or it was cut off: {error}") from error

    def _begin(self, part: MultipartSegment) -> None:
        name = part.name or ""
        if name not in {"file", "transcript"}:
            self._now = bytearray()
            self._fields.setdefault(name, []).append(self._now)
            return
        if name in self._files:
            raise BadRequest(f"the form has two parts named {name}; send one file at a time")
        most = self._max_bytes if name == "file" else SIDECAR_BYTES
        self._names[name] = plain_name(part.filename or name)
        self._now = self._files[name] = _Growing(self._folder / name, most)

    def _more(self, data: bytearray) -> None:
        if isinstance(self._now, _Growing):
            self._now.write(data)
        elif self._now is not None:
            self._now += data
            if len(self._now) > FIELD_BYTES:
                raise BadRequest(f"a field of the form has more than {FIELD_BYTES} bytes")

    def _end(self) -> None:
        if isinstance(self._now, _Growing):
            self._now.close()
        self._now = None

    def close(self) -> None:
        """Whatever came: no file stays open."""
        for growing in self._files.values():
            if growing.file is not None:
                growing.file.close()

    def received(self) -> Received:
        """What has come. Raises BadRequest, DigestMismatch."""
        if "file" not in self._files:
            raise BadRequest("the form has no part named `file`")
        wishes = self._wishes()
        file, beside = self._files["file"], self._files.get("transcript")
        if wishes.digest and wishes.digest.removeprefix("sha256:").lower() != file.digest.hexdigest():
            raise DigestMismatch("the bytes that came are not those that `digest` declares; send the file again")
        path = file.path.rename(_folder(self._folder, "whole") / self._names["file"])
        sidecar = None
        if beside is not None:
            suffix = Path(self._names["transcript"]).suffix.lower()
            sidecar = beside.path.rename(_folder(self._folder, "beside") / f"{path.stem}{suffix}"[-NAME_BYTES:])
        digests = (file.digest.hexdigest(), beside.digest.hexdigest() if beside else None)
        return Received(Offered(path, sidecar, digests=digests, move=True), wishes)

    def _wishes(self) -> File:
        try:
            return wished({name: [bytes(one).decode() for one in ones] for name, ones in self._fields.items()}, File)
        except UnicodeDecodeError as error:
            raise BadRequest("a field of the form is no UTF-8") from error


def _folder(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def plain_name(name: str) -> str:
    """The last part of a path, as every filesystem takes it: no separator, no control character, 255 bytes."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(c for c in last if c.isprintable()).strip() or "file"
    if set(kept) <= {"."}:
        kept = "file"
    stem, dot, suffix = kept.rpartition(".")
    if len(kept.encode()) <= NAME_BYTES:
        return kept
    ending = f"{dot}{suffix}" if dot and len(suffix.encode()) <= 16 else ""  # noqa: PLR2004  longer is no suffix
    room = NAME_BYTES - len(ending.encode())
    return ((stem or kept) if ending else kept).encode()[:room].decode(errors="ignore") + ending


async def receive(
    body: AsyncIterator[bytes], form: Callable[[Path], Form], scratch: Path, take: Callable[[Received], None]
) -> None:
    """Feed a form with a body as it comes and hand over what was received; nothing is left of it afterwards.

    Files are written in a thread, so that other requests go on. Raises what Form raises.
    """
    try:
        folder = Path(await run_in_threadpool(tempfile.mkdtemp, dir=scratch, prefix="upload-"))
    except OSError as error:
        raise StoreFull("there is no space for the upload; free some and send it again") from error
    try:
        with closing(form(folder)) as growing:
            async for chunk in body:
                if chunk:
                    await run_in_threadpool(growing.feed, chunk)
            await run_in_threadpool(growing.feed, b"")
            await run_in_threadpool(lambda: take(growing.received()))
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # not in a thread: a cancelled request waits for none

"""tus 1.0.0 as its headers say it: versions, what is told of an upload, checksums.

https://tus.io/protocols/resumable-upload, read 2026-11. docs/uploads.md says what of it there is here.
"""

import base64
import binascii
import hashlib
from datetime import datetime
from email.utils import format_datetime
from typing import Annotated, Literal

from pydantic import StringConstraints
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nexus_api.problems import BadRequest
from nexus_api.refusals import TusVersion
from nexus_api.schemas import Wishes
from nexus_api.wishes import wished
from nexus_pipeline.domain.uploads import Upload

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination"
ALGORITHMS = ("sha1", "sha256", "md5")
BYTES = "application/offset+octet-stream"
METADATA_BYTES = 16_384
"""Of `Upload-Metadata`: the longest fields together, and what clients add of their own."""
_OVERRIDES = frozenset({"PATCH", "DELETE", "HEAD"})


class Told(Wishes):
    """What `Upload-Metadata` says; fields that are not ours are another client's business."""

    filename: Annotated[str, StringConstraints(max_length=1000)] | None = None
    filetype: Annotated[str, StringConstraints(max_length=255)] | None = None
    digest: Annotated[str, StringConstraints(pattern=r"^(sha256:)?[0-9A-Fa-f]{64}$")] | None = None
    source: Literal["file", "mic"] = "file"
    process: Literal["now"] | None = None


def told(metadata: str) -> Told:
    """What is said of an upload. Raises BadRequest, never with a value in it."""
    if len(metadata) > METADATA_BYTES:
        raise BadRequest(f"Upload-Metadata has more than {METADATA_BYTES} bytes")
    values: dict[str, list[str]] = {}
    for pair in filter(None, (one.strip() for one in metadata.split(","))):
        name, _, encoded = pair.partition(" ")
        if name in values:
            raise BadRequest("Upload-Metadata says a name twice")
        try:
            values[name] = [base64.b64decode(encoded.strip(), validate=True).decode()]
        except (binascii.Error, UnicodeDecodeError) as error:
            raise BadRequest("Upload-Metadata: a value is no UTF-8 in Base64") from error
    for ours, theirs in (("filename", "name"), ("filetype", "type")):  # as Uppy says them
        if theirs in values:
            values.setdefault(ours, values[theirs])
    return wished({name: one for name, one in values.items() if name in Told.model_fields}, Told)


class Checksum:
    """What the bytes of one request must add up to."""

    def __init__(self, header: str) -> None:
        """`sha1 Base64`. Raises BadRequest for another algorithm, or what is none."""
        algorithm, _, encoded = header.strip().partition(" ")
        if algorithm not in ALGORITHMS:
            raise BadRequest(f"Upload-Checksum: {', '.join(ALGORITHMS)} and a digest in Base64")
        self._sum = hashlib.new(algorithm, usedforsecurity=False)
        try:
            self._expected = base64.b64decode(encoded.strip(), validate=True)
        except binascii.Error as error:
            raise BadRequest("Upload-Checksum: the digest is no Base64") from error
        if len(self._expected) != self._sum.digest_size:
            raise BadRequest(f"Upload-Checksum: a digest of {algorithm} has {self._sum.digest_size} bytes")

    def update(self, data: bytes | bytearray) -> None:
        """More of them."""
        self._sum.update(data)

    @property
    def holds(self) -> bool:
        """Whether they do, so far."""
        return self._sum.digest() == self._expected


def headers_of(upload: Upload) -> dict[str, str]:
    """Where an upload stands, in tus's words; `Nexus-Item` once it is one."""
    found = {"Upload-Offset": str(upload.received), "Cache-Control": "no-store"}
    if upload.length is None:
        found["Upload-Defer-Length"] = "1"
    else:
        found["Upload-Length"] = str(upload.length)
    if upload.metadata:
        found["Upload-Metadata"] = upload.metadata
    if upload.settled and upload.item_id:
        found["Nexus-Item"] = upload.item_id
    else:
        found["Upload-Expires"] = expires(upload.expires_at)
    return found


def expires(at: datetime) -> str:
    """As HTTP writes instants."""
    return format_datetime(at, usegmt=True)


def spoken(version: str | None) -> None:
    """Raises TusVersion unless it is ours."""
    if version != VERSION:
        raise TusVersion(f"resumable uploads speak tus {VERSION}: say `Tus-Resumable: {VERSION}`")


class Speaks:
    """An ASGI layer: every answer below a path says our version; a POST may stand for what a proxy lets not pass."""

    def __init__(self, app: ASGIApp, *, path: str) -> None:
        """`path`: where uploads are."""
        self.app, self.path = app, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] != "http" or not (scope["path"] == self.path or scope["path"].startswith(f"{self.path}/")):
            await self.app(scope, receive, send)
            return
        instead = Headers(scope=scope).get("x-http-method-override", "").upper()
        if scope["method"] == "POST" and instead in _OVERRIDES:
            scope = {**scope, "method": instead}

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers["Tus-Resumable"] = headers["Tus-Version"] = VERSION
            await send(message)

        await self.app(scope, receive, sent)

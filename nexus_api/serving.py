"""Bytes of an item for players and people: ranges and ETags, or a redirect to where the store itself serves them."""

import mimetypes
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from starlette.background import BackgroundTask
from starlette.types import Message, Receive, Scope, Send

from nexus_api import problems
from nexus_pipeline.domain.errors import NotFound
from nexus_pipeline.domain.items import Item, Kind
from nexus_pipeline.results import RawResult, read
from nexus_pipeline.wiring import Parts

SIGNED_S = 3600
"""How long a signed address holds (the contract: 1 h)."""
Which = Literal["original", "speech", "play", "thumbnail"]
_SHOWN = ("audio/", "video/", "image/")
_NEVER_SHOWN = frozenset({"image/svg+xml"})
"""A picture that can run a stranger's script on our pages."""
_CONTAINERS = {"mp3": "audio/mpeg", "mov": "video/mp4", "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg",
               "matroska": "video/webm"}  # fmt: skip
"""What a browser plays as it is, by the name of its container: a file's ending may be wrong."""
_TYPES = {".mp4": "video/mp4", ".m4a": "audio/mp4", ".flac": "audio/flac", ".webp": "image/webp"}
"""What raw makes."""
_SANDBOX = "sandbox; default-src 'none'"


def file_of(item: Item, which: Which, request: Request, parts: Parts) -> Response:
    """One of the item's files. Raises NotFound, saying why it is not there."""
    made = read(item, "raw", RawResult, parts)
    key = _key(item, which, made)
    version = parts.blobs.info(key).version
    media_type = _media_type(item, which, key, made)
    filename = f"{PurePosixPath(item.filename or item.title).stem or item.id}{PurePosixPath(key).suffix}"
    inline = which != "original" and media_type != "application/octet-stream"
    told = {"expires_s": SIGNED_S, "filename": filename, "media_type": media_type, "inline": inline}
    url = parts.blobs.url(key, **told)  # type: ignore[arg-type]  # as the port names them
    if url is not None:
        return RedirectResponse(url, 307, {"cache-control": f"private, max-age={SIGNED_S // 2}"})
    headers = {
        "etag": f'"{version}"',
        "cache-control": "private, no-cache",
        "content-disposition": f"{'inline' if inline else 'attachment'}; filename*=UTF-8''{quote(filename, safe='')}",
        "content-security-policy": _SANDBOX,
    }
    if not_changed(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    stack = ExitStack()
    path: Path = stack.enter_context(parts.blobs.local(key))
    return _Bytes(path, headers=headers, media_type=media_type, background=BackgroundTask(stack.close))


class _Bytes(FileResponse):
    """Starlette's, whose refusals are plain text and forget the background task."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused: list[Message] = []

        async def sent(message: Message) -> None:
            if refused or (message["type"] == "http.response.start" and message["status"] >= HTTPStatus.BAD_REQUEST):
                refused.append(message)
                return
            await send(message)

        await super().__call__(scope, receive, sent)
        if not refused:
            return
        status = int(refused[0]["status"])
        detail = "the Range header is none: write it as bytes=FIRST-LAST"
        if status == problems.BadRange.http_status:
            detail = "the file has no such range: Content-Range says how many bytes it has"
        kind = problems.BadRange if status == problems.BadRange.http_status else problems.BadRequest
        item_id = scope["path_params"].get("item_id")
        told = problems.answer(status, kind.code, HTTPStatus(status).phrase, detail, item_id=item_id)
        told.raw_headers += [pair for pair in refused[0]["headers"] if pair[0] == b"content-range"]
        await told(scope, receive, send)
        if self.background is not None:
            await self.background()


def not_changed(request: Request, etag: str) -> bool:
    """Whether the client has this version already (RFC 9110, 13.1.2: weak comparison)."""
    told = request.headers.get("if-none-match")
    if told is None:
        return False
    known = [one.strip().removeprefix("W/") for one in told.split(",")]
    return "*" in known or etag in known


def _key(item: Item, which: Which, made: RawResult) -> str:
    if which == "original":
        return made.original
    if which == "play":
        if item.kind is Kind.TEXT:
            raise NotFound(f"item {item.id} is text: there is nothing to play")
        return made.files.get("play", made.original)
    if which not in made.files:
        what = "no sound in it" if which == "speech" else "no picture of it"
        raise NotFound(f"item {item.id} has {what}")
    return made.files[which]


def _media_type(item: Item, which: Which, key: str, made: RawResult) -> str:
    """What a browser is to take the bytes for; anything that it might run is only bytes."""
    if which != "original" and key != made.original:
        return _TYPES[PurePosixPath(key).suffix]
    container = (made.media.container or "").split(",")[0] if made.media else ""
    if which == "play" and container in _CONTAINERS:
        found = _CONTAINERS[container]
        return f"audio/{found.partition('/')[2]}" if item.kind is Kind.AUDIO else found
    found = mimetypes.types_map.get(PurePosixPath(key).suffix, "")
    return found if found.startswith(_SHOWN) and found not in _NEVER_SHOWN else "application/octet-stream"

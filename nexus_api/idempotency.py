"""`Idempotency-Key`: a POST that is sent again gets the answer of the first one, and nothing is done twice.

After draft-ietf-httpapi-idempotency-key-header-07, for every POST below /api/. What was answered is kept in the catalog
for a day, so all API processes agree, for each owner and path by itself. docs/api.md says what is kept and what not.

- A body of at most 1 MB is read first and compared before anything is done. Uploads may have any length: they are
  hashed on their way through, and one that is sent again is read to its end, hashed, and dropped.
- The answer is kept before its last piece leaves, so whoever has read it finds it kept. A streamed answer (chat) is
  kept as it was streamed; one that breaks off, or tells of a problem, is not kept.
- What may be answered otherwise later (a defect, a full disk, a lock) is not kept: the next request does it anew.
- A process that is killed has fallen silent: after 30 s the next request does it anew.
"""

import asyncio
import hashlib
import json
import logging
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nexus_api import problems
from nexus_api.deps import owner_of
from nexus_api.guards import is_upload
from nexus_api.problems import BadRequest
from nexus_api.refusals import AnswerGone, KeyReused, StillUnderWay
from nexus_pipeline.domain.errors import NexusError
from nexus_pipeline.domain.uploads import ANSWER_BYTES, DEAD_S, Answered, Post
from nexus_pipeline.ports import Catalog

log = logging.getLogger(__name__)

STREAM = "text/event-stream"
KEY_CHARACTERS = 255
ROUTE_CHARACTERS = 500
BEATS = 4
"""Signs of life in the time after which a post counts as dead."""
SPARE_BYTES = 100_000_000
"""An upload sent again may have so many bytes beyond the largest file: its form and a transcript."""
_SAID = ("upload-length", "upload-defer-length", "upload-metadata")
"""Headers that are part of what a post says."""
_OF_THE_LINE = frozenset({b"content-length", b"transfer-encoding", b"connection", b"date", b"server"})
_NOT_KEPT = frozenset({408, 409, 423, 425, 429})
"""And all from 500 on: the same request may be answered otherwise later."""
_PROBLEM = re.compile(rb"^event: problem", re.MULTILINE)
"""In a stream that has begun with 200. Data never begins a line: it is JSON."""
_BODILESS = frozenset({204, 304})
_DEFECT = 500


def describe(document: dict[str, Any]) -> None:
    """Every POST of an OpenAPI document takes a key, and may say of one what it is refused with."""
    description = "Of the request: sent again with it, the request gets the first one's answer, for a day."
    schema = {"type": "string", "minLength": 1, "maxLength": KEY_CHARACTERS, "pattern": "^[!-~]+$"}
    key = {"name": "Idempotency-Key", "in": "header", "required": False, "schema": schema, "description": description}
    for path in document["paths"].values():
        if "post" in path:
            path["post"].setdefault("parameters", []).append(key)
            path["post"]["responses"] = problems.OF_KEY | path["post"]["responses"]


class Sieve:
    """SHA-256 of what a post says, however its body is cut into pieces and whatever a form uses as its boundary."""

    def __init__(self, scope: Scope) -> None:
        """Begins with what stands before the body."""
        headers = Headers(scope=scope)
        kind, _, options = headers.get("content-type", "").partition(";")
        told = [scope.get("query_string", b"").decode("latin-1"), kind.strip().lower()]
        told.append(STREAM if STREAM in headers.get("accept", "") else "")
        self._sum = hashlib.sha256(json.dumps(told + [headers.get(name) for name in _SAID]).encode())
        self._boundary = _boundary(options) if kind.strip().lower().startswith("multipart/") else b""
        self._rest = b""
        self.whole = False

    def update(self, message: Message) -> None:
        """The next piece."""
        data = self._rest + bytes(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        if self._boundary:  # another one each time that a form is sent
            data = data.replace(self._boundary, b"\0")
            keep = 0 if self.whole else min(len(self._boundary) - 1, len(data))
            data, self._rest = data[: len(data) - keep], data[len(data) - keep :]
        self._sum.update(data)

    @property
    def fingerprint(self) -> str:
        """Of all that has come."""
        return self._sum.hexdigest()


def _boundary(options: str) -> bytes:
    for option in options.split(";"):
        name, _, value = option.strip().partition("=")
        if name.strip().lower() == "boundary":
            return value.strip().strip('"').encode("latin-1")
    return b""


class Idempotency:
    """An ASGI layer around the app."""

    def __init__(self, app: ASGIApp, *, uploads: frozenset[str], dead_after_s: float = DEAD_S) -> None:
        """`uploads`: paths at and below which bodies have any length."""
        self.app, self.uploads, self.dead_after_s = app, uploads, dead_after_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is no post with a key; else see to it that it is carried out once."""
        key = _key(scope)
        if key is None:
            await self.app(scope, receive, send)
            return
        try:
            post = _post(scope, key)
            catalog: Catalog = await run_in_threadpool(lambda: scope["app"].state.parts.catalog)
            streamed, sieve = is_upload(scope["path"], self.uploads) and _has_body(scope), Sieve(scope)
            if not streamed:
                receive = await _read(receive, sieve)
            token, fingerprint = secrets.token_hex(16), None if streamed else sieve.fingerprint
            found = await run_in_threadpool(
                lambda: catalog.claim_post(post, token, fingerprint, dead_after_s=self.dead_after_s)
            )
            if found is not None:
                most = scope["app"].state.parts.settings.max_bytes + SPARE_BYTES
                await _again(found, sieve, receive, send, most)
                return
        except NexusError as error:
            await problems.refused(error)(scope, receive, send)
            return
        except HTTPException as error:  # the body has no end, says the guard
            title = "Content Too Large"
            await problems.answer(error.status_code, "too_large", title, str(error.detail))(scope, receive, send)
            return
        await self._first(_Claim(catalog, post, token, sieve), scope, receive, send)

    async def _first(self, claim: "_Claim", scope: Scope, receive: Receive, send: Send) -> None:
        """Carry it out; keep what it is answered, or give the claim back."""

        async def received() -> Message:
            message = await receive()
            if not claim.sieve.whole and message["type"] == "http.request":
                claim.sieve.update(message)
            return message

        async def sent(message: Message) -> None:
            await claim.told(message)
            await send(message)

        async with claim.alive(self.dead_after_s / BEATS):
            await self.app(scope, received, sent)


class _Claim:
    """A post that is ours to carry out, and what it has been answered so far."""

    def __init__(self, catalog: Catalog, post: Post, token: str, sieve: Sieve) -> None:
        self._catalog, self._post, self._token, self.sieve = catalog, post, token, sieve
        self._status, self._headers, self._body = 0, [["", ""]], bytearray()
        self._too_long = self._kept = self._failed = False

    @asynccontextmanager
    async def alive(self, every_s: float) -> AsyncIterator[None]:
        """It is said every so often that this lives; what was not kept in the end is given back."""
        beating = asyncio.create_task(self._beat(every_s))
        try:
            yield
        finally:
            beating.cancel()
            if not self._kept:
                await self._quietly(self._catalog.release_post)

    async def _beat(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            await self._quietly(self._catalog.beat_post)

    async def _quietly(self, what: Any, *more: Any) -> None:
        """The answer is worth more than what is remembered of it: a catalog that fails here fails nobody."""
        try:
            await run_in_threadpool(what, self._post, self._token, *more)
        except NexusError as error:
            log.warning("a post with a key is not remembered code=%s", error.code)

    async def told(self, message: Message) -> None:
        """A message of the answer, before it leaves."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            kept = ((n.lower(), value) for n, value in message.get("headers", []) if n.lower() not in _OF_THE_LINE)
            self._headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in kept]
        elif message["type"] == "http.response.body":
            self._too_long = self._too_long or len(self._body) + len(message.get("body", b"")) > ANSWER_BYTES
            self._failed = self._failed or _PROBLEM.search(message.get("body", b"")) is not None
            self._body += b"" if self._too_long else message.get("body", b"")
            if not message.get("more_body", False) and self._keeps():
                body = None if self._too_long else bytes(self._body)
                answered = Answered(self.sieve.fingerprint, self._status, self._headers, body)
                await self._quietly(self._catalog.keep_post, answered)
                self._kept = True

    def _keeps(self) -> bool:
        """Whether the same request would be answered the same; what was not read to its end is not known."""
        fine = self._status < _DEFECT and self._status not in _NOT_KEPT and not self._failed
        return fine and self.sieve.whole


async def _again(found: Answered, sieve: Sieve, receive: Receive, send: Send, most: int) -> None:
    """What the first one was answered. Raises StillUnderWay, KeyReused, AnswerGone."""
    if found.status is None and (found.fingerprint is None or not sieve.whole):
        raise StillUnderWay("a request with this Idempotency-Key is still under way: ask again in a moment")
    came = 0
    while not sieve.whole:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        came += len(message.get("body", b""))
        if came > most:
            raise KeyReused("this Idempotency-Key belongs to a request with another body")
        sieve.update(message)
    if found.fingerprint != sieve.fingerprint:
        raise KeyReused("this Idempotency-Key belongs to a request with another body: use a new one for each")
    if found.status is None:
        raise StillUnderWay("a request with this Idempotency-Key is still under way: ask again in a moment")
    if found.body is None or found.headers is None:
        raise AnswerGone("this was carried out before; its answer was too long to keep, or went with an erased item")
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in found.headers]
    if found.status not in _BODILESS:
        headers.append((b"content-length", str(len(found.body)).encode()))
    headers.append((b"idempotency-replayed", b"true"))
    await send({"type": "http.response.start", "status": found.status, "headers": headers})
    await send({"type": "http.response.body", "body": found.body})


def _key(scope: Scope) -> str | None:
    if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith("/api/"):
        return None
    return Headers(scope=scope).get("idempotency-key")


def _post(scope: Scope, key: str) -> Post:
    """Raises BadRequest for a key that is none."""
    key = (
        key.strip().removeprefix('"').removesuffix('"')
    )  # the draft's form is a quoted string; many leave the quotes out
    if not (0 < len(key) <= KEY_CHARACTERS and key.isascii() and key.isprintable()):
        raise BadRequest(f"Idempotency-Key: 1 to {KEY_CHARACTERS} printable ASCII characters, a UUID for example")
    return Post(owner_of(HTTPConnection(scope)), scope["path"][:ROUTE_CHARACTERS], key)


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


async def _read(receive: Receive, sieve: Sieve) -> Receive:
    """All of a body that the guard bounds, hashed; and what gives it to the app."""
    body = bytearray()
    while not sieve.whole:
        message = await receive()
        if message["type"] == "http.disconnect":
            return _always(message)
        body += message.get("body", b"")
        sieve.update(message)
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return again


def _always(message: Message) -> Receive:
    async def received() -> Message:
        return message

    return received

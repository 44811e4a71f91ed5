"""Before any route: who may ask a server that knows no sign-in, and how much they may send.

Nexus listens on loopback without keys, so a page of another site must neither read it (by a name that is made to lead
to 127.0.0.1) nor write to it (by a form).
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nexus_api import problems

BODY_BYTES = 1_000_000
"""Of a request that is no upload: the longest list of ids that is sensible is a tenth of it."""
_TOO_LARGE = f"a body that is no upload has {BODY_BYTES} bytes at most"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin"))


def own_name(host: str, own: Iterable[str]) -> bool:
    """Whether this server may be called so: an address, a name without a dot, `*.localhost`, or one that is its own.

    Only a name with a dot can be made to lead here by somebody else (DNS rebinding).
    """
    name = urlsplit(f"//{host}").hostname or ""
    if "." not in name or name.endswith(".localhost") or name in own:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_upload(path: str, uploads: Iterable[str]) -> bool:
    """Whether what is sent there may be of any length."""
    return any(path == one or path.startswith(f"{one}/") for one in uploads)


class Guard:
    """An ASGI layer around the app."""

    def __init__(self, app: ASGIApp, *, own: frozenset[str], uploads: frozenset[str]) -> None:
        """`own`: host names of the server; `uploads`: paths at and below which routes bound their bodies themselves."""
        self.app, self.own, self.uploads = app, own, uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with a bounded body."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refused(scope, headers)
        if refused:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": refused[:120]})
                return
            await problems.answer(403, problems.ForeignPage.code, "Forbidden", refused)(scope, receive, send)
            return
        if scope["type"] == "http" and not is_upload(scope["path"], self.uploads):
            if _declared(headers) > BODY_BYTES:
                await _too_large()(scope, receive, send)
                return
            receive = _bounded(receive)
        await self.app(scope, receive, _with_headers(send))

    def _refused(self, scope: Scope, headers: dict[bytes, str]) -> str | None:
        host = headers.get(b"host", "")
        if not own_name(host, self.own):
            return "this server is not called so: use its address, or say its name in NEXUS_SITE"
        origin = headers.get(b"origin")
        if origin is None or (scope["type"] == "http" and scope["method"] in _SAFE):
            return None
        asking = urlsplit(origin).netloc
        if asking == host or urlsplit(f"//{asking}").hostname in self.own:
            return None
        return "a page of another site may not do this"


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_HEADERS]
        await send(message)

    return sent


def _declared(headers: dict[bytes, str]) -> int:
    told = headers.get(b"content-length", "0")
    return int(told) if told.isdecimal() else 0


def _bounded(receive: Receive) -> Receive:
    """The same body, which ends in an error when it does not end."""
    came = 0

    async def received() -> Message:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > BODY_BYTES:
            raise HTTPException(413, _TOO_LARGE)  # one that FastAPI does not take for a broken body
        return message

    return received


def _too_large() -> ASGIApp:
    return problems.answer(413, "too_large", "Content Too Large", _TOO_LARGE)

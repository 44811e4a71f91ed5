"""Problem documents (RFC 9457): every error of the API in one form, with our code and the item."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from nexus_pipeline.domain import errors

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_WRONG_AT_MOST = 5
"""Faults of one request that are told."""


class Problem(BaseModel):
    """What went wrong, for programs and for people."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable; docs/errors.md lists all of them.")
    item_id: str | None = None
    retryable: bool = Field(description="Whether the same request may succeed later.")


class BadRequest(errors.NexusError):
    """The request itself is not what the contract says."""

    code = "bad_request"
    http_status = 422


class MethodNotAllowed(BadRequest):
    """The route is there, and does something else."""

    code = "method_not_allowed"
    http_status = 405


class ForeignPage(BadRequest):
    """A page of another site asks, or the server is called by a name that is not its own."""

    code = "foreign_page"
    http_status = 403


class BadRange(BadRequest):
    """The range of bytes that was asked for is not there."""

    code = "bad_range"
    http_status = 416


_KINDS = {404: errors.NotFound, 405: MethodNotAllowed, 413: errors.TooLarge}
"""What the framework refuses by itself, by its status."""


_PHRASES = {460: "Checksum Mismatch"}
"""Of statuses that only tus knows."""


def _told(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


ANY = _told(400, 403, 413, 422, 500, 503)
"""What every route may answer instead."""
OF_ITEM = _told(404)
"""And those that name an item."""
ADDING = _told(404, 415, 507)
"""And those that take something in."""
BYTES = _told(416)
"""And those that send bytes."""
RESUMING = _told(408, 409, 412, 415, 423, 501, 507) | {460: {**_told(409)[409], "description": _PHRASES[460]}}
"""And those that know uploads in parts."""
OF_KEY = {str(status): one for status, one in _told(409, 410).items()}
"""And every POST with an `Idempotency-Key`, as the OpenAPI document writes it."""


def answer(
    status: int, code: str, title: str, detail: str, *, item_id: str | None = None, retryable: bool = False
) -> JSONResponse:
    """A problem document."""
    told = Problem(title=title, status=status, detail=detail, code=code, item_id=item_id, retryable=retryable)
    return JSONResponse(told.model_dump(), status, media_type=MEDIA_TYPE)


def refused(error: errors.NexusError, item_id: str | None = None) -> JSONResponse:
    """What went wrong as a problem document."""
    status = error.http_status
    # RFC 9457, 4.2.1: so it is where there is no type but the status
    title = _PHRASES[status] if status in _PHRASES else HTTPStatus(status).phrase
    return answer(status, error.code, title, str(error), item_id=item_id, retryable=error.retryable)


def add_to(app: FastAPI) -> None:
    """Everything that a route raises becomes a problem document."""
    app.add_exception_handler(errors.NexusError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)
    _describe(app)


def _describe(app: FastAPI) -> None:
    """The document's answers refer to the problem's schema, which no route names as its model."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        told = plain()
        told.setdefault("components", {}).setdefault("schemas", {}).setdefault("Problem", Problem.model_json_schema())
        return told

    app.openapi = described  # type: ignore[method-assign]  # as FastAPI's documentation has it


async def _ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.NexusError)  # noqa: S101  # registered for this type only
    return refused(error, request.path_params.get("item_id"))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """Which field is wrong and why; never its value, which may be anything."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this type only
    wrong = error.errors()
    lines = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in wrong[:_WRONG_AT_MOST]]
    if len(wrong) > _WRONG_AT_MOST:
        lines.append(f"and {len(wrong) - _WRONG_AT_MOST} more")
    item_id = request.path_params.get("item_id")
    return answer(422, BadRequest.code, HTTPStatus(422).phrase, "; ".join(lines), item_id=item_id)


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this type only
    phrase = HTTPStatus(error.status_code).phrase
    kind = _KINDS.get(error.status_code, BadRequest)
    found = answer(error.status_code, kind.code, phrase, str(error.detail))
    found.headers.update(error.headers or {})
    return found


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected method=%s route=%s", request.method, request.scope.get("route"), exc_info=error)
    detail = "Nexus itself failed; its log has the details. Please report it."
    return answer(
        500, errors.Unexpected.code, HTTPStatus(500).phrase, detail, item_id=request.path_params.get("item_id")
    )

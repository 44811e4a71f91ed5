"""Uploads that come in parts: tus 1.0.0."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from nexus_api import problems, tus
from nexus_api.deps import NexusDep, PartsDep, PassingDep
from nexus_api.problems import BadRequest
from nexus_api.refusals import WrongContentType
from nexus_api.resuming import Resuming
from nexus_pipeline.domain.uploads import Upload

PREFIX = "/api/uploads"
router = APIRouter(
    prefix=PREFIX,
    tags=["uploads"],
    responses=problems.ANY | problems.OF_ITEM | problems.RESUMING,
    default_response_class=Response,
)


def _spoken(
    version: Annotated[
        str | None, Header(alias="Tus-Resumable", description="The version.", json_schema_extra={"const": tus.VERSION})
    ] = None,
) -> None:
    tus.spoken(version)


def _resuming(nexus: NexusDep, passing: PassingDep) -> Resuming:
    return Resuming(nexus, passing)


ResumingDep = Annotated[Resuming, Depends(_resuming)]
Spoken = [Depends(_spoken)]
UploadId = Annotated[str, Path(pattern=r"^[a-z0-9]{1,64}$", description="An upload's id.")]
Length = Annotated[int | None, Header(alias="Upload-Length", ge=0, le=2**62, description="Bytes of the whole.")]
Sum = Annotated[
    str | None, Header(alias="Upload-Checksum", max_length=200, description="`sha256`, `sha1` or `md5`, and Base64.")
]
_BODY: dict[str, Any] = {"content": {tus.BYTES: {"schema": {"type": "string", "format": "binary"}}}}
_HEADERS = {name: {"schema": {"type": "string"}} for name in ("Upload-Expires", "Upload-Offset", "Nexus-Item")}


@router.options("", status_code=204, include_in_schema=False)
@router.options("/{upload_id}", status_code=204, include_in_schema=False)
async def abilities(parts: PartsDep) -> Response:
    """What of tus there is here."""
    most = str(parts.settings.max_bytes)
    told = {"Tus-Extension": tus.EXTENSIONS, "Tus-Max-Size": most, "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS)}
    return Response(status_code=204, headers=told)


@router.post(
    "",
    status_code=201,
    dependencies=Spoken,
    openapi_extra={"requestBody": _BODY},
    responses={201: {"headers": {"Location": {"schema": {"type": "string"}, "required": True}, **_HEADERS}}},
)
async def begin(
    request: Request,
    resuming: ResumingDep,
    *,
    upload_length: Length = None,
    upload_defer_length: Annotated[int | None, Header(alias="Upload-Defer-Length", ge=1, le=1)] = None,
    upload_metadata: Annotated[str, Header(alias="Upload-Metadata", max_length=tus.METADATA_BYTES)] = "",
    upload_checksum: Sum = None,
) -> Response:
    """Begin an upload, with its first bytes if they come along. `Location` is where the rest goes."""
    if (upload_length is None) == (upload_defer_length is None):
        raise BadRequest("say either Upload-Length, or Upload-Defer-Length: 1")
    checksum = tus.Checksum(upload_checksum) if upload_checksum else None
    sent = _is_bytes(request)
    upload = await run_in_threadpool(resuming.create, upload_length, upload_metadata)
    if sent:
        body, declared = request.stream(), _declared(request)
        upload = await resuming.append(upload.id, 0, body, checksum=checksum, declared=declared)
    upload = await run_in_threadpool(_at_once, resuming, upload)
    return Response(status_code=201, headers={"Location": f"{PREFIX}/{upload.id}", **tus.headers_of(upload)})


@router.head("/{upload_id}", dependencies=Spoken, include_in_schema=False)
def stands(upload_id: UploadId, resuming: ResumingDep) -> Response:
    """How much of it is on the disk for sure."""
    return Response(headers=tus.headers_of(resuming.find(upload_id)))


@router.patch(
    "/{upload_id}",
    status_code=204,
    dependencies=Spoken,
    openapi_extra={"requestBody": {"required": True, **_BODY}},
    responses={204: {"headers": _HEADERS}},
)
async def go_on(
    upload_id: UploadId,
    request: Request,
    resuming: ResumingDep,
    *,
    upload_offset: Annotated[int, Header(alias="Upload-Offset", ge=0, le=2**62, description="Where these bytes go.")],
    upload_length: Length = None,
    upload_checksum: Sum = None,
) -> Response:
    """Its next bytes. 204 when they are on the disk; with the last ones it may become an item (`Nexus-Item`)."""
    if not _is_bytes(request):
        raise WrongContentType(f"the bytes of an upload come as {tus.BYTES}")
    checksum = tus.Checksum(upload_checksum) if upload_checksum else None
    body: AsyncIterator[bytes] = request.stream()
    upload = await resuming.append(
        upload_id, upload_offset, body, length=upload_length, checksum=checksum, declared=_declared(request)
    )
    upload = await run_in_threadpool(_at_once, resuming, upload)
    return Response(status_code=204, headers=tus.headers_of(upload))


@router.delete("/{upload_id}", status_code=204, dependencies=Spoken)
def end(upload_id: UploadId, resuming: ResumingDep) -> Response:
    """It and its bytes are gone. One that is an item already is deleted as such (409)."""
    resuming.remove(upload_id)
    return Response(status_code=204)


def _at_once(resuming: Resuming, upload: Upload) -> Upload:
    if not (upload.at_once and upload.finished):
        return upload
    resuming.at_once(upload)
    return resuming.find(upload.id)


def _is_bytes(request: Request) -> bool:
    """Whether bytes of the upload come along. Raises WrongContentType for a body that is something else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == tus.BYTES:
        return True
    if (_declared(request) or 0) > 0 or "transfer-encoding" in request.headers:
        raise WrongContentType(f"the bytes of an upload come as {tus.BYTES}")
    return False


def _declared(request: Request) -> int | None:
    told = request.headers.get("content-length", "")
    return int(told) if told.isdecimal() else None

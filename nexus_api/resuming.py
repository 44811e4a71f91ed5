"""Uploads that come in parts, over any number of requests and processes, and what they become.

How much of an upload is on the disk for sure stands in the catalog: from there it goes on, whatever ended in between (a
line, this process, the machine). An upload's item is that of its bytes, as of any file that is added.
"""

import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool

from nexus_api import tus
from nexus_api.adding import Offered, item_of
from nexus_api.local import Local
from nexus_api.problems import BadRequest
from nexus_api.receiving import Part, Passing, pour
from nexus_api.refusals import NoResuming, OffsetMismatch, UploadLocked, UploadTaken, UploadUnfinished
from nexus_api.schemas import Wishes
from nexus_api.shown import Json
from nexus_api.uploading import SIDECAR_BYTES, plain_name
from nexus_api.wishes import Process, said
from nexus_pipeline.blobs.growing import GrowingFile, GrowingFiles
from nexus_pipeline.domain.errors import DigestMismatch, NexusError, NotFound, StoreFull, TooLarge
from nexus_pipeline.domain.uploads import KEPT, Upload
from nexus_pipeline.wiring import Parts

log = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""So long a request waits for the one before it, which may not know yet that its client has gone."""
ORPHAN_S = 3600.0
"""A file without a row, or whose row is settled, belongs to nobody after that."""
SWEEP_S = 60.0
"""Between two sweeps."""
_ENDINGS = {
    "audio/webm": ".webm", "video/webm": ".webm", "audio/mp4": ".m4a", "video/mp4": ".mp4", "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg", "audio/wav": ".wav", "audio/x-wav": ".wav", "audio/flac": ".flac", "video/quicktime": ".mov",
}  # fmt: skip
"""Of what has no name: what recorders in browsers and phones make."""


class Resuming:
    """The uploads of one owner."""

    def __init__(self, nexus: Local, passing: Passing) -> None:
        """Raises NoResuming where the inbox is no folder."""
        growing = nexus.parts.growing
        if growing is None:
            raise NoResuming(
                "the inbox is no folder, and uploads onto S3 cannot be resumed yet: "
                "send the file to POST /api/media/file"
            )
        self.nexus, self._passing = nexus, passing
        self._parts: Parts = nexus.parts
        self._growing: GrowingFiles = growing

    def create(self, length: int | None, metadata: str) -> Upload:
        """A new one. Raises BadRequest, BadInput, TooLarge, StoreFull, Conflict."""
        told = tus.told(metadata)
        said(told, self.nexus.owner)  # so that what is wrong is told before anything is sent
        most = self._parts.settings.max_bytes
        if (length or 0) > most:
            raise TooLarge(f"the file has more than the {most} bytes of NEXUS_MAX_BYTES")
        if (length or 0) > self._growing.room():
            raise StoreFull("there is no space for the upload; free some and send it again")
        now = datetime.now(UTC)
        upload = Upload(
            id=secrets.token_hex(16),
            owner=self.nexus.owner,
            length=length,
            received=0,
            metadata=metadata,
            at_once=told.process == "now",
            item_id=None,
            settled=False,
            created_at=now,
            expires_at=now + KEPT,
        )
        self._parts.catalog.add_upload(upload)
        return upload

    def find(self, upload_id: str) -> Upload:
        """Raises NotFound."""
        return self._parts.catalog.upload(upload_id, self.nexus.owner)

    async def append(
        self,
        upload_id: str,
        offset: int,
        body: AsyncIterator[bytes],
        *,
        length: int | None = None,
        checksum: tus.Checksum | None = None,
        declared: int | None = None,
    ) -> Upload:
        """Take a request's bytes; the upload as it is then.

        `length`: that of all of it, where it was deferred; `declared`: that of the body, where it is told.
        Raises OffsetMismatch, UploadLocked, UploadTaken, UploadCutOff, ChecksumMismatch, TooLarge, StoreFull.
        """
        part = await run_in_threadpool(self._begin, upload_id, offset, length, checksum, declared)
        try:
            await pour(body, part)
        finally:
            part.close()  # not in a thread: a cancelled request waits for none
        return await run_in_threadpool(self.find, upload_id)

    def _begin(
        self, upload_id: str, offset: int, length: int | None, checksum: tus.Checksum | None, declared: int | None
    ) -> Part:
        self._standing(upload_id, offset, declared)  # first without the lock: most refusals need none
        file = self._locked(upload_id)
        try:
            upload = self._measured(self._standing(upload_id, offset, declared), length)
            self._not_lost(upload, file)
            file.cut(upload.received)
            return Part(self._parts, self._passing, upload, file, checksum)
        except BaseException:
            file.close()
            raise

    def _standing(self, upload_id: str, offset: int, declared: int | None) -> Upload:
        upload = self.find(upload_id)
        if upload.item_id is not None:
            raise UploadTaken(f"upload {upload_id} is item {upload.item_id} already")
        if offset != upload.received:
            raise OffsetMismatch(f"upload {upload_id} has {upload.received} bytes: go on from there, not from {offset}")
        most = self._parts.settings.max_bytes if upload.length is None else upload.length
        if declared is not None and offset + declared > most:
            raise TooLarge(
                f"upload {upload_id} is to have {most} bytes at most; this would make it {offset + declared}"
            )
        return upload

    def _not_lost(self, upload: Upload, file: GrowingFile) -> None:
        """Raises OffsetMismatch where its disk was restored to an older state."""
        if file.size < upload.received:
            self._parts.catalog.grown(upload.id, upload.received, file.size)
            raise OffsetMismatch(f"upload {upload.id} lost bytes and has {file.size} now: go on from there")

    def _measured(self, upload: Upload, length: int | None) -> Upload:
        """With its length, if that is said only now."""
        if length in {None, upload.length}:
            return upload
        if upload.length is not None:
            raise BadRequest("Upload-Length was said before, and differs")
        assert length is not None  # noqa: S101  looked at above
        most = self._parts.settings.max_bytes
        if length > most:
            raise TooLarge(f"the file has more than the {most} bytes of NEXUS_MAX_BYTES")
        if length < upload.received:
            raise BadRequest(f"Upload-Length is less than the {upload.received} bytes that have come")
        self._parts.catalog.grown(upload.id, upload.received, upload.received, length=length)
        return self.find(upload.id)

    def _locked(self, upload_id: str, *, make: bool = True) -> GrowingFile:
        file = self._growing.open(upload_id, make=make, patience_s=PATIENCE_S)
        if file is None:
            raise UploadLocked(f"upload {upload_id} is being written by another request: try again in a moment")
        return file

    def remove(self, upload_id: str) -> None:
        """It and its bytes are gone; a request that is writing it ends. Raises NotFound, UploadTaken."""
        self.find(upload_id)
        if not self._drop(upload_id):
            raise UploadTaken(f"upload {upload_id} is an item: delete that (DELETE /api/media/ID)")

    def _drop(self, upload_id: str) -> bool:
        """Its row first: who is making an item of it looks there before its file is moved."""
        dropped = self._parts.catalog.drop_upload(upload_id)
        if dropped:
            self._growing.remove(upload_id)
        return dropped

    # ---------------------------------------------------------------- becoming an item

    def process(self, asked: Process) -> tuple[Json, bool]:
        """The item of a finished upload, as `POST /api/media/process` asks for it; whether it is new.

        What is asked counts more than what was said when the upload began. Raises NotFound, UploadUnfinished,
        UploadLocked, DigestMismatch, StoreFull.
        """
        wishes = asked.model_dump(include=set(Wishes.model_fields), exclude_unset=True)
        return self._become(asked.data, wishes, asked.transcript, recorded=asked.source == "mic")

    def at_once(self, upload: Upload) -> None:
        """The item of one that asked for it, if it has come whole and is none yet. Raises what `process` raises."""
        if upload.at_once and upload.finished and not upload.settled:
            self._become(upload.id, {}, None, recorded=tus.told(upload.metadata).source == "mic")

    def _become(
        self, upload_id: str, wishes: dict[str, Any], transcript: str | None, *, recorded: bool
    ) -> tuple[Json, bool]:
        if transcript == upload_id:
            raise BadRequest("an upload cannot be the transcript beside itself")
        ids = [upload_id, *([transcript] if transcript else [])]
        with ExitStack() as stack:
            uploads, files = [], []
            for one in ids:
                file = self._file(one)
                if file is not None:
                    files.append(stack.enter_context(file))
                upload = self._whole(one)  # again, now that nobody else touches it
                if file is not None:
                    uploads.append(upload)
                elif one == upload_id:
                    self._parts.catalog.settle_uploads([one])
                    return self._item(upload)
                else:
                    raise UploadTaken(f"upload {one}, the transcript, went with an item already")
            return self._added(uploads, files, wishes, recorded=recorded)

    def _whole(self, upload_id: str) -> Upload:
        upload = self.find(upload_id)
        if not upload.finished:
            of = "an unknown number" if upload.length is None else upload.length
            raise UploadUnfinished(f"upload {upload_id} has {upload.received} of {of} bytes: send the rest first")
        return upload

    def _item(self, upload: Upload) -> tuple[Json, bool]:
        if upload.item_id is None:
            raise NotFound(f"no upload {upload.id}: its bytes are gone; send them again")
        return self.nexus.get(upload.item_id), False

    def _file(self, upload_id: str) -> GrowingFile | None:
        """The file of one that has come whole, locked; None where it has left for the inbox. Raises NotFound."""
        upload = self._whole(upload_id)
        if upload.settled:
            return None
        try:
            file = self._locked(upload_id, make=upload.length == 0 and upload.item_id is None)
        except NotFound:
            if upload.item_id is None:
                self._drop(upload_id)
            return None
        if self._parts.catalog.upload(upload_id, self.nexus.owner).settled:  # while we waited: it lies in the inbox now
            file.close()
            return None
        return file

    def _added(
        self, uploads: Sequence[Upload], files: Sequence[GrowingFile], wishes: dict[str, Any], *, recorded: bool
    ) -> tuple[Json, bool]:
        told = [tus.told(upload.metadata) for upload in uploads]
        if len(uploads) > 1 and (uploads[1].length or 0) > SIDECAR_BYTES:
            raise TooLarge(f"a transcript has {SIDECAR_BYTES} bytes at most")
        for upload, file in zip(uploads, files, strict=True):
            if file.size < (upload.length or 0):
                self._drop(upload.id)
                raise NotFound(f"no upload {upload.id}: bytes of it are lost; send it again")
            file.cut(upload.length or 0)
        digests = [self._digest(*one) for one in zip(uploads, files, told, strict=True)]
        own = Wishes.model_validate(told[0].model_dump(include=set(Wishes.model_fields), exclude_unset=True) | wishes)
        names = [_name(one, recorded=recorded) for one in told]
        offered = Offered(
            files[0].path,
            files[1].path if len(files) > 1 else None,
            digests=(digests[0], digests[1] if len(digests) > 1 else None),
            names=(names[0], names[1] if len(names) > 1 else None),
            move=True,
        )
        adding = said(own, self.nexus.owner, source="mic" if recorded else "upload")
        ids = [upload.id for upload in uploads]
        # from here on a crash heals: the next one who asks, or the sweep, finds which item it was to be
        self._parts.catalog.become(ids, item_of(offered, adding).id)
        added = self.nexus.add_file(offered, adding)
        self._parts.catalog.settle_uploads(ids)
        for one in ids:  # still there where the item was there before
            self._growing.remove(one)
        return added

    def _digest(self, upload: Upload, file: GrowingFile, told: tus.Told) -> str:
        """SHA-256 of its bytes. Raises DigestMismatch, and removes it, where they are not those that were declared."""
        found = self._passing.take(upload.id, upload.received)
        if found is None:
            found = hashlib.sha256()
            for block in file.blocks():
                found.update(block)
        self._passing.put(upload.id, upload.received, found)
        if told.digest and told.digest.removeprefix("sha256:").lower() != found.hexdigest():
            self._drop(upload.id)
            raise DigestMismatch("the bytes that came are not those that `digest` declares; send the file again")
        return found.hexdigest()


def _name(told: tus.Told, *, recorded: bool) -> str:
    """What its sender calls it, or a name of its kind."""
    if told.filename:
        return plain_name(told.filename)
    kind = (told.filetype or "").partition(";")[0].strip().lower()
    return ("recording" if recorded else "file") + _ENDINGS.get(kind, "")


def sweep(parts: Parts, passing: Passing) -> int:
    """Remove uploads that nobody has gone on with for a day, and answers of posts as old; how many uploads went.

    Those that were to become items at once and whose process ended before become them.
    """
    parts.catalog.prune_posts(datetime.now(UTC) - KEPT)
    if parts.growing is None:
        return 0
    gone = 0
    for upload in parts.catalog.open_uploads():
        resuming = Resuming(Local(parts.settings, parts=parts, owner=upload.owner), passing)
        if upload.expires_at < datetime.now(UTC):
            parts.catalog.drop_upload(upload.id, taken=True)
            parts.growing.remove(upload.id)
            gone += 1
            continue
        try:
            resuming.at_once(upload)
        except NexusError as error:
            log.warning("no item yet upload=%s code=%s", upload.id, error.code)
    orphans = parts.growing.old(ORPHAN_S)
    for upload_id in set(orphans) - parts.catalog.open_among(orphans):
        parts.growing.remove(upload_id)
    return gone

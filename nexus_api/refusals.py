"""What resumable uploads and repeated posts are refused with: errors of requests, known to server and client alike."""

from nexus_pipeline.domain.errors import NexusError


class TusVersion(NexusError):
    """A resumable upload in another version of the protocol, or in none."""

    code = "tus_version"
    http_status = 412


class WrongContentType(NexusError):
    """The body is not of the type that the route takes."""

    code = "wrong_content_type"
    http_status = 415


class OffsetMismatch(NexusError):
    """Bytes for another place than the one up to which the upload has come."""

    code = "offset_mismatch"
    http_status = 409


class UploadLocked(NexusError):
    """Another request is writing the upload, or making an item of it."""

    code = "upload_locked"
    http_status = 423
    retryable = True


class UploadCutOff(NexusError):
    """The bytes stopped coming; what had come is kept."""

    code = "upload_cut_off"
    http_status = 408
    retryable = True


class ChecksumMismatch(NexusError):
    """The bytes of one request are not those of its `Upload-Checksum`; they are dropped."""

    code = "checksum_mismatch"
    http_status = 460
    retryable = True


class UploadUnfinished(NexusError):
    """It has not come whole and can be no item yet."""

    code = "upload_unfinished"
    http_status = 409


class UploadTaken(NexusError):
    """It is an item already."""

    code = "upload_taken"
    http_status = 409


class NoResuming(NexusError):
    """The inbox is no folder: uploads onto it cannot be resumed."""

    code = "no_resumable_uploads"
    http_status = 501


class KeyReused(NexusError):
    """An `Idempotency-Key` that belongs to another request."""

    code = "idempotency_key_reused"
    http_status = 422


class StillUnderWay(NexusError):
    """The first request with this `Idempotency-Key` has not been answered yet."""

    code = "still_under_way"
    http_status = 409
    retryable = True


class AnswerGone(NexusError):
    """The request was carried out before; its answer was too long to keep, or went with an erased item."""

    code = "answer_gone"
    http_status = 410

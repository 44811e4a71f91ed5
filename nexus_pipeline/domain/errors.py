"""The tree of errors. A code is stable and documented in docs/errors.md; a message tells a person what to do.

NexusError
├── BadInput            the item's own bytes or address: trying again does not help
│   ├── EmptyInput  UnsupportedMedia  DamagedMedia  TooLarge  TooLong  BadTranscript  BadAddress
├── SourceError         where the item comes from
│   ├── SourceBusy (retryable)  SourceGone  SourceRefused  DigestMismatch
├── EngineError         a machine that does the work
│   ├── EngineBusy (retryable)  EngineFailed  EngineKilled (retryable)  ModelMissing (blocks)  EngineDown (blocks)
│   ├── EngineRefused  EngineEmpty (retryable)
├── StoreError          catalog, blobs, archive (retryable)
│   ├── NotFound  StoreFull (retryable)  Conflict (retryable)
├── LeaseLost           another run holds the item, or the item was deleted meanwhile
└── Cancelled           a person asked for it
"""


class NexusError(Exception):
    """Anything that Nexus itself says went wrong."""

    code = "error"
    http_status = 500
    retryable = False
    blocked: str | None = None
    """The reason for which the step is blocked rather than failed, if it is."""
    retry_after_s: float | None = None
    """Not before: the seconds that the other side asked to wait, where it did."""


class BadInput(NexusError):
    """The item's own bytes or address are at fault."""

    code = "bad_input"
    http_status = 422


class EmptyInput(BadInput):
    """Nothing is in it: 0 bytes."""

    code = "empty_input"


class UnsupportedMedia(BadInput):
    """Neither sound, picture nor transcript."""

    code = "unsupported_media"
    http_status = 415


class DamagedMedia(BadInput):
    """It claims to be media and cannot be read as such."""

    code = "damaged_media"


class TooLarge(BadInput):
    """More bytes than NEXUS_MAX_BYTES."""

    code = "too_large"
    http_status = 413


class TooLong(BadInput):
    """More seconds than NEXUS_MAX_DURATION_S."""

    code = "too_long"


class BadTranscript(BadInput):
    """A transcript file that cannot be read as one."""

    code = "bad_transcript"


class BadAddress(BadInput):
    """A URL that is no http(s) URL or leads where fetching must not go."""

    code = "bad_address"


class SourceError(NexusError):
    """Where the item comes from."""

    code = "source_error"
    http_status = 502


class SourceBusy(SourceError):
    """Rate limited, timed out or down for the moment."""

    code = "source_busy"
    retryable = True


class SourceGone(SourceError):
    """It is not there (any more)."""

    code = "source_gone"
    http_status = 404


class SourceRefused(SourceError):
    """It is there and not for us: log-in, region, DRM, a page without media."""

    code = "source_refused"
    http_status = 403


class DigestMismatch(SourceError):
    """The bytes are not those that were declared."""

    code = "digest_mismatch"
    http_status = 422


class EngineError(NexusError):
    """A machine that does the work."""

    code = "engine_error"


class EngineBusy(EngineError):
    """Rate limited or down for the moment."""

    code = "engine_busy"
    http_status = 503
    retryable = True


class EngineFailed(EngineError):
    """It ran and could not do it."""

    code = "engine_failed"


class EngineKilled(EngineError):
    """Its process was ended from outside or passed its time limit."""

    code = "engine_killed"
    retryable = True


class ModelMissing(EngineError):
    """The weights are not on this machine and could not be fetched."""

    code = "model_missing"
    http_status = 503
    retryable = True
    blocked = "model_missing"


class EngineDown(EngineError):
    """It does not answer at all, or not to us: an outage, no network, a key that is missing or refused."""

    code = "engine_down"
    http_status = 503
    retryable = True
    blocked = "engine_down"


class EngineRefused(EngineError):
    """It will not do this one: its rules of safety."""

    code = "engine_refused"
    http_status = 422


class EngineEmpty(EngineError):
    """It answered with nothing, or with what was not asked for, again and again."""

    code = "engine_empty"
    http_status = 502
    retryable = True


class StoreError(NexusError):
    """Catalog, blobs or archive."""

    code = "store_error"
    http_status = 503
    retryable = True


class NotFound(StoreError):
    """No such item, blob or row."""

    code = "not_found"
    http_status = 404
    retryable = False


class StoreFull(StoreError):
    """No space is left, or the store is read-only."""

    code = "store_full"
    http_status = 507


class Conflict(StoreError):
    """Somebody else's write came first, again and again."""

    code = "conflict"
    http_status = 409


class LeaseLost(NexusError):
    """Another run holds the item, or it was deleted meanwhile."""

    code = "lease_lost"
    http_status = 409


class Cancelled(NexusError):
    """A person asked for it."""

    code = "cancelled"
    http_status = 409


class Unexpected(NexusError):
    """A defect of Nexus itself; the run's log has the traceback."""

    code = "unexpected"

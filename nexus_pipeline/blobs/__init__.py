"""Bytes under keys: in a folder, in memory, or on S3.

A folder is read and written through the filesystem itself, everything else through obstore; `folder.py` says why.
"""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nexus_pipeline.blobs.folder import FolderBlobs
from nexus_pipeline.blobs.objects import ObjectBlobs, memory_store, s3_store
from nexus_pipeline.blobs.signing import Signer
from nexus_pipeline.domain.errors import BadInput
from nexus_pipeline.ports import Blobs

__all__ = ["FolderBlobs", "ObjectBlobs", "open_blobs"]


def open_blobs(
    url: str,
    *,
    s3_endpoint: str | None = None,
    s3_options: Mapping[str, str] | None = None,
    scratch: Path | None = None,
) -> Blobs:
    """The store at `file:///absolute/folder` (percent-encoded), `memory://` or `s3://bucket/prefix`.

    `s3_options` are obstore's S3 options (region, access_key_id...); what is not told there it takes from AWS's own
    variables. `scratch` is the folder in which `local` lays objects of a store that has no paths.
    A folder is made by the first put. Raises BadInput for any other address.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return FolderBlobs(Path(unquote(parts.path)))
    if parts.scheme == "memory":
        return ObjectBlobs(memory_store(), scratch=scratch)
    if parts.scheme == "s3" and parts.netloc and "@" not in parts.netloc:
        prefix = parts.path.strip("/")
        store = s3_store(parts.netloc, prefix, endpoint=s3_endpoint, options=s3_options)
        signer = Signer(parts.netloc, prefix, s3_endpoint, s3_options or {})
        return ObjectBlobs(store, scratch=scratch, signer=signer)
    # not the address itself: somebody may have written a password into it
    raise BadInput(
        "Blobs live at file:///absolute/folder, memory:// or s3://bucket/prefix (keys in AWS's variables, not in the "
        f"address); this address begins with {parts.scheme or 'no scheme'}:"
    )

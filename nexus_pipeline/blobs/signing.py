"""Addresses at which S3 itself serves an object for a while, signed by boto3.

obstore signs too, but not what a browser is to take the bytes for: name and type.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import quote

_CLIENT_NAMES = {
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
    "region": "region_name",
}
"""obstore's names of what boto3 calls otherwise."""


class Signer:
    """Of one bucket, or of what is below a prefix of it. Signing asks no server."""

    def __init__(self, bucket: str, prefix: str, endpoint: str | None, options: Mapping[str, str]) -> None:
        """What is not told in `options` boto3 takes from AWS's own variables, as obstore does."""
        self._bucket, self._prefix, self._endpoint = bucket, prefix, endpoint
        self._options = {_CLIENT_NAMES[name]: value for name, value in options.items() if name in _CLIENT_NAMES}

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client("s3", endpoint_url=self._endpoint, config=Config(signature_version="s3v4"), **self._options)

    def url(self, key: str, expires_s: int, disposition: str, media_type: str) -> str:
        """For GET and HEAD."""
        told = {
            "Bucket": self._bucket,
            "Key": f"{self._prefix}/{key}" if self._prefix else key,
            "ResponseContentType": media_type,
            "ResponseContentDisposition": disposition,
        }
        signed: str = self._client.generate_presigned_url("get_object", Params=told, ExpiresIn=expires_s)
        return signed


def disposition(filename: str, *, inline: bool) -> str:
    """The header Content-Disposition (RFC 6266): whatever the name holds, it ends up quoted."""
    return f"{'inline' if inline else 'attachment'}; filename*=UTF-8''{quote(filename, safe='')}"

"""A real S3 server on loopback: moto, as a process of its own."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import boto3

BUCKET = "nexus-test"


@dataclass(frozen=True)
class S3Server:
    """Where it listens and how to talk to it."""

    endpoint: str

    @property
    def options(self) -> dict[str, str]:
        return {"access_key_id": "test", "secret_access_key": "test", "region": "us-east-1"}

    def client(self):
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )


@contextmanager
def serving_s3() -> Iterator[S3Server]:
    """Starts on a free port, ends with the context, by its own pid."""
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        try:
            port = next(m[1] for line in server.stderr if (m := re.search(r"http://127\.0\.0\.1:(\d+)", line)))
            # its log goes on for as long as it runs, and must not fill the pipe
            threading.Thread(target=lambda: [None for _ in server.stderr], daemon=True).start()
            found = S3Server(f"http://127.0.0.1:{port}")
            client = found.client()
            client.create_bucket(Bucket=BUCKET)
            client.close()
            yield found
        finally:
            server.kill()

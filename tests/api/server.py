"""The API as its own process: uvicorn on loopback, as `nexus up` starts it, and its event streams as clients see it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nexus_api.programs import free_port

ROOT = Path(__file__).parents[2]
READY_S = 60.0
END_S = 10.0
GRACE_S = 3
"""As `nexus up` starts it: what is still open then is cut off."""


class Server:
    """One uvicorn; `settings` are NEXUS_* ones beside the home."""

    def __init__(self, home: Path, *, factory: str = "nexus_api.app:create_app", **settings: str) -> None:
        """Starts nothing yet."""
        self.home, self.port, self.factory = home, free_port(), factory
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("NEXUS_", "DAGSTER_"))}
        self.environment = clean | {"NEXUS_HOME": str(home)} | settings
        self.log = home / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Server":
        """Until /health/ready answers."""
        self.home.mkdir(parents=True, exist_ok=True)
        site = (self.factory, "--factory", "--host", "127.0.0.1", "--port", str(self.port), "--log-level", "warning")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", *site, "--timeout-graceful-shutdown", str(GRACE_S)],
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + READY_S
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError):
                if self.ask("GET", "/health/ready")[0] == 200:
                    return self
            time.sleep(0.1)
        raise AssertionError(f"the API does not answer: {self.said()}")

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request: status, headers in lower case, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def end(self) -> float:
        """SIGTERM; the seconds that it took. Fails past 10 s."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended {END_S:.0f} s after SIGTERM: {self.said()}") from None
        return time.monotonic() - began

    def close(self) -> None:
        """However a test ended."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text("utf-8", "replace")[-5000:]


@dataclass(frozen=True)
class Event:
    """A server-sent event; `data` is its JSON."""

    id: int | None
    event: str
    data: Any


class Stream:
    """A client of server-sent events: reads, remembers the last id, is cut off and resumes."""

    def __init__(self, url: str, path: str, *, last_id: int | None = None, timeout_s: float = 30.0) -> None:
        """Connects at the first read; a read that gets nothing for `timeout_s`, not even a comment, fails."""
        self._host, self.path, self.last_id, self.timeout_s = urlsplit(url).netloc, path, last_id, timeout_s
        self.connection: http.client.HTTPConnection | None = None
        self.answer: http.client.HTTPResponse | None = None
        self.comments: list[str] = []
        self.retry_ms: int | None = None

    def connect(self) -> "Stream":
        """And wait for the head of the answer."""
        headers = {} if self.last_id is None else {"Last-Event-ID": str(self.last_id)}
        self.connection = http.client.HTTPConnection(self._host, timeout=self.timeout_s)
        self.connection.request("GET", self.path, headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, (self.answer.status, self.answer.read()[:500])
        assert self.answer.headers["content-type"].startswith("text/event-stream")
        return self

    def __iter__(self) -> Iterator[Event]:
        """Events until the server ends the stream or breaks it off."""
        if self.answer is None:
            self.connect()
        assert self.answer is not None
        fields: dict[str, str] = {}
        with suppress(http.client.IncompleteRead, ConnectionResetError):
            while line := self.answer.readline():
                text = line.decode().rstrip("\n")
                if text:
                    self._field(text, fields)
                    continue
                if "id" in fields:
                    self.last_id = int(fields["id"])
                if "data" in fields:
                    own = int(fields["id"]) if "id" in fields else None
                    yield Event(own, fields.get("event", "message"), json.loads(fields["data"]))
                fields = {}
        self.close()

    def _field(self, text: str, fields: dict[str, str]) -> None:
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "":
            self.comments.append(value)
        elif name == "retry":
            self.retry_ms = int(value)
        else:
            fields[name] = fields[name] + "\n" + value if name == "data" and name in fields else value

    def close(self) -> None:
        """Cut it off; reading again connects again."""
        if self.answer is not None:
            self.answer.close()
        if self.connection is not None:
            self.connection.close()
        self.answer = self.connection = None


class Following:
    """A stream read in a thread, into a list."""

    def __init__(self, stream: Stream) -> None:
        """Connected when this returns: what happens from now on is in the list."""
        self.stream = stream if stream.answer else stream.connect()
        self.events: list[Event] = []
        self.at: list[float] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for event in self.stream:
            self.events.append(event)
            self.at.append(time.monotonic())

    def until(self, enough, within_s: float = 20.0) -> list[Event]:
        """Until the list satisfies `enough`."""
        end = time.monotonic() + within_s
        while not enough(self.events):
            assert time.monotonic() < end, f"not within {within_s} s: {self.events[-20:]}"
            time.sleep(0.01)
        return list(self.events)

    def close(self) -> None:
        """Cut it off, and wait until the thread has seen that."""
        connection = self.stream.connection
        if connection is not None and connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self.stream.close()

    def ended(self, within_s: float = 20.0) -> list[Event]:
        """All of them, once the server has ended the stream."""
        self._thread.join(within_s)
        assert not self._thread.is_alive(), f"the stream has not ended: {self.events[-20:]}"
        return self.events

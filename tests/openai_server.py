"""A server on loopback that speaks OpenAI's API, hears with the small speech model, and fails as it is told to.

`serving()` gives a `Server`: its `url` is what NEXUS_OPENAI_BASE_URL wants. Faults are queued in `server.faults`, one
for each request to come; what was asked stands in `server.asked`.
"""

import contextlib
import io
import json
import re
import socket
import tempfile
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import multipart
import numpy as np

from nexus_pipeline.engines.faster_whisper import FasterWhisper
from nexus_pipeline.ports import Hints
from tests.speech import MODELS

NANO = "whisper-nano-en"
GONE = "gone"
"""A model that the server does not have."""
DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072}
WORDS = "These are the words of the model."
KEY = "sk-planted-5d1c77aa"

USED = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
"""What an answer says that it took."""
_CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}

Answer = Callable[[list[dict[str, str]], dict[str, Any] | None], str]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request."""

    status: int = 200
    code: str | None = None
    kind: str | None = None
    param: str | None = None
    says: str = "a message that repeats words of the item: xylophone"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Sent as it is, with status 200, as JSON."""
    page: bool = False
    """A page of a proxy instead."""
    content: str | None = None
    """The model says this."""
    refusal: str | None = None
    finish: str | None = None
    cut_after: int | None = None
    """The connection breaks after so many pieces of a stream, or at once where nothing is streamed."""
    hold_s: float = 0.0
    """It waits so long before it answers."""
    drip_s: float = 0.0
    """It waits so long before each byte of its answer."""


def busy(after: str | None = None, **headers: str) -> Fault:
    """429, with Retry-After or without."""
    told = {"Retry-After": after} if after is not None else {}
    return Fault(429, "rate_limit_exceeded", "requests", headers={**told, **headers})


@dataclass(frozen=True)
class Asked:
    """One request as it came; names of headers in small letters."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    at: float


class Server:
    """What tests see of it."""

    def __init__(self) -> None:
        self.url = ""
        self.key: str | None = None
        self.faults: deque[Fault] = deque()
        self.asked: list[Asked] = []
        self.under_way = 0
        self.most_under_way = 0
        self.pace_s = 0.0
        """It waits so long before each answer."""
        self.down: Fault | None = None
        """As long as it stands, every request fails so."""
        self.forms: frozenset[str] = frozenset({"json_schema", "json_object"})
        """The forms of answers that it knows."""
        self.holds_to_schema = True
        """Whether the model's answers are in the form of the schema without being told so in words."""
        self.counts = True
        """Whether it knows how to say what a stream took."""
        self.timed = True
        """Whether it gives times of what it hears."""
        self.answer: Answer = _plausible
        """What the model says: of the messages and the schema, if there is one."""
        self.lock = threading.Lock()
        self.speech = FasterWhisper(NANO, MODELS, width=2, words=True)

    def bodies(self, path: str = "") -> list[dict[str, Any]]:
        """What was asked on a route."""
        return [a.body for a in self.asked if path in a.path]

    def next_fault(self) -> Fault:
        with self.lock:
            return self.down or (self.faults.popleft() if self.faults else Fault())


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Starts on a free port, ends with the context; what still hangs is cut off."""
    server = Server()
    handler = type("Handler", (_Handler,), {"server_": server})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    httpd.daemon_threads = True
    httpd.block_on_close = False
    server.url = f"http://127.0.0.1:{httpd.server_address[1]}/v1"
    threading.Thread(target=httpd.serve_forever, daemon=True, kwargs={"poll_interval": 0.05}).start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_: Server

    def do_POST(self) -> None:
        server = self.server_
        data = self.rfile.read(int(self.headers["Content-Length"]))
        body = self._form(data) if "multipart" in self.headers["Content-Type"] else json.loads(data)
        with server.lock:
            server.asked.append(
                Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, body, time.monotonic())
            )
            server.under_way += 1
            server.most_under_way = max(server.most_under_way, server.under_way)
        try:
            self._serve(server, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with server.lock:
                server.under_way -= 1

    def _serve(self, server: Server, body: dict[str, Any]) -> None:
        fault = server.next_fault()
        time.sleep(fault.hold_s + server.pace_s)
        if server.key and self.headers["Authorization"] != f"Bearer {server.key}":
            fault = Fault(401, "invalid_api_key", "invalid_request_error", says=f"{self.headers['Authorization']}?")
        if fault.page:
            self._send(200, b"<html>Log in to the network</html>", "text/html", fault)
        elif fault.status != 200:
            self._refuse(fault)
        elif fault.body is not None:
            self._send(200, fault.body, "application/json", fault)
        elif fault.cut_after is not None and not body.get("stream"):
            self._cut()
        elif body.get("model") == GONE:
            self._refuse(Fault(404, "model_not_found", "invalid_request_error"))
        else:
            route = self.path.removeprefix("/v1")
            known = {
                "/chat/completions": self._chat,
                "/audio/transcriptions": self._heard,
                "/embeddings": self._embedded,
            }
            known.get(route, lambda _body, fault: self._refuse(Fault(404)))(body, fault)

    # ------------------------------------------------------------ chat

    def _chat(self, body: dict[str, Any], fault: Fault) -> None:
        server, form = self.server_, body.get("response_format", {})
        if form and form["type"] not in server.forms:
            self._refuse(Fault(400, None, "invalid_request_error", "response_format"))
            return
        if form.get("type") == "json_object" and "json" not in json.dumps(body["messages"]).lower():
            self._refuse(Fault(400, None, "invalid_request_error", "messages"))
            return
        counts = body.get("stream_options", {}).get("include_usage", False)
        if counts and not server.counts:
            self._refuse(Fault(400, None, "invalid_request_error", "stream_options"))
            return
        schema = form.get("json_schema", {}).get("schema")
        in_words = [m for m in body["messages"] if "JSON schema:\n" in m["content"]]
        if in_words:
            schema = json.loads(in_words[-1]["content"].rpartition("JSON schema:\n")[2])
        elif not server.holds_to_schema:
            schema = None
        said = server.answer(body["messages"], schema) if fault.content is None else fault.content
        if body.get("stream"):
            self._stream(said, fault, counts=counts)
            return
        message = {"role": "assistant", "content": None if fault.refusal else said, "refusal": fault.refusal}
        choice = {"index": 0, "message": message, "finish_reason": fault.finish or "stop"}
        answer = {"id": "c", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}
        self._send_json({**answer, "usage": USED}, fault)

    def _stream(self, said: str, fault: Fault, *, counts: bool) -> None:
        self._head(200, "text/event-stream", {"Transfer-Encoding": "chunked"})
        for n, word in enumerate(re.findall(r"\S+\s*", said)):
            if n == fault.cut_after:
                self._cut()
                return
            time.sleep(fault.drip_s)
            self._event({"content": word})
        if fault.refusal:
            self._event({"refusal": fault.refusal})
        if fault.code:
            self._chunk({"error": {"message": fault.says, "type": fault.kind, "code": fault.code}})
        elif fault.finish != "none":
            self._event({}, fault.finish or "stop")
        if counts:
            self._chunk({**_CHUNK, "choices": [], "usage": USED})
        self._raw(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, delta: dict[str, Any], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self._chunk({**_CHUNK, "choices": [choice]})

    def _chunk(self, told: dict[str, Any]) -> None:
        self._raw(f"data: {json.dumps(told)}\n\n".encode())

    def _raw(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    # ------------------------------------------------------------ sound

    def _heard(self, body: dict[str, Any], fault: Fault) -> None:
        server, verbose = self.server_, body.get("response_format") == "verbose_json"
        if verbose and (not server.timed or body["model"].startswith("gpt-")):
            self._refuse(Fault(400, "unsupported_value", "invalid_request_error", "response_format"))
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "speech.flac")
            path.write_bytes(body["file"])
            windows = list(server.speech.transcribe(path, 0.0, Hints(), lambda: False))
        segments = [s for window in windows for s in window.segments]
        text = " ".join(s.text for s in segments)
        if not verbose:
            usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59}
            self._send_json({"text": text, "usage": usage}, fault)
            return
        told = {"task": "transcribe", "language": "english", "duration": windows[-1].end_s, "text": text}
        told["segments"] = [
            {"id": s.id, "start": s.start_s, "end": s.end_s, "text": f" {s.text}", "avg_logprob": -0.1}
            for s in segments
        ]
        if "word" in body.get("timestamp_granularities[]", []):
            # as OpenAI gives them: bare
            words = [(re.sub(r"[^\w'-]", "", w.text), w) for s in segments for w in s.words]
            told["words"] = [{"word": bare, "start": w.start_s, "end": w.end_s} for bare, w in words if bare]
        self._send_json(told, fault)

    def _form(self, data: bytes) -> dict[str, Any]:
        boundary = multipart.parse_options_header(self.headers["Content-Type"])[1]["boundary"]
        parts = multipart.MultipartParser(io.BytesIO(data), boundary, spool_limit=2**25, memory_limit=2**26)
        found: dict[str, Any] = {}
        for part in parts:
            if part.filename:
                found[part.name] = part.file.read()
                found["filename"] = part.filename
            elif part.name.endswith("[]"):
                found.setdefault(part.name, []).append(part.value)
            else:
                found[part.name] = part.value
        return found

    # ------------------------------------------------------------ vectors

    def _embedded(self, body: dict[str, Any], fault: Fault) -> None:
        texts = body["input"]
        if not all(texts):
            self._refuse(Fault(400, None, "invalid_request_error", "input"))
            return
        dimensions = DIMENSIONS.get(body["model"], 64)
        rows = [
            {"object": "embedding", "index": n, "embedding": vector(text, dimensions)} for n, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        # their order is not promised
        self._send_json({"object": "list", "data": rows[::-1], "model": body["model"], "usage": usage}, fault)

    # ------------------------------------------------------------ answers

    def _refuse(self, fault: Fault) -> None:
        told = {"message": fault.says, "type": fault.kind, "param": fault.param, "code": fault.code}
        self._send(fault.status, json.dumps({"error": told}).encode(), "application/json", fault)

    def _send_json(self, told: dict[str, Any], fault: Fault) -> None:
        self._send(200, json.dumps(told).encode(), "application/json", fault)

    def _send(self, status: int, data: bytes, kind: str, fault: Fault) -> None:
        self._head(status, kind, {"Content-Length": str(len(data)), **fault.headers})
        if not fault.drip_s:
            self.wfile.write(data)
            return
        for byte in data:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(fault.drip_s)

    def _head(self, status: int, kind: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *told: Any) -> None:
        """Tests have their own."""


def vector(text: str, dimensions: int) -> list[float]:
    """A bag of words, hashed: texts with the same words lie close together; not of unit length."""
    made = np.zeros(dimensions)
    for word in re.findall(r"\w+", text.lower()) or [text]:
        made[zlib.crc32(word.encode()) % dimensions] += 3.0
    return [float(x) for x in made]


def _plausible(messages: list[dict[str, str]], schema: dict[str, Any] | None) -> str:
    """Words, or the emptiest answer that a schema allows."""
    return WORDS if schema is None else json.dumps(filled(schema, schema))


def filled(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """The plainest value of a JSON schema."""
    if "$ref" in schema:
        return filled(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return filled(schema["anyOf"][0], root)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if schema.get("type") == "object":
        return {name: filled(below, root) for name, below in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [filled(schema["items"], root) for _ in range(schema.get("minItems", 0))]
    return {"string": WORDS, "integer": schema.get("minimum", 0), "number": 0.5, "boolean": False}.get(
        schema.get("type", "string")
    )

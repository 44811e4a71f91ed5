"""A server on loopback that speaks Gemini's API, holds to its rules, and fails as it is told.

It really hears (with the small test model) and gives vectors by which words in common lie close; what it says to a
question is scripted. Its messages quote the item, as the real one's may: they must never come out of Nexus.
"""

import base64
import contextlib
import json
import re
import tempfile
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from nexus_pipeline.engines.faster_whisper import FasterWhisper
from nexus_pipeline.engines.site import Cloud, EngineSite
from nexus_pipeline.ports import Hints
from tests.speech import MODELS

KEY = "AIzaPlantedKeyThatMustNeverBeSeen0123456"
QUOTED = "they quoted the piano behind the door"
"""What its error messages say of an item."""
NANO = "whisper-nano-en"
TALKS, HEARS, EMBEDS = "gemini-3.8-flash", NANO, "gemini-embedding-001"
KNOWN = frozenset({TALKS, HEARS, EMBEDS, "gemini-embedding-2"})
INLINE_BYTES = 20_000_000
READ = frozenset(
    {"$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems"}
    | {"minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties", "required"}
)
"""Keywords of a JSON schema that it reads."""

USED = {"promptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": 4, "totalTokenCount": 9}
"""What each answer, and each piece of a stream, says that it took so far."""

EAR = FasterWhisper(NANO, MODELS)
"""One for all servers of a process; loaded when first something is heard."""
Fault = Callable[["Gemini"], None]


@dataclass(frozen=True)
class Asked:
    """One call that came in."""

    does: str
    model: str
    body: dict[str, Any]
    headers: dict[str, str]
    at: float


@dataclass
class GeminiServer:
    """What it was asked, what it will do wrong next, and what it says."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    always: Fault | None = None
    """What it does wrong once no fault is queued."""
    says: Callable[[dict[str, Any]], str] = lambda _body: "It is behind the red door."
    over: threading.Event = field(default_factory=threading.Event)

    def site(self, folder: Path, key: str | None = KEY) -> EngineSite:
        """Engines whose Gemini is here."""
        secret = SecretStr(key) if key else None
        cloud = Cloud(secret, self.url, tokens_a_minute=10_000_000)
        return EngineSite(MODELS, folder, 1, _no_embedder, gemini=cloud)

    def hear(self, sound: bytes) -> dict[str, Any]:
        """As Gemini is asked to answer."""
        with tempfile.NamedTemporaryFile(suffix=".flac") as file:
            file.write(sound)
            file.flush()
            windows = list(EAR.transcribe(Path(file.name), 1e6, Hints(), self.over.is_set))
        segments = [s for window in windows for s in window.segments]
        return {
            "language": "en-US",
            "segments": [{"start_s": s.start_s, "end_s": s.end_s, "text": s.text} for s in segments],
        }


def _no_embedder() -> Any:
    raise AssertionError("no other embedder is needed")


@contextlib.contextmanager
def serving() -> Iterator[GeminiServer]:
    """A server until the end of the context."""
    server = GeminiServer()
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Gemini,), {"said": server}))
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        http.shutdown()
        http.server_close()
        thread.join(5)


class Gemini(BaseHTTPRequestHandler):
    """The routes that Nexus uses."""

    protocol_version = "HTTP/1.1"
    said: GeminiServer
    body: dict[str, Any]
    does: str
    model: str

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        route = re.fullmatch(r"/v1(?:beta)?/models/([^:/]+):(\w+)(\?alt=sse)?", self.path)
        if route is None or (route[2] == "streamGenerateContent") != bool(route[3]):
            self.error(404, "NOT_FOUND")
            return
        self.model, self.does, self.body = route[1], route[2], json.loads(data)
        told = {name.lower(): value for name, value in self.headers.items()}
        self.said.asked.append(Asked(self.does, self.model, self.body, told, time.monotonic()))
        fault = self.said.faults.popleft() if self.said.faults else self.said.always
        if fault is not None:
            fault(self)
        elif self.headers.get("x-goog-api-key") != KEY:
            info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
            self.error(400, "INVALID_ARGUMENT", details=[info])
        elif self.model not in KNOWN:
            self.error(404, "NOT_FOUND")
        elif len(data) > INLINE_BYTES:
            self.error(400, "INVALID_ARGUMENT")
        else:
            self.answer()

    def answer(self) -> None:
        """What it does when nothing is wrong."""
        match self.does:
            case "generateContent":
                self.generate()
            case "streamGenerateContent":
                self.stream(pieces(self.said.says(self.body)))
            case "batchEmbedContents":
                self.embed()
            case "countTokens":
                self.json({"totalTokens": len(json.dumps(self.body)) // 4})
            case _:
                self.error(404, "NOT_FOUND")

    def generate(self) -> None:
        """Hears where sound is given, else says what is scripted; a form that it cannot read is refused."""
        form = self.body.get("generationConfig", {}).get("responseJsonSchema")
        if form is not None and not readable(form):
            self.error(400, "INVALID_ARGUMENT")
            return
        parts = [part for content in self.body["contents"] for part in content["parts"]]
        sounds = [part["inlineData"] for part in parts if "inlineData" in part]
        if not sounds:
            self.json(answered(self.said.says(self.body)))
        elif sounds[0].get("mime_type", sounds[0].get("mimeType")) != "audio/flac":
            self.error(400, "INVALID_ARGUMENT")
        else:
            self.json(answered(json.dumps(self.said.hear(base64.urlsafe_b64decode(sounds[0]["data"])))))

    def embed(self) -> None:
        """Words in common lie close; shortened vectors are not of unit length, as the real ones."""
        requests = self.body["requests"]
        texts = [" ".join(part.get("text", "") for part in one["content"]["parts"]) for one in requests]
        if len(texts) > 100 or not all(texts):
            self.error(400, "INVALID_ARGUMENT")
            return
        sizes = [one.get("outputDimensionality", 3072) for one in requests]
        vectors = [{"values": hashed(t, n)} for t, n in zip(texts, sizes, strict=True)]
        self.json({"embeddings": vectors, "usageMetadata": {"promptTokenCount": len(texts)}})

    # ------------------------------------------------------------ ways to answer

    def json(self, told: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.raw(json.dumps(told).encode(), "application/json", status, headers)

    def raw(self, data: bytes, kind: str, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.head(status, {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})})
        self.send(data)

    def error(
        self, status: int, kind: str, details: list[dict[str, str]] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """As Google writes errors; the message quotes the item."""
        told = {"code": status, "message": QUOTED, "status": kind, "details": details or []}
        self.json({"error": told}, status, headers)

    def stream(self, several: list[dict[str, Any]], *, ends: bool = True, pace_s: float = 0.0) -> None:
        """Server-sent events in HTTP chunks; without an end the connection breaks in the middle."""
        self.head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        for one in several:
            data = f"data: {json.dumps(one)}\r\n\r\n".encode()
            self.send(b"%x\r\n%s\r\n" % (len(data), data))
            self.said.over.wait(pace_s)
        if ends:
            self.send(b"0\r\n\r\n")
        else:
            self.close()

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # whoever asked has left
            self.wfile.write(data)

    def close(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(2)

    def log_message(self, *told: Any) -> None:
        """Tests say what matters."""


# ---------------------------------------------------------------- what it may answer


def answered(text: str | None, finish: str | None = "STOP") -> dict[str, Any]:
    """One candidate."""
    candidate: dict[str, Any] = {"index": 0}
    if text is not None:
        candidate["content"] = {"role": "model", "parts": [{"text": text}]}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": USED}


def pieces(text: str, finish: str | None = "STOP") -> list[dict[str, Any]]:
    """A text as a stream has it: a word a piece, the last one saying why it ends."""
    words = re.findall(r"\S+\s*", text)
    told = [answered(word, None) for word in words]
    return [*told, answered("", finish)] if finish else told


def hashed(text: str, size: int) -> list[float]:
    values = [0.0] * size
    for word in re.findall(r"\w+", text.lower()) or [text]:
        values[zlib.crc32(word.encode()) % size] += 3.0
    return values


def readable(schema: Any) -> bool:
    """Whether a schema has only what Gemini's documents say that it reads."""
    if not isinstance(schema, dict):
        return isinstance(schema, bool)
    if "$ref" in schema and len(schema) > 1:
        return False
    inner = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    inner += [*schema.get("anyOf", []), *schema.get("prefixItems", [])]
    inner += [schema[key] for key in ("items", "additionalProperties") if key in schema]
    return set(schema) <= READ and all(map(readable, inner))


# ---------------------------------------------------------------- faults


def status(code: int, kind: str, *, retry_info: str | None = None, retry_after: str | None = None) -> Fault:
    """An error by its status, saying when to come back in Google's way, in HTTP's, or not at all."""
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": retry_info or ""}
    headers = {"Retry-After": retry_after} if retry_after else None
    return lambda it: it.error(code, kind, [info] if retry_info else None, headers)


def says(text: str) -> Fault:
    """An answer in whatever form."""
    return lambda it: it.json(answered(text)) if it.does == "generateContent" else it.stream(pieces(text))


def body(data: bytes, code: int = 200, kind: str = "application/json") -> Fault:
    """Something that is no answer of Gemini's."""
    return lambda it: it.raw(data, kind, code)


def blocked(reason: str = "PROHIBITED_CONTENT") -> Fault:
    """The question is refused."""
    told = {"promptFeedback": {"blockReason": reason}}
    return lambda it: it.json(told) if it.does == "generateContent" else it.stream([told])


def finish(reason: str, text: str | None = None) -> Fault:
    """The answer ends for a reason, perhaps after some words."""
    return lambda it: (
        it.json(answered(text, reason)) if it.does == "generateContent" else it.stream(pieces(text or "", reason))
    )


def nothing(it: Gemini) -> None:
    """No candidate at all."""
    it.json({"candidates": []}) if it.does == "generateContent" else it.stream([{"candidates": []}])


def cut(it: Gemini) -> None:
    """The connection breaks in the middle of the answer."""
    if it.does == "streamGenerateContent":
        it.stream(pieces("It is behind the")[:2], ends=False)
    else:
        it.head(200, {"Content-Type": "application/json", "Content-Length": "1000"})
        it.send(b'{"candidates": [')
        it.close()


def unfinished(it: Gemini) -> None:
    """A stream that ends as if all were well, without having said so."""
    it.stream(pieces("It is behind the", finish=None))


def breaks_with(code: int, kind: str) -> Fault:
    """A stream in which an error comes after the first words."""
    told = {"error": {"code": code, "message": QUOTED, "status": kind}}
    return lambda it: it.stream([*pieces("It is", finish=None), told])


def drip(it: Gemini) -> None:
    """A byte ten times a second, for ever: no time-out between bytes ever passes."""
    it.head(200, {"Content-Type": "application/json", "Content-Length": "100000"})
    while not it.said.over.wait(0.1):
        it.send(b" ")


def hang(it: Gemini) -> None:
    """Not a byte."""
    it.said.over.wait(60)
    it.close()


def drop(it: Gemini) -> None:
    """The connection is closed without an answer."""
    it.close()

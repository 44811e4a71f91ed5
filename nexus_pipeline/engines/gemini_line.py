"""The line to Gemini: one client and one line for all its engines of this process, and its errors as ours.

The client would take keys and addresses from variables of its own; it is told them instead, so that only our settings
count. Its errors carry the vendor's message, which may quote the item: nothing of it is repeated here.
"""

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from nexus_pipeline.domain.errors import EngineBusy, EngineDown, EngineFailed, ModelMissing, NexusError
from nexus_pipeline.domain.usage import Usage
from nexus_pipeline.engines.cloud import Barred, Line, Patience
from nexus_pipeline.engines.metering import Counting
from nexus_pipeline.engines.site import Cloud, EngineSite
from nexus_pipeline.engines.wires import Wires
from nexus_pipeline.ports import Cancelled as IsCancelled
from nexus_pipeline.ports import Metering

if TYPE_CHECKING:
    import httpx2
    from google.genai import Client
    from google.genai.errors import APIError

R = TypeVar("R")

ADDRESS = "https://generativelanguage.googleapis.com/"
KEY_MISSING = "set NEXUS_GEMINI_API_KEY"
KEY_REFUSED = "the key was refused: set NEXUS_GEMINI_API_KEY to one that may use Gemini"
CONNECT_S, SILENT_S = 10.0, 180.0
"""To reach it; and between two bytes of an answer, the first of which a thinking model may keep for minutes."""
LONGEST_WAIT_S = 86_400.0
"""No longer wait that a server asks for is believed."""

_WORD = re.compile(r"[A-Z][A-Z_0-9]*")  # a status or a reason; anything else might be words of the item
_MODEL = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(/[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)?")
_TIMED_OUT, _GATE, _BUSY = 408, (401, 403), 429
_GONE, _BROKEN = 404, 500


def line_of(site: EngineSite) -> "GeminiLine":
    """The one line of this process to where the site says that Gemini is."""
    return _line(site.gemini, site.cache / "lines")


@lru_cache(maxsize=8)
def _line(cloud: Cloud, folder: Path) -> "GeminiLine":
    return GeminiLine(cloud, folder)


def missing(site: EngineSite) -> str | None:
    """What a person must do before Gemini can be asked; None when nothing."""
    return None if site.gemini.there else f"Gemini is not set up: {KEY_MISSING}"


def model_of(told: str | None, usual: str) -> str:
    """The model that a person named, or the usual one. Raises EngineFailed for what can be no model's name."""
    name = (told or usual).removeprefix("models/")
    if not _MODEL.fullmatch(name):
        raise EngineFailed(f"{name!r} is no name of a Gemini model; write it as Google does, such as {usual}")
    return name


class GeminiLine:
    """What all of Gemini's engines speak through; opens nothing before the first call."""

    def __init__(
        self, cloud: Cloud, folder: Path, *, patience: Patience | None = None, silent_s: float = SILENT_S
    ) -> None:
        """Calls nobody yet.

        Args:
            cloud: Key, address and limits.
            folder: Where this machine's limits are kept.
            patience: How long to bear with it.
            silent_s: Longest wait for the next byte.
        """
        self.cloud, self.silent_s = cloud, silent_s
        self._line = Line("gemini", cloud, folder, as_ours, patience)
        self._lock = Lock()
        self._wires: Wires[Client] | None = None

    def call(
        self,
        do: "Callable[[Client], R]",
        *,
        model: str,
        tokens: int,
        cancelled: IsCancelled,
        metering: Metering,
    ) -> R:
        """What `do` gets of the client; `metering` is told what it took.

        Raises EngineBusy, EngineDown, EngineFailed, ModelMissing, Cancelled.
        """
        with self._asking(model):
            answer = self._line.call(lambda: self._once(do), tokens=tokens, cancelled=cancelled)
        metering(used(answer))
        return answer

    def stream(
        self,
        open_: "Callable[[Client], Iterator[R]]",
        *,
        model: str,
        tokens: int,
        cancelled: IsCancelled,
        metering: Metering,
    ) -> Generator[R, None, None]:
        """What `open_`'s iterator gives, as it comes; `metering` is told when it is over. Raises as `call`."""
        took = Usage()  # every piece tells all that was taken so far
        coming = self._line.stream(lambda: self._pieces(open_), tokens=tokens, cancelled=cancelled)
        try:
            with self._asking(model), closing(coming):
                for piece in coming:
                    took = told if (told := used(piece)).numbers else took
                    yield piece
        finally:
            if took.numbers:
                metering(took)

    @contextmanager
    def _asking(self, model: str) -> Iterator[None]:
        """Nobody is asked without a key; and the line itself cannot say which model is gone."""
        if not self.cloud.there:
            raise Barred(f"Gemini cannot be asked: {KEY_MISSING}")
        try:
            yield
        except ModelMissing:
            raise ModelMissing(f"Gemini has no model {model} (any more): choose another, `gemini:MODEL`") from None

    def _once(self, do: "Callable[[Client], R]") -> R:
        with self._opened().lent() as client:
            return do(client)

    def _pieces(self, open_: "Callable[[Client], Iterator[R]]") -> Iterator[R]:
        with self._opened().lent() as client:
            yield from open_(client)

    def _opened(self) -> "Wires[Client]":
        with self._lock:
            if self._wires is None:
                make = partial(_client, self.cloud, self.silent_s)
                # a redirect would carry the key to another host
                self._wires = Wires(make, follow_redirects=False, event_hooks={"request": [_reach_soon]})
            return self._wires


class GeminiEngine(Counting):
    """One model of Gemini's, asked through the process's one line: how all of its engines are built."""

    usual: ClassVar[str]
    """The model where a person names none."""

    def __init__(self, model: str, line: GeminiLine) -> None:
        """Asks nothing yet."""
        self.model, self.line = model, line
        self.name = f"gemini:{model}"

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:
        """Without a model: the usual one. Raises EngineFailed for what can be no model's name."""
        return cls(model_of(model, cls.usual), line_of(site))

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:  # noqa: ARG003 - all want the same
        """None when it can be asked, else what to set."""
        return missing(site)

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        """Nothing to fetch."""


def _client(cloud: Cloud, silent_s: float, http: "httpx2.Client") -> "Client":
    """Importing it takes a second."""
    from google import genai

    # a server of one's own may want no key; the client insists on one
    key = cloud.key.get_secret_value().strip() if cloud.key else "none"
    if not (key.isascii() and key.isprintable()):
        raise Barred(KEY_REFUSED)  # no header can carry it
    options = genai.types.HttpOptions(
        base_url=cloud.base_url or ADDRESS,
        timeout=int(silent_s * 1000),
        httpx_client=http,
        httpx_async_client=_nobodys(),
    )
    return genai.Client(api_key=key, vertexai=False, http_options=options)


@lru_cache(maxsize=1)
def _nobodys() -> "httpx2.AsyncClient":
    """Never used; the client would make one of its own each time, and read all certificates for it."""
    import httpx2

    return httpx2.AsyncClient()


def _reach_soon(request: Any) -> None:
    """The client's one time-out is for an answer's bytes; a host that is not there is given up sooner."""
    waits = request.extensions.get("timeout", {})
    request.extensions["timeout"] = {**waits, "connect": min(CONNECT_S, waits.get("connect") or CONNECT_S)}


def used(answer: Any) -> Usage:
    """What an answer, or a piece of one, says that it took; thoughts are paid as what is answered."""
    told = getattr(answer, "usage_metadata", None)
    return Usage(
        _counted(told, "prompt_token_count", "tool_use_prompt_token_count"),
        _counted(told, "candidates_token_count", "response_token_count", "thoughts_token_count"),
    )


def _counted(told: Any, *names: str) -> int | None:
    counts = [count for name in names if isinstance(count := getattr(told, name, None), int)]
    return sum(counts) if counts else None


# ---------------------------------------------------------------- its errors as ours


def as_ours(error: Exception) -> NexusError | None:
    """An error of the client as ours; None for what is none of the vendor's."""
    import httpx
    import httpx2
    from google.genai.errors import APIError

    if isinstance(error, APIError):
        return _of_status(error)
    if isinstance(error, (httpx2.HTTPError, httpx2.InvalidURL, httpx.HTTPError, httpx.InvalidURL)):
        return EngineDown(f"Gemini does not answer ({type(error).__name__}); is NEXUS_GEMINI_BASE_URL right?")
    # no JSON, or JSON of another kind: the client raises what its reading of it happens to raise
    if isinstance(error, (ValueError, TypeError, AttributeError, KeyError)):
        return EngineDown(f"what answers is not Gemini's API, or it broke off ({type(error).__name__})")
    return None


def _of_status(error: "APIError") -> NexusError:
    code = error.code if isinstance(error.code, int) else 0
    said = f"{code} {error.status}" if _WORD.fullmatch(str(error.status)) else str(code)
    ours: NexusError
    if code == _BUSY:
        ours = EngineBusy(f"Gemini asks to wait ({said})")
    elif code in _GATE or "API_KEY_INVALID" in {part.get("reason") for part in _details(error)}:
        ours = Barred(KEY_REFUSED)
    elif code == _GONE:
        ours = ModelMissing("Gemini has no such model")
    elif code == _TIMED_OUT or code >= _BROKEN:
        ours = EngineDown(f"Gemini is out of order ({said})")
    else:
        ours = EngineFailed(f"Gemini does not take this request ({said})")
    if isinstance(ours, (EngineBusy, EngineDown)):
        ours.retry_after_s = _retry_after_s(error)
    return ours


def _details(error: "APIError") -> list[dict[str, Any]]:
    """The typed parts behind an error's message: RetryInfo, ErrorInfo, QuotaFailure."""
    body = error.details if isinstance(error.details, dict) else {}
    inner = body.get("error", body)
    parts = inner.get("details") if isinstance(inner, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _retry_after_s(error: "APIError") -> float | None:
    """What it asks to wait: RetryInfo (`34.07s`), else the header, in seconds or as a date."""
    for part in _details(error):
        if str(part.get("@type", "")).endswith("RetryInfo"):
            delay = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(part.get("retryDelay", "")))
            if delay:
                return min(LONGEST_WAIT_S, float(delay[1]))
    headers = getattr(error.response, "headers", None) or {}
    header = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", header):
        return min(LONGEST_WAIT_S, float(header))
    try:
        asked_s = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        return min(LONGEST_WAIT_S, max(0.0, asked_s))
    except (ValueError, TypeError):  # no date, or one without a zone
        return None

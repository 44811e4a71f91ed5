"""OpenAI's API, or a server that speaks it: the official client, the one line to it, and its errors as ours.

Which server it is says NEXUS_OPENAI_BASE_URL; one of a person's own (Ollama, vLLM, LM Studio, speaches) may want no
key. All engines of a process share one line to one server.
"""

import json
import re
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar
from urllib.parse import urlsplit

from nexus_pipeline.domain.errors import (
    EngineBusy,
    EngineDown,
    EngineFailed,
    EngineRefused,
    ModelMissing,
    NexusError,
)
from nexus_pipeline.domain.usage import Usage
from nexus_pipeline.engines.cloud import Barred, Line, Patience
from nexus_pipeline.engines.metering import Counting
from nexus_pipeline.engines.site import Cloud, EngineSite
from nexus_pipeline.engines.wires import Wires
from nexus_pipeline.ports import Cancelled as IsCancelled

if TYPE_CHECKING:
    import httpx2
    from openai import OpenAI

R = TypeVar("R")
NAME = "openai"
BASE_URL = "https://api.openai.com/v1"
CONNECT_S, READ_S = 10.0, 300.0
"""Until a connection stands; and between two bytes: a long answer that is not streamed begins only when it is done."""
LONGEST_WAIT_S = 86_400.0
"""No longer wait that a server asks for is believed."""
_NO_KEY = "none"  # the client insists on one, servers of one's own do not

_set_up = threading.Lock()
_apis: "dict[tuple[Cloud, Path], Api]" = {}

_REFUSED = frozenset({"content_filter", "content_policy_violation", "moderation_blocked"})
_FORM = re.compile(
    r"response.?format|json.?schema|json.?object|verbose.?json|timestamp.?granularities|stream.?options|include.?usage",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_ITS_FAULT = 500
_WAY = "is there a network, and is NEXUS_OPENAI_BASE_URL right where it is set?"
_UNSAFE = "OpenAI's rules of safety refuse this item: choose another engine for it"
_NO_MONEY = "OpenAI's account has no money or quota left: look at its billing page"
_NO_MODEL = "the server has no such model, or NEXUS_OPENAI_BASE_URL lacks its /v1: choose a model that it lists"
_TOO_LONG = "this is more than the model reads at once: choose a model with a larger window"


class FormRefused(EngineFailed):
    """The server does not know the form in which the answer was wanted; in a simpler one it may answer."""


class Api:
    """One server for all engines of this process."""

    def __init__(self, cloud: Cloud, folder: Path, patience: Patience | None = None) -> None:
        """Asks nobody yet; `folder` keeps this machine's limits."""
        self.cloud = cloud
        self.line = Line(NAME, cloud, folder, told, patience)
        self._lock = threading.Lock()
        self._wires: Wires[OpenAI] | None = None

    def call(self, do: "Callable[[OpenAI], R]", *, tokens: int, cancelled: IsCancelled) -> R:
        """What one call gives. Raises as `Line.call`; EngineDown too where a key is missing."""
        wires = self._opened()

        def once() -> R:
            with wires.lent() as client:
                return _answer(do(client))

        return self.line.call(once, tokens=tokens, cancelled=cancelled)

    def stream(
        self, do: "Callable[[OpenAI], Iterator[R]]", *, tokens: int, cancelled: IsCancelled
    ) -> Generator[R, None, None]:
        """What comes, as it comes. Raises as `Line.stream`; EngineDown too where a key is missing."""
        wires = self._opened()

        def pieces() -> Iterator[R]:
            with wires.lent() as client:
                yield from do(client)

        return self.line.stream(pieces, tokens=tokens, cancelled=cancelled)

    def _opened(self) -> "Wires[OpenAI]":
        missing = lacking(self.cloud)
        if missing:
            raise Barred(missing)
        with self._lock:
            if self._wires is None:
                self._wires = Wires(partial(_client, self.cloud), follow_redirects=True)
            return self._wires


def _client(cloud: Cloud, http: "httpx2.Client") -> "OpenAI":
    from openai import OpenAI, Timeout

    return OpenAI(
        api_key=cloud.key.get_secret_value() if cloud.key else _NO_KEY,
        admin_api_key="",
        base_url=cloud.base_url or BASE_URL,
        timeout=Timeout(READ_S, connect=CONNECT_S),
        max_retries=0,
        http_client=http,
    )


def api(site: EngineSite) -> Api:
    """The one of this process."""
    key = (site.openai, folder(site))
    with _set_up:
        if key not in _apis:
            _apis[key] = Api(*key)
        return _apis[key]


def folder(site: EngineSite) -> Path:
    """Where this machine's limits for the server are kept, and what was learnt about it."""
    split = urlsplit(site.openai.base_url or BASE_URL)
    # never the whole address: it may hold a password
    where = f"{split.hostname}-{split.port or ''}{split.path}".lower()
    return site.cache / "clouds" / re.sub(r"[^a-z0-9]+", "-", where).strip("-")


class OpenAIEngine(Counting):
    """One model behind that API, for any number of threads: how all of its engines are built."""

    usual: ClassVar[str]
    """The model where a person names none."""

    def __init__(self, model: str, api: Api) -> None:
        """Asks nobody yet."""
        self.model = model
        self.name = f"openai:{model}"
        self._api = api

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:
        """Without a model: the usual one."""
        return cls(model or cls.usual, api(site))

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:  # noqa: ARG003 - all models are there alike
        """None when it can be asked, else what to set."""
        return lacking(site.openai)

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        """Nothing to fetch."""

    def parameters(self) -> Mapping[str, str]:
        """What changes its results. Not the server: else moving it would make all of them stale."""
        return {"engine": "openai", "model": self.model}


def lacking(cloud: Cloud) -> str | None:
    """What a person must set before it can be asked; None when nothing is missing."""
    if cloud.there:
        return None
    return (
        "OpenAI's API wants a key: set NEXUS_OPENAI_API_KEY, or NEXUS_OPENAI_BASE_URL where a server of your own "
        "speaks that API"
    )


def used(answer: Any) -> Usage:
    """What an answer says that it took: in chats and for vectors by one pair of names, for sound by another."""
    told = getattr(answer, "usage", None)
    return Usage(_count(told, "prompt_tokens", "input_tokens"), _count(told, "completion_tokens", "output_tokens"))


def _count(told: Any, *names: str) -> int | None:
    """The client believes what servers say; seconds of sound are no tokens."""
    return next((count for name in names if isinstance(count := getattr(told, name, None), int)), None)


def _answer(answer: R) -> R:
    """The client gives the text of whatever is not JSON: the page of a proxy, of a router, of another server."""
    if isinstance(answer, str):
        raise EngineDown(f"something else than OpenAI's API answers there: {_WAY}")
    return answer


# ---------------------------------------------------------------- errors


def told(error: Exception) -> NexusError | None:
    """The client's errors as ours: status and kind, never a message, which may repeat words of the item."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return EngineDown("OpenAI's API did not answer in time; it is asked again")
    if isinstance(error, openai.APIConnectionError):
        return EngineDown(f"OpenAI's API cannot be reached: {_WAY}")
    if isinstance(error, openai.APIStatusError):
        ours = _of_status(error.status_code, _kind(error), _detail(error))
        ours.retry_after_s = _retry_after_s(error.response.headers)
        return ours
    if isinstance(error, openai.APIError):
        return _in_stream(_kind(error))
    if isinstance(error, openai.OpenAIError | json.JSONDecodeError | UnicodeDecodeError):
        return EngineDown(f"OpenAI's API answered in a way that its client does not understand ({_WAY})")
    return None


def _of_status(status: int, kind: str, detail: str) -> NexusError:
    answers: tuple[tuple[bool, type[NexusError], str], ...] = (
        (status in {401, 403}, Barred, "the key was refused: set NEXUS_OPENAI_API_KEY to one that may use this model"),
        (status == HTTPStatus.PAYMENT_REQUIRED or kind == "insufficient_quota", Barred, _NO_MONEY),
        (status == HTTPStatus.NOT_FOUND, ModelMissing, _NO_MODEL),
        (status in {409, 429}, EngineBusy, "OpenAI's API is asked too often and wants us to wait"),
        (status == HTTPStatus.REQUEST_TIMEOUT or status >= _ITS_FAULT, EngineDown, "OpenAI's API is out of order"),
        (kind in _REFUSED, EngineRefused, _UNSAFE),
        (kind == "context_length_exceeded", EngineFailed, _TOO_LONG),
        (bool(_FORM.search(detail)), FormRefused, "the server does not know the form of answer that is wanted"),
        (True, EngineFailed, "OpenAI's API refused the request; another model or engine may do"),
    )
    shown = f"({status}{', ' if kind else ''}{kind})"
    return next(error(f"{words} {shown}") for holds, error, words in answers if holds)


def _in_stream(kind: str) -> NexusError:
    """An error that came inside a stream that had begun well."""
    if kind in _REFUSED:
        return EngineRefused(f"{_UNSAFE} ({kind})")
    if kind.startswith("rate_limit"):
        return EngineBusy(f"OpenAI's API is asked too often and wants us to wait ({kind})")
    return EngineDown(f"OpenAI's API broke its answer off ({kind or 'no reason given'}); it is asked again")


def _kind(error: Any) -> str:
    """`code` or `type` of an error, if it is a plain word."""
    words = (str(word) for word in (error.code, error.type) if word)
    return next((word for word in words if _PLAIN.fullmatch(word)), "")


def _detail(error: Any) -> str:
    """What the server says is wrong: looked at, never shown."""
    return f"{error.param or ''} {error.message}"


def _retry_after_s(headers: Any) -> float | None:
    """Seconds from `retry-after-ms` or `Retry-After` (seconds or a date); None where neither is there or is one."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        asked = headers.get(name)
        if asked is None:
            continue
        try:
            return min(max(0.0, float(asked) / unit), LONGEST_WAIT_S)
        except ValueError:
            pass
        try:
            at = parsedate_to_datetime(asked)
        except ValueError:
            continue
        wait_s = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
        return min(max(0.0, wait_s), LONGEST_WAIT_S)
    return None

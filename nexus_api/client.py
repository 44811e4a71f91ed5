"""What one can ask of Nexus, answered by a server (NEXUS_URL): it stands where `Local` stands, with the same answers.

What a server refuses is raised as what it would be here: problem documents say by their code which error they are.
"""

import json
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import httpx

from nexus_api import wire
from nexus_api.local import PREFIX, TOGETHER, Form
from nexus_api.refusals import NoResuming
from nexus_api.sending import LARGE_BYTES, Progress, persist, send
from nexus_api.shown import Json
from nexus_pipeline.domain import errors

if TYPE_CHECKING:
    from nexus_api.adding import Offered, Said

TIMEOUT = httpx.Timeout(60.0, connect=10.0, write=300.0)
"""A server that converts a large upload's place on a slow disk may be silent for a while."""
READ_AGAIN = httpx.Timeout(60.0, connect=10.0, read=900.0)
"""50 GB are read again in some ten minutes."""
ANSWER = httpx.Timeout(600.0, connect=10.0)
"""A language model on a slow machine may think for minutes before it says a word."""
TRIES = 2
"""Connections that fail are tried again so often (httpx); a request that was sent is not."""
ERASING_S = 5.0
"""So long a receipt is waited for: what a server erases it erases behind its answer."""


class Remote:
    """Nexus behind an address. Raises what `Local` raises, and StoreError where the server cannot be reached."""

    def __init__(self, url: str, key: str | None, *, patience_s: float | None = None) -> None:
        """Asks nothing yet. `patience_s`: for whoever would rather have no answer than wait. Raises StoreError."""
        self._url = wire.checked(url)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        transport = httpx.HTTPTransport(retries=TRIES if patience_s is None else 0)
        timeout = TIMEOUT if patience_s is None else httpx.Timeout(patience_s)
        self._http = httpx.Client(base_url=self._url, headers=headers, timeout=timeout, transport=transport)
        weakref.finalize(self, self._http.close)

    # ---------------------------------------------------------------- items

    def id_of(self, told: str) -> str:
        """The whole id, from its first four characters or more. Raises NotFound."""
        if len(told) < PREFIX:
            raise errors.NotFound(f"{told!r} is too short for an id: write at least {PREFIX} characters of it")
        found = [item["id"] for item in self._get("/api/media", id=told.lower(), limit=2)["items"]]
        if not found:
            raise errors.NotFound(f"there is no item {told}: `nexus ls` lists what there is")
        if len(found) > 1 and told.lower() not in found:
            raise errors.NotFound(f"several ids begin with {told}: write more of it")
        return told.lower() if told.lower() in found else str(found[0])

    def get(self, item_id: str) -> Json:
        """One item."""
        return self._get(f"/api/media/{item_id}")

    def find(self, item_ids: Sequence[str]) -> list[Json]:
        """Those of these that are (still) there, in their order."""
        there: dict[str, Json] = {}
        for at in range(0, len(item_ids), TOGETHER):
            some = list(item_ids[at : at + TOGETHER])
            there |= {item["id"]: item for item in self._get("/api/media", id=some, limit=len(some))["items"]}
        return [there[item_id] for item_id in item_ids if item_id in there]

    def looks(self) -> Iterator[None]:
        """When somebody who waits for items looks again: its events say so."""
        from nexus_api import watching

        return watching.far(self._http)

    def page(self, *, limit: int, cursor: str | None = None, states: Any = (), ids: Any = (), **filters: Any) -> Json:
        """Items, newest first; more than the 200 of one answer are asked for in turn."""
        items: list[Json] = []
        filters |= {"state": [str(s) for s in states], "id": list(ids)}
        while True:
            left = min(limit - len(items), TOGETHER)
            page = self._get("/api/media", limit=left, cursor=cursor, **filters)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None or len(items) >= limit:
                return {"items": items, "next_cursor": cursor}

    def transcript(self, item_id: str, form: Form, language: str | None = None) -> str:
        """In one of the contract's forms."""
        answer = self._ask("GET", f"/api/media/{item_id}/transcript", params=_said(format=form, language=language))
        return answer.text

    def enrichment(self, item_id: str) -> Json:
        """What a model inferred. Raises NotFound."""
        return self._get(f"/api/media/{item_id}/enrichment")

    def action_items(self, *, done: bool | None = None, limit: int = 50, cursor: str | None = None) -> Json:
        """What was promised in all items; more than the 200 of one answer are asked for in turn."""
        items: list[Json] = []
        while True:
            left = min(limit - len(items), TOGETHER)
            page = self._get("/api/action_items", done=done, limit=left, cursor=cursor)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None or len(items) >= limit:
                return {"items": items, "next_cursor": cursor}

    def change_action_item(self, item_id: str, n: int, **changes: Any) -> Json:
        """A person's tick or change. Raises NotFound."""
        return self._read("PATCH", f"/api/media/{item_id}/action_items/{n}", json=changes)

    # ---------------------------------------------------------------- adding

    def add_file(
        self, file: "Offered", wishes: "Said", progress: Progress = lambda _sent, _of: None
    ) -> tuple[Json, bool]:
        """Send a file, streamed from the disk; the item, and whether it is new.

        A large one goes in parts, and on where it stopped when the line or the server breaks. `progress` is told bytes
        sent and bytes in all.
        """
        try:
            if file.path.stat().st_size >= LARGE_BYTES:
                with suppress(NoResuming):  # the server's inbox is no folder
                    return self._add_large(file, wishes, progress)
            return self._add_small(file, wishes, progress)
        except OSError as error:
            raise errors.NotFound(f"{file.path.name} cannot be read: {error.strerror}") from error

    def _add_large(self, file: "Offered", wishes: "Said", progress: Progress) -> tuple[Json, bool]:
        told = _wishes(wishes) | {"source": "file", "engines": dict(wishes.engines)}
        if file.sidecar is not None:
            told["transcript"] = send(self._ask, file.sidecar, lambda _sent, _of: None)
        told["data"] = send(self._ask, file.path, progress)
        # a server that was started anew reads it once more, to know its digest
        how = {"json": told, "timeout": READ_AGAIN}
        answer = persist(lambda: self._ask("POST", "/api/media/process", **how))
        return wire.read(answer, self._url), answer.status_code == httpx.codes.ACCEPTED

    def _add_small(self, file: "Offered", wishes: "Said", progress: Progress) -> tuple[Json, bool]:
        fields = _wishes(wishes) | {"engines": json.dumps(dict(wishes.engines))}
        with wire.Watched(file.path, progress) as bytes_:
            files: dict[str, tuple[str, BinaryIO]] = {"file": (file.path.name, bytes_)}
            if file.sidecar is None:
                return self._added("/api/media/file", files=files, data=fields)
            with file.sidecar.open("rb") as beside:
                files["transcript"] = (file.sidecar.name, beside)
                return self._added("/api/media/file", files=files, data=fields)

    def add_url(self, url: str, wishes: "Said") -> tuple[Json, bool]:
        """Ask for what is at an address; the item, and whether it is new."""
        told = _wishes(wishes) | {"source": "url", "data": url, "engines": dict(wishes.engines)}
        return self._added("/api/media/process", json=told)

    def _added(self, path: str, **body: Any) -> tuple[Json, bool]:
        answer = self._ask("POST", path, **body)
        return wire.read(answer, self._url), answer.status_code == httpx.codes.ACCEPTED

    # ---------------------------------------------------------------- searching, asks

    def search(
        self,
        words: str,
        *,
        mode: str,
        limit: int,
        filters: Mapping[str, Any],
        offset: int = 0,
        group: str | None = None,
        merge: bool = True,
    ) -> Json:
        """The contract's search body; more than the 200 hits or groups of one answer are asked for in turn."""
        told = {"query": words, "mode": mode, "filters": dict(filters), "group": group, "merge": merge}
        first: Json | None = None
        hits: list[Json] = []
        groups: list[Json] = []
        while True:
            wanted = min(limit - len(hits), TOGETHER)
            more = {"limit": wanted, "offset": offset + len(hits)}
            found: Json = self._read("POST", "/api/search", json=told | more)
            first, hits, groups = first or found, hits + found["hits"], groups + (found["groups"] or [])
            if len(hits) >= limit or len(found["hits"]) < wanted:
                return first | {"hits": hits, "groups": groups if group else None}

    def chat(self, question: str, **about: Any) -> Json:
        """The contract's answer; a language model may take minutes over it."""
        return self._read("POST", "/api/chat", json=_question(question, about), timeout=ANSWER)

    def chatting(self, question: str, **about: Any) -> Iterator[Mapping[str, Any]]:
        """The same as it comes: `{"event", "data"}`; closing it stops the answer."""
        from nexus_api.answering.reading import MEDIA_TYPE, PROBLEM, read

        headers = {"accept": MEDIA_TYPE}
        told = {"json": _question(question, about), "headers": headers, "timeout": ANSWER}
        try:
            with self._http.stream("POST", "/api/chat", **told) as answer:  # type: ignore[arg-type]  # as httpx names them
                if not answer.is_success:
                    answer.read()
                    raise wire.refused(answer, self._url)
                for event, data in read(answer.iter_lines()):
                    if event == PROBLEM:
                        raise wire.known(str(data["code"]), errors.StoreError)(str(data["detail"]))
                    yield {"event": event, "data": data}
        except httpx.HTTPError as error:
            raise wire.unreachable(error, self._url) from error

    def chats(self, *, limit: int = 50, cursor: str | None = None) -> Json:
        """What one has asked, the chat last spoken in first."""
        return self._get("/api/chats", limit=min(limit, TOGETHER), cursor=cursor)

    def chat_messages(self, chat_id: str, *, limit: int = TOGETHER, cursor: str | None = None) -> Json:
        """A chat with its messages. Raises NotFound."""
        return self._get(f"/api/chats/{chat_id}", limit=min(limit, TOGETHER), cursor=cursor)

    def forget_chat(self, chat_id: str) -> None:
        """It goes with all that was said in it. Raises NotFound."""
        self._ask("DELETE", f"/api/chats/{chat_id}")

    def ask(self, ask: str, item_ids: Sequence[str], from_step: str | None = None) -> list[Json]:
        """Retry, rerun, cancel: the items as they are then."""
        self._ask("POST", "/api/asks", json=_said(ask=ask, ids=list(item_ids), from_step=from_step))
        return self.find(item_ids)

    def retry_all(self) -> list[Json]:
        """Ask for every failed item again."""
        failed = [item["id"] for item in self._all(state="failed")]
        return [
            item for at in range(0, len(failed), TOGETHER) for item in self.ask("retry", failed[at : at + TOGETHER])
        ]

    def _all(self, **filters: Any) -> Iterator[Json]:
        cursor: str | None = None
        while True:
            page = self._get("/api/media", limit=TOGETHER, cursor=cursor, **filters)
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def erase(self, item_id: str) -> Json:
        """Gone from every answer; the receipt, once its bytes and rows have gone too, or after some seconds."""
        self._ask("DELETE", f"/api/media/{item_id}")
        by = time.monotonic() + ERASING_S
        while not (told := self._get(f"/api/receipts/{item_id}"))["erased"]["rows"] and time.monotonic() < by:
            time.sleep(0.1)
        return told

    def models(self, *, check: bool = False) -> list[Json]:
        """Engines and models of the server's machine."""
        found: list[Json] = self._get("/api/models", check=check)["models"]
        return found

    # ---------------------------------------------------------------- how it is

    def health(self, what: Literal["live", "ready"]) -> Json:
        """Whether the process answers, and whether its stores do. Raises StoreError."""
        return self._get(f"/health/{what}")

    def overview(self) -> Json:
        """How that Nexus is."""
        return self._get("/api/overview")

    # ---------------------------------------------------------------- the wire

    def _get(self, path: str, **params: Any) -> Json:
        return self._read("GET", path, params=_said(**params))

    def _read(self, method: str, path: str, **how: Any) -> Json:
        return wire.read(self._ask(method, path, **how), self._url)

    def _ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **how)
        except (httpx.InvalidURL, httpx.HTTPError) as error:
            raise wire.unreachable(error, self._url) from error
        if answer.is_success:
            return answer
        raise wire.refused(answer, self._url)


def _wishes(told: "Said") -> dict[str, Any]:
    plain = _said(title=told.title, language=told.language, prompt=told.prompt, priority=str(told.priority))
    return plain | {"tags": list(told.tags), "vocabulary": list(told.vocabulary)}


def _said(**told: Any) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None}


def _question(question: str, about: Mapping[str, Any]) -> Json:
    told = _said(question=question, **about)
    return told | {"item_ids": list(about.get("item_ids", ()))}

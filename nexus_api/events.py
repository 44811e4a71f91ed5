"""One poller a process reads the catalog's `changes` and hands every line to the streams that want it.

A stream first reads what it has missed by itself, up to where the poller stands, and is then handed what the poller
reads: no line is left out or comes twice. One that falls so far behind that its buffer is full reads by itself again,
so memory is bounded and nobody waits for the slowest. Without streams nothing is read.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from nexus_api import endings, messages
from nexus_api.messages import Message
from nexus_pipeline.domain.errors import NexusError, NotFound
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.listing import Change
from nexus_pipeline.domain.states import State, rests
from nexus_pipeline.results import window_of
from nexus_pipeline.wiring import Parts

log = logging.getLogger(__name__)

EVERY_S = 0.2
"""Between two looks at `changes` while anybody listens."""
DOWN_S = 2.0
"""And while the catalog cannot be read."""
PAGE = 500
"""Lines that are read at once, and messages that wait for one stream at most."""
TURN_S, TURNS = 0.05, 20
"""After a full page the poller waits in turns until the streams have taken what they were handed, so many at most."""
LIFE_S = 300.0
"""A stream ends after 80 to 100 % of this, and its client resumes: no proxy or laptop keeps a dead one for ever."""
BEAT_S = 15.0
"""A stream that has nothing to say says so this often."""
SOON = timedelta(minutes=1)
"""An item's stream ends when nothing runs or is due within this (the contract)."""
_PIECES = 50
"""Messages at once from what a new stream is told first: each may be a window to read."""

T = TypeVar("T")


@dataclass(frozen=True)
class Opened:
    """A stream that may begin: whose, of which item (None: all of the owner's), after which line, and what first."""

    owner: str
    item_id: str | None
    after: int
    first: Sequence[Message] = ()


class Client:
    """One stream's place: where it stands and what waits for it."""

    def __init__(self, opened: Opened, room: int) -> None:
        """It is told nothing before it is `live`; `room`: messages that may wait."""
        self.owner, self.item_id, self.at, self._room = opened.owner, opened.item_id, opened.after, room
        self.live = False
        self.waiting: list[Message] = []
        self.wake = asyncio.Event()

    @property
    def key(self) -> tuple[str, str | None]:
        """What it listens to."""
        return self.owner, self.item_id

    def put(self, message: Message) -> bool:
        """Hand it a message that it has not had; False where its buffer is full."""
        if message.id is not None and message.id <= self.at:
            return True
        if len(self.waiting) >= self._room:
            return False
        self.at = message.id or self.at
        self.waiting.append(message)
        self.wake.set()
        return True

    async def take(self, within_s: float) -> list[Message]:
        """What waits, as soon as anything does; nothing after so long."""
        if not self.waiting:
            self.wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self.wake.wait()
        taken, self.waiting = self.waiting, []
        return taken


class Events:
    """The streams of one process. All of it lives in one event loop, but for reading, which threads do."""

    def __init__(self, parts: Parts, *, life_s: float = LIFE_S, beat_s: float = BEAT_S, page: int = PAGE) -> None:
        """Reads nothing before it is started and somebody listens."""
        self.closing = False
        self._parts, self._life_s, self._beat_s, self._page = parts, life_s, beat_s, page
        self._clients: set[Client] = set()
        self._live: dict[tuple[str, str | None], set[Client]] = {}
        self._unsure: set[Client] = set()  # of one item, which may have come to rest
        self._at = 0  # the last line that was handed out, where `_awake` is set
        self._wanted, self._awake = asyncio.Event(), asyncio.Event()
        self._looking = ThreadPoolExecutor(1, "events-poller")
        self._opening = ThreadPoolExecutor(3, "events")  # many may resume at once; the poller does not wait for them

    # ---------------------------------------------------------------- its life

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """In the app's lifespan. A signal that ends the server ends the streams first."""
        poller = asyncio.create_task(self._poll(), name="events")
        undo = endings.before_signals(self.close)
        try:
            yield
        finally:
            undo()
            self.close()
            poller.cancel()
            await asyncio.gather(poller, return_exceptions=True)
            for pool in (self._looking, self._opening):
                pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """All streams end soon, and new ones at once: a server waits for its answers before its lifespan ends."""
        self.closing = True
        self._wanted.set()
        self._awake.set()
        for client in self._clients:
            client.wake.set()

    @property
    def listening(self) -> int:
        """Streams that are open."""
        return len(self._clients)

    # ---------------------------------------------------------------- streams

    async def open(self, owner: str, after: int | None, item_id: str | None = None) -> Opened:
        """A stream of the owner's items, or of one, after a line; None: from now on, after how an item stands.

        Raises NotFound for an item that is not the owner's or not there, StoreError.
        """
        return await self._in(self._opening, self._opened, owner, after, item_id)

    async def follow(self, opened: Opened, *, for_ever: bool = False) -> AsyncGenerator[list[Message], None]:
        """Messages as they come; none at all after BEAT_S of silence.

        Ends after `end`, after its time (unless `for_ever`), and when the server ends. Close it (`aclosing`) where it
        is left early. Raises StoreError where what was missed cannot be read: resume later.
        """
        client, loop = Client(opened, self._page), asyncio.get_running_loop()
        life_s = float("inf") if for_ever else self._life_s * random.uniform(0.8, 1.0)  # noqa: S311  not to all at once
        until = loop.time() + life_s
        self._clients.add(client)
        self._wanted.set()
        try:
            for start in range(0, len(opened.first), _PIECES):
                yield await self._read(opened.first[start : start + _PIECES])
            while not self.closing and loop.time() < until:
                told = await self._next(client, min(self._beat_s, until - loop.time()))
                if told is None:
                    continue
                yield await self._read(told)
                if told and told[-1].event == messages.END:
                    return
        finally:
            self._leave(client)
            self._clients.discard(client)

    async def _next(self, client: Client, within_s: float) -> list[Message] | None:
        """What comes next for it; empty where nothing came in time, None where there is more to be looked for."""
        if client.live or client.waiting:
            return await client.take(within_s)
        try:
            async with asyncio.timeout(within_s):
                await self._awake.wait()
        except TimeoutError:  # the catalog cannot be read
            return []
        if self.closing:
            return None
        tip = self._at
        if client.at >= tip:  # nothing has been handed out since: from here on the poller tells it
            client.live = True
            self._live.setdefault(client.key, set()).add(client)
            if client.item_id is not None:
                self._unsure.add(client)
            return None
        return await self._in(self._opening, self._missed, client, tip) or None

    def _leave(self, client: Client) -> None:
        client.live = False
        self._unsure.discard(client)
        with suppress(KeyError):
            self._live[client.key].discard(client)
            if not self._live[client.key]:
                del self._live[client.key]

    async def _read(self, told: Sequence[Message]) -> list[Message]:
        """Those that can be told: windows that have meanwhile become a transcript are left out."""
        for message in told:
            if message.window is not None and message.data is None:
                if message.reading is None:  # shared by all who are told
                    message.reading = asyncio.ensure_future(self._in(self._opening, self._window, message))
                await asyncio.shield(message.reading)
        return [message for message in told if message.data is not None]

    # ---------------------------------------------------------------- the poller

    async def _poll(self) -> None:
        down = False
        while not self.closing:
            if not self._clients:
                self._awake.clear()
                self._wanted.clear()
                await self._wanted.wait()
            try:
                if not self._awake.is_set():
                    _, self._at = await self._in(self._looking, self._parts.catalog.changes_span)
                    self._awake.set()
                full = await self._look()
            except Exception as error:  # whatever it is, streams must not fall silent for good
                if not down:
                    known = isinstance(error, NexusError)
                    log.warning("streams wait for the catalog: %s", error, exc_info=None if known else error)
                down = True
                await asyncio.sleep(DOWN_S)
                continue
            if down:
                log.info("the catalog can be read again: streams go on")
            down = False
            if full:
                await self._taken()
            else:
                await asyncio.sleep(EVERY_S)

    async def _taken(self) -> None:
        """A stream that takes nothing falls behind with the next page, and is not waited for again."""
        for _ in range(TURNS):
            await asyncio.sleep(TURN_S)
            if not any(client.waiting for client in self._clients if client.live):
                return

    async def _look(self) -> bool:
        """Read on and hand out; whether there is more. Ends streams of items that rest."""
        unsure = set(self._unsure)
        ids = {client.item_id for client in unsure if client.item_id is not None}
        found, lines = await self._in(self._looking, self._looked, ids, self._at)
        self._unsure -= unsure
        for line in lines:
            self._hand_out(line)
        if len(lines) == self._page:
            self._unsure |= {client for client in unsure if client.live}
            return True
        now = datetime.now(UTC)
        # `found` was read before the lines: who was told none since then has been told all that led there
        for client in unsure - self._unsure:
            item_id = client.item_id or ""
            item = found.get(item_id)
            if client.live and (item is None or rests(item.steps, now + SOON)):
                self._put(client, messages.end(item_id, item.state if item else messages.ERASED))
        return False

    def _hand_out(self, line: Change) -> None:
        self._at = line.id
        message = messages.of_line(line)
        if line.kind != messages.SEGMENTS:
            for client in tuple(self._live.get((line.owner, None), ())):
                self._put(client, message)
        for client in tuple(self._live.get((line.owner, line.item_id), ())):
            self._put(client, message)
            if line.state == messages.ERASED:
                self._put(client, messages.end(line.item_id, line.state))
            elif client.live:
                self._unsure.add(client)

    def _put(self, client: Client, message: Message) -> None:
        if not client.put(message):
            log.info("a stream fell behind and reads by itself item_id=%s", client.item_id)
            self._leave(client)

    # ---------------------------------------------------------------- in threads

    async def _in(self, pool: ThreadPoolExecutor, read: Callable[..., T], *told: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, read, *told)

    def _looked(self, item_ids: set[str], after: int) -> tuple[dict[str, Item], list[Change]]:
        found = self._parts.catalog.find(sorted(item_ids)) if item_ids else {}
        return found, self._parts.catalog.changes(after, self._page)

    def _opened(self, owner: str, after: int | None, item_id: str | None) -> Opened:
        catalog = self._parts.catalog
        pruned, newest = catalog.changes_span()  # before the item: what changes in between is told twice, never lost
        lost = after is not None and not pruned <= after <= newest
        first = [messages.reset(newest)] if lost else []
        start = newest if after is None or lost else after
        if item_id is None:
            return Opened(owner, None, start, first)
        item = catalog.find([item_id]).get(item_id)
        if item is None or item.owner != owner:
            if start < newest and catalog.changes(start, 1, item_id, owner=owner):
                return Opened(owner, item_id, start)  # erased since: all that is left to say
            raise NotFound(f"no item {item_id}: see `nexus ls` for those that are there")
        if after is None or lost:
            first += messages.of_item(item, newest, self._windows(item, newest))
        return Opened(owner, item_id, start, first)

    def _windows(self, item: Item, until: int) -> Iterable[Change]:
        """Lines of the windows that have been heard since the transcript was begun, if it runs."""
        step = item.step("transcript")
        if step.state is not State.RUNNING or step.started_at is None:
            return
        at = 0
        while page := self._parts.catalog.changes(at, self._page, item.id, until=until):
            yield from (line for line in page if line.kind == messages.SEGMENTS and line.at >= step.started_at)
            at = page[-1].id

    def _missed(self, client: Client, tip: int) -> list[Message]:
        """A page of what it has missed, and its place behind it."""
        catalog, at = self._parts.catalog, client.at
        lines = catalog.changes(at, self._page, client.item_id, owner=client.owner, until=tip)
        pruned, newest = catalog.changes_span()  # after the lines: had some of them gone, this would say so
        if at < pruned:
            client.at = newest
            return [messages.reset(newest)]
        client.at = lines[-1].id if len(lines) == self._page else tip
        told = [
            messages.of_line(line) for line in lines if client.item_id is not None or line.kind != messages.SEGMENTS
        ]
        if lines and client.item_id is not None and lines[-1].state == messages.ERASED:
            told.append(messages.end(client.item_id, messages.ERASED))
        return told

    def _window(self, message: Message) -> None:
        line = message.window
        if line is None:
            return
        with suppress(NotFound):
            message.data = messages.segments(
                line, window_of(line.owner, line.item_id, int(line.phase or 0), self._parts)
            )

"""The other side of `bench.api`, a process of its own: listeners of event streams, and searches on a schedule.

It is told what to do by JSON lines on stdin and answers each with one on stdout. It speaks HTTP/1.1 over bare sockets,
so that its own cost, which it tells, stays small beside that of the server with which it shares the machine.
`python -m bench.clients HOST PORT QUERIES.json`
"""

import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

_ID = re.compile(rb"(?:^|\n)id: ([0-9]+)")
_AT = re.compile(rb'"at":"([^"]+)"')
PATIENCE_S = 60.0
"""A search that has no answer after so long has failed."""
AGAIN_S = 1.0
"""A stream that the server has ended connects again so much later."""


class Listener(asyncio.Protocol):
    """One event stream: the ids of all events that it was told, in order; resumes where it is cut off."""

    def __init__(self, host: str, port: int, after: int) -> None:
        self._where, self.last = (host, port), after
        self.ids: list[int] = []
        self.delays_ms: list[float] | None = None
        """Between an event's own instant and its coming, where they are wanted."""
        self.resumed = 0
        self.open = False
        self._rest = b""
        self._transport: Any = None
        self._over = False

    async def connect(self) -> None:
        self._rest = b""
        await asyncio.get_running_loop().create_connection(lambda: self, *self._where)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        host, port = self._where
        head = f"GET /api/events HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n"
        transport.write(f"{head}Last-Event-ID: {self.last}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self.open = True
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        for block in whole:
            told = _ID.search(block)
            if told is None or b"\ndata: " not in block:
                continue  # a comment, or the place from which the stream resumes
            self.last = int(told[1])
            self.ids.append(self.last)
            at = _AT.search(block)
            if self.delays_ms is not None and at:
                self.delays_ms.append(1000 * (time.time() - datetime.fromisoformat(at[1].decode()).timestamp()))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self.open = False
        if not self._over:
            self.resumed += 1
            asyncio.get_running_loop().call_later(AGAIN_S, lambda: asyncio.ensure_future(self.connect()))

    def close(self) -> None:
        self._over = True
        self._transport.close()


class Searcher:
    """Searches over kept connections, as many as are under way at once."""

    def __init__(self, host: str, port: int, queries: list[str]) -> None:
        self._where = (host, port)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._bodies = [self._request(query) for query in queries]
        self._next = 0
        self.failed, self.empty = Counter[str](), 0

    def _request(self, query: str) -> bytes:
        body = json.dumps({"query": query, "limit": 10}).encode()
        host, port = self._where
        head = f"POST /api/search HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def search(self) -> None:
        """The next question; what goes wrong is counted."""
        request = self._bodies[self._next % len(self._bodies)]
        self._next += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                status, found = await self._asked(request)
        except (TimeoutError, OSError, EOFError) as error:
            self.failed[type(error).__name__] += 1
            return
        if status != 200:
            self.failed[str(status)] += 1
        elif b'"hits":[{' not in found:
            self.empty += 1

    async def _asked(self, request: bytes) -> tuple[int, bytes]:
        while self._idle and self._idle[-1][0].at_eof():  # the server has closed what was idle for seconds
            self._idle.pop()[1].close()
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._where)
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = re.search(rb"\ncontent-length: *([0-9]+)", head)
            found = await reader.readexactly(int(length[1])) if length else b""
        except BaseException:
            writer.close()
            raise
        if b"\nconnection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1]), found

    async def at_once(self, side: int, seconds: float) -> dict[str, Any]:
        """So many searches side by side, each after the one before it: what the server can do at most."""
        before, began, done = time.process_time(), time.monotonic(), 0

        async def one_after_the_other() -> None:
            nonlocal done
            while time.monotonic() - began < seconds:
                await self.search()
                done += 1

        await asyncio.gather(*(one_after_the_other() for _ in range(side)))
        took = time.monotonic() - began
        return {"side": side, "searches": done, "seconds": took, "a_second": done / took, **self._told(before, took)}

    async def on_schedule(self, rate: float, seconds: float, seed: int) -> dict[str, Any]:
        """An open loop: arrivals by chance (Poisson), each answered or not; times count from when it was due."""
        draw, loop = random.Random(seed), asyncio.get_running_loop()
        before, began = time.process_time(), loop.time()
        due, late, took, tasks = 0.0, [], [], set[asyncio.Task[None]]()

        async def one(due_at: float) -> None:
            late.append(1000 * (loop.time() - due_at))
            await self.search()
            took.append(1000 * (loop.time() - due_at))

        while (due := due + draw.expovariate(rate)) < seconds:
            await asyncio.sleep(max(0.0, began + due - loop.time()))
            task = asyncio.create_task(one(began + due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        most = len(tasks)
        await asyncio.gather(*tasks)
        spent = loop.time() - began
        return {"ms": took, "late_ms": late, "under_way_at_the_end": most, **self._told(before, spent)}

    def _told(self, before: float, seconds: float) -> dict[str, Any]:
        """What went wrong since the last answer, and this process's share of a core."""
        told = {"failed": dict(self.failed), "empty": self.empty}
        self.failed, self.empty = Counter(), 0
        return {**told, "cores": (time.process_time() - before) / seconds}


class Clients:
    """What can be asked of this process."""

    def __init__(self, host: str, port: int, queries: list[str]) -> None:
        self._host, self._port = host, port
        self._searcher = Searcher(host, port, queries)
        self._listeners: list[Listener] = []

    async def saturate(self, side: int, seconds: float) -> dict[str, Any]:
        return await self._searcher.at_once(side, seconds)

    async def search(self, rate: float, seconds: float, seed: int) -> dict[str, Any]:
        return await self._searcher.on_schedule(rate, seconds, seed)

    async def listen(self, streams: int, after: int) -> dict[str, Any]:
        """Open so many streams; when all are answered."""
        self._listeners = [Listener(self._host, self._port, after) for _ in range(streams)]
        for one in self._listeners:
            await one.connect()
        self._listeners[0].delays_ms = []
        until = time.monotonic() + PATIENCE_S
        # two hundred events would say no more than this look
        while not all(one.open for one in self._listeners) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return {"listening": sum(one.open for one in self._listeners)}

    async def heard(self, last: int, within_s: float) -> dict[str, Any]:
        """What the streams were told once all know the last line, or the time is over; then they are closed."""
        until = time.monotonic() + within_s
        while any(one.last < last for one in self._listeners) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        told = Counter(tuple(one.ids) for one in self._listeners)
        for one in self._listeners:
            one.close()
        return {
            "sequences": [{"ids": ids, "streams": many} for ids, many in told.items()],
            "resumed": sum(one.resumed for one in self._listeners),
            "delays_ms": self._listeners[0].delays_ms,
        }

    async def serve(self) -> None:
        """A line in, a line out, until stdin ends."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            asked = json.loads(line)
            answer = await getattr(self, asked.pop("do"))(**asked)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(Clients(sys.argv[1], int(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())).serve())

"""The line to a vendor: calls under way and tokens a minute over processes, streams, and a way out of everything."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from nexus_pipeline.domain.errors import Cancelled, EngineBusy, EngineDown, EngineFailed
from nexus_pipeline.engines.cloud import Patience
from tests.contracts.cloud_parts import Outage, TooMany, Vendor, line, never, outage

ROOT = Path(__file__).parents[2]


# ---------------------------------------------------------------- limits


def test_no_more_calls_are_under_way_than_allowed(tmp_path):
    one = line(tmp_path, calls=2)
    under_way, most = [], []

    def do() -> None:
        under_way.append(1)
        most.append(len(under_way))
        time.sleep(0.15)
        under_way.pop()

    threads = [threading.Thread(target=lambda: one.call(do, tokens=1, cancelled=never), daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(most) == 8
    assert max(most) == 2


CHILD = """
import json, sys, time
from pathlib import Path
from nexus_pipeline.engines.cloud import Line
from nexus_pipeline.engines.site import Cloud
import threading
folder, calls, tokens_a_minute, tokens, count, lasts_s = Path(sys.argv[1]), *map(float, sys.argv[2:])
line = Line("vendor", Cloud(calls=int(calls), tokens_a_minute=int(tokens_a_minute)), folder, lambda error: None)
spans = []
until = time.time() + 6
def do():
    began = time.time()
    time.sleep(lasts_s)
    spans.append((began, time.time()))
def go():
    try:
        line.call(do, tokens=int(tokens), cancelled=lambda: time.time() > until)
    except Exception as error:
        print(type(error).__name__, file=sys.stderr)
threads = [threading.Thread(target=go) for _ in range(int(count))]
print("ready", flush=True)
sys.stdin.readline()
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps(spans))
"""


def two_processes(folder: Path, **how: float) -> list[tuple[float, float]]:
    """Spans of time of all calls of two processes that share a folder."""
    arguments = [str(how[name]) for name in ("calls", "tokens_a_minute", "tokens", "count", "lasts_s")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    return [tuple(span) for child in children for span in json.loads(child.communicate(timeout=60)[0])]


def test_calls_under_way_are_counted_over_processes(tmp_path):
    spans = two_processes(tmp_path, calls=2, tokens_a_minute=10**6, tokens=1, count=4, lasts_s=0.3)
    assert len(spans) == 8
    most = max(sum(a <= began < b for a, b in spans) for began, _ in spans)
    assert most == 2


def test_tokens_a_minute_are_counted_over_processes(tmp_path):
    """Of 10,000 tokens a minute: five calls of 2,000, whoever makes them; the others wait until they are stopped."""
    spans = two_processes(tmp_path, calls=16, tokens_a_minute=10_000, tokens=2000, count=4, lasts_s=0.0)
    assert len(spans) == 5


def test_a_call_larger_than_a_minute_goes_when_nothing_else_has_gone(tmp_path):
    one = line(tmp_path, tokens_a_minute=1000)
    assert one.call(Vendor(), tokens=10**7, cancelled=never) == "answer"
    until = time.monotonic() + 0.5
    with pytest.raises(Cancelled):
        one.call(Vendor(), tokens=1, cancelled=lambda: time.monotonic() > until)


def test_a_clock_that_was_set_back_stops_nobody(tmp_path):
    one = line(tmp_path, tokens_a_minute=1000)
    assert one.call(Vendor(), tokens=1000, cancelled=never) == "answer"
    with closing(sqlite3.connect(tmp_path / "vendor.sqlite")) as db:
        db.execute("update tokens_vendor set item_timestamp = item_timestamp + 3600000")
        db.commit()
    assert one.call(Vendor(), tokens=1000, cancelled=never) == "answer"


# ---------------------------------------------------------------- a way out


@pytest.mark.parametrize("calls", [1, 4])
def test_a_call_that_hangs_is_left_within_a_second(tmp_path, calls):
    """Also the one that waits for the slot which it holds."""
    one = line(tmp_path, calls=calls)
    release = threading.Event()
    try:
        for _ in range(2):
            until = time.monotonic() + 0.3
            with pytest.raises(Cancelled):
                one.call(lambda: release.wait(20), tokens=1, cancelled=lambda until=until: time.monotonic() > until)
            assert time.monotonic() - until < 0.7
    finally:
        release.set()
    assert one.call(Vendor(), tokens=1, cancelled=never) == "answer"


def test_waits_are_left_within_a_second_too(tmp_path):
    one = line(tmp_path, Patience(wait_s=20, longest_wait_s=30))
    until = time.monotonic() + 0.3
    with pytest.raises(Cancelled):
        one.call(Vendor(Outage()), tokens=1, cancelled=lambda: time.monotonic() > until)
    assert time.monotonic() - until < 0.7


def test_an_answer_that_does_not_end_is_an_outage(tmp_path):
    one = line(tmp_path, Patience(tries=1, answer_s=0.5))
    release = threading.Event()
    try:
        assert "did not end its answer" in str(outage(one, lambda: str(release.wait(20))))
    finally:
        release.set()


# ---------------------------------------------------------------- streams


class Streams:
    """Streams of pieces, one after the other; an exception among the pieces is raised there."""

    def __init__(self, *streams: list[Any]) -> None:
        self.streams = list(streams)
        self.opened = 0
        self.closed = 0

    def __call__(self) -> Iterator[str]:
        self.opened += 1
        try:
            for piece in self.streams.pop(0):
                if isinstance(piece, Exception):
                    raise piece
                if isinstance(piece, float):
                    time.sleep(piece)
                else:
                    yield piece
        finally:
            self.closed += 1


def test_a_stream_comes_as_it_is_said(tmp_path):
    began = time.monotonic()
    stream = line(tmp_path).stream(Streams(["a", 0.5, "b"]), tokens=1, cancelled=never)
    at = [(piece, time.monotonic() - began) for piece in stream]
    assert [piece for piece, _ in at] == ["a", "b"]
    assert at[0][1] < 0.4 < at[1][1]


def test_a_stream_is_opened_again_only_while_nothing_has_come(tmp_path):
    streams = Streams([Outage()], [TooMany()], ["a", Outage()])
    came: list[str] = []
    with pytest.raises(EngineDown):
        came.extend(line(tmp_path).stream(streams, tokens=1, cancelled=never))
    assert streams.opened == 3
    assert came == ["a"]


def test_an_empty_stream_is_an_end(tmp_path):
    assert list(line(tmp_path).stream(Streams([]), tokens=1, cancelled=never)) == []


def test_streams_that_break_off_open_the_breaker(tmp_path):
    one = line(tmp_path, Patience(tries=1, outages=2, open_s=60))
    for _ in range(2):
        with pytest.raises(EngineDown):
            list(one.stream(Streams([Outage()]), tokens=1, cancelled=never))
    streams = Streams(["a"])
    with pytest.raises(EngineDown, match="2 times in a row"):
        list(one.stream(streams, tokens=1, cancelled=never))
    assert streams.opened == 0


def test_a_stream_that_nobody_reads_any_more_is_closed_and_gives_its_slot_back(tmp_path):
    one = line(tmp_path, calls=1)
    streams = Streams(["a", *[0.1, "b"] * 100])
    stream = one.stream(streams, tokens=1, cancelled=never)
    assert next(stream) == "a"
    stream.close()
    assert one.call(Vendor(), tokens=1, cancelled=never) == "answer"
    assert streams.closed == 1


def test_a_stream_that_hangs_is_left_within_a_second(tmp_path):
    stopped = False
    stream = line(tmp_path).stream(Streams(["a", 5.0, "b"]), tokens=1, cancelled=lambda: stopped)
    assert next(stream) == "a"
    stopped = True
    began = time.monotonic()
    with pytest.raises(Cancelled):
        next(stream)
    assert time.monotonic() - began < 0.7


def test_a_stream_that_pauses_too_long_is_an_outage(tmp_path):
    stream = line(tmp_path, Patience(answer_s=0.4)).stream(Streams(["a", 3.0, "b"]), tokens=1, cancelled=never)
    assert next(stream) == "a"
    with pytest.raises(EngineDown, match="did not end"):
        next(stream)


def test_an_engines_own_error_inside_a_stream_stays_what_it_is(tmp_path):
    with pytest.raises(EngineFailed, match="ours"):
        list(line(tmp_path).stream(Streams(["a", EngineFailed("ours")]), tokens=1, cancelled=never))


# ---------------------------------------------------------------- what all processes know


ASKER = """
import sys
from pathlib import Path
from nexus_pipeline.domain.errors import NexusError
from tests.contracts.cloud_parts import Vendor, line, never
try:
    print(line(Path(sys.argv[1])).call(Vendor(), tokens=1, cancelled=never))
except NexusError as error:
    print(type(error).__name__, error.retry_after_s, error)
"""


def asked_by_another(folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", ASKER, str(folder)], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_an_open_breaker_is_open_for_every_process(tmp_path):
    one = line(tmp_path, Patience(tries=3, wait_s=0.05, outages=3, open_s=60))
    outage(one, Vendor(*[Outage()] * 3))
    assert "EngineDown None vendor has not answered 3 times in a row" in asked_by_another(tmp_path)
    assert asked_by_another(tmp_path / "elsewhere") == "answer"


def test_the_wait_that_is_asked_for_is_kept_by_every_process(tmp_path):
    with pytest.raises(EngineBusy):
        line(tmp_path).call(Vendor(TooMany(3600.0)), tokens=1, cancelled=never)
    name, wait_s = asked_by_another(tmp_path).split()[:2]
    assert (name, float(wait_s)) == ("EngineBusy", pytest.approx(3600, abs=60))


def test_another_key_or_address_begins_anew(tmp_path):
    with pytest.raises(EngineBusy):
        line(tmp_path).call(Vendor(TooMany(3600.0)), tokens=1, cancelled=never)
    for cloud in ({"key": SecretStr("another")}, {"base_url": "http://127.0.0.1:1"}):
        assert line(tmp_path, **cloud).call(Vendor(), tokens=1, cancelled=never) == "answer"
    assert b"another" not in (tmp_path / "vendor.standing.sqlite").read_bytes()


def test_one_call_of_all_processes_tries_whether_the_vendor_is_back(tmp_path):
    patience = Patience(tries=1, outages=1, open_s=0.5)
    one, other = line(tmp_path, patience), line(tmp_path, patience)
    outage(one, Vendor(Outage()))
    time.sleep(0.6)
    assert one._standing.let()
    with pytest.raises(EngineDown):
        other._standing.let()
    time.sleep(0.6)  # whoever tried has died
    assert other.call(Vendor(), tokens=1, cancelled=never) == "answer"
    assert one.call(Vendor(), tokens=1, cancelled=never) == "answer"


def test_what_was_learnt_under_a_clock_that_was_set_back_is_forgotten(tmp_path):
    with pytest.raises(EngineBusy):
        line(tmp_path).call(Vendor(TooMany(3600.0)), tokens=1, cancelled=never)
    with closing(sqlite3.connect(tmp_path / "vendor.standing.sqlite")) as db:
        db.execute("update standing set at = at + 3600, not_before = not_before + 3600")
        db.commit()
    assert line(tmp_path).call(Vendor(), tokens=1, cancelled=never) == "answer"

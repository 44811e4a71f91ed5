"""The poller and its streams, in one event loop: what is told to whom, in which order, and at which cost."""

import asyncio
import random
import threading
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from nexus_api import events as parts_of_events
from nexus_api.events import Events, Opened
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.errors import NotFound, StoreError
from nexus_pipeline.domain.items import NewItem
from nexus_pipeline.domain.states import State, StepStatus, rests
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts

WITHIN_S = 20.0


@pytest.fixture
def parts(tmp_path):
    found = Parts(Settings(home=tmp_path / "home", _env_file=None))
    yield found
    found.catalog.close()


@pytest.fixture
def catalog(parts):
    return parts.catalog


def new(n, owner="local"):
    return NewItem(owner, f"o:{n}", "inbox", "Talk")


def go(scenario):
    """Run it in a loop of its own; it must end."""

    async def bounded():
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(bounded())


@asynccontextmanager
async def running(parts, **settings):
    events = Events(parts, **settings)
    async with events.running():
        yield events


async def heard(events, opened, until, *, slow_s=0.0):
    """Messages of a stream until they satisfy `until`; `slow_s`: what its client does after each batch."""
    told = []
    async with asyncio.timeout(WITHIN_S), aclosing(events.follow(opened)) as stream:
        async for some in stream:
            told += some
            if until(told):
                break
            await asyncio.sleep(slow_s)
    return told


def ids(told):
    return [message.id for message in told if message.id is not None]


def kinds(told):
    return [(m.event, m.data.get("step"), m.data.get("state")) for m in told]


def begin(catalog, item, step="transcript"):
    (item,) = catalog.lease([item.id], "run").values()
    catalog.begin(item, step, "run", "run")
    return item


def land(catalog, item, steps, state=State.DONE, **fields):
    for step in steps:
        if step != "transcript":
            catalog.begin(item, step, "run", "run")
        catalog.land(item, StepStatus(step, state, run_id="run", **fields))


@pytest.mark.parametrize("slow_s", [0.0, 0.05])
def test_a_stream_tells_every_line_once_and_in_order_however_slow_its_client_is(parts, catalog, slow_s):
    """Pages of 20 lines, and threads that write faster than the slow one reads: it falls behind and catches up."""
    catalog.add([new(n) for n in range(50)])

    def write(writer):
        for n in range(40):
            (item,) = catalog.add([new(f"{writer}-{n}")])
            catalog.edit(item.id, title="x")

    async def scenario():
        async with running(parts, page=20) as events:
            opened = await events.open("local", 0)
            writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
            for writer in writers:
                writer.start()
            told = await heard(events, opened, lambda told: len(told) >= 50 + 3 * 80, slow_s=slow_s)
            assert ids(told) == [line.id for line in catalog.changes(0, limit=10_000)]

    go(scenario)


def test_a_stream_that_is_broken_off_anywhere_goes_on_where_it_was(parts, catalog):
    dice = random.Random(7)
    stop = threading.Event()

    def write():
        for n in range(200):
            catalog.add([new(n)])
        stop.set()

    async def scenario():
        seen = []
        async with running(parts, page=10) as events:
            writer = threading.Thread(target=write)
            writer.start()
            while not stop.is_set() or seen[-1] < catalog.changes_span()[1]:
                opened = await events.open("local", seen[-1] if seen else 0)
                least = dice.randint(1, 30)
                done = lambda told, least=least: len(told) >= least or (told and told[-1].id == 200)  # noqa: E731
                seen += ids(await heard(events, opened, done))
            assert events.listening == 0
        assert seen == [line.id for line in catalog.changes(0, limit=10_000)]

    go(scenario)


def test_five_hundred_streams_cost_one_query_a_look_and_none_cost_none(parts, catalog):
    asked = []
    sa.event.listen(catalog._reader, "before_cursor_execute", lambda *told: asked.append(told[2]))

    def selects():
        return [statement for statement in asked if statement.startswith("SELECT")]

    async def scenario():
        async with running(parts) as events:
            await asyncio.sleep(0.5)
            assert asked == []
            opened = await events.open("local", None)
            streams = [asyncio.create_task(heard(events, opened, len)) for _ in range(500)]
            await asyncio.sleep(1.0)
            assert events.listening == 500
            asked.clear()
            await asyncio.sleep(10 * parts_of_events.EVERY_S)
            assert 3 <= len(selects()) <= 11
            catalog.add([new(1)])
            told = await asyncio.gather(*streams)
            assert [ids(one) for one in told] == [[1]] * 500
            assert all(one[0] is told[0][0] for one in told)  # encoded once for all
            await asyncio.sleep(3 * parts_of_events.EVERY_S)
            asked.clear()
            await asyncio.sleep(0.5)
            assert asked == []

    go(scenario)


def test_an_owner_hears_only_of_their_own_items_live_and_after_a_cursor(parts, catalog):
    async def scenario():
        async with running(parts) as events:
            live = asyncio.create_task(heard(events, await events.open("ann", None), lambda told: len(told) >= 2))
            await asyncio.sleep(0.5)
            (hers,) = catalog.add([new(1, "ann")])
            catalog.add([new(n, "bob") for n in range(5)])
            catalog.bury(hers.id)
            assert [m.data["item_id"] for m in await live] == [hers.id] * 2
            catalog.forget(hers.id)
            resumed = await heard(events, await events.open("ann", 0), len)
            assert kinds(resumed) == [("item", None, "erased")]
            (his,) = catalog.add([new(9, "bob")])
            with pytest.raises(NotFound):
                await events.open("ann", None, his.id)
            with pytest.raises(NotFound):
                await events.open("ann", 0, his.id)

    go(scenario)


@pytest.mark.parametrize("cursor", [1, 10_000])
def test_a_cursor_that_was_pruned_or_is_of_another_catalog_is_told_to_start_anew(parts, catalog, cursor):
    items = catalog.add([new(n) for n in range(5)])
    catalog.prune_changes(datetime.now(UTC) + timedelta(seconds=1))

    async def scenario():
        async with running(parts) as events:
            told = await heard(events, await events.open("local", cursor), len)
            assert (told[0].event, told[0].id) == ("reset", 5)
            of_one = await heard(events, await events.open("local", cursor, items[0].id), lambda told: len(told) >= 7)
            assert [m.event for m in of_one] == ["reset", *["step"] * len(STEPS), "item"]
            catalog.edit(items[0].id, title="x")
            assert ids(await heard(events, await events.open("local", 5), len)) == [6]

    go(scenario)


def test_lines_that_are_pruned_while_a_stream_catches_up_are_not_passed_over_in_silence(parts, catalog):
    catalog.add([new(n) for n in range(30)])

    async def scenario():
        async with running(parts, page=10) as events, aclosing(events.follow(Opened("local", None, 0))) as stream:
            assert ids(await anext(stream)) == list(range(1, 11))
            catalog.prune_changes(datetime.now(UTC) + timedelta(seconds=1))
            (told,) = await anext(stream)
            assert (told.event, told.id) == ("reset", 30)

    go(scenario)


def test_an_items_stream_begins_with_how_it_stands_and_ends_when_nothing_more_is_to_come(parts, catalog):
    (item,) = catalog.add([new(1)])
    item = begin(catalog, item, "raw")

    async def scenario():
        async with running(parts) as events:
            following = asyncio.create_task(
                heard(events, await events.open("local", None, item.id), lambda _told: False)
            )
            await asyncio.sleep(1.0)
            assert not following.done()
            catalog.land(item, StepStatus("raw", State.DONE, run_id="run"))
            catalog.begin(item, "transcript", "run", "run")
            land(catalog, item, ["fingerprint", *STEPS[2:]])
            told = await following
            waiting = [("step", step, "waiting") for step in STEPS[1:]]
            assert kinds(told)[: len(STEPS) + 1] == [("step", "raw", "running"), *waiting, ("item", None, "changed")]
            assert ids(told)[1:] == [line.id for line in catalog.changes(ids(told)[0])]
            assert kinds(told)[-2:] == [("step", "embedding", "done"), ("end", None, "done")]
            again = await heard(events, await events.open("local", ids(told)[-1], item.id), lambda _told: False)
            assert [m.event for m in again] == ["end"]

    go(scenario)


_NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("steps", "over"),
    [
        ([StepStatus("a", State.DONE), StepStatus("b", State.SKIPPED)], True),
        ([StepStatus("a", State.DONE), StepStatus("b")], False),
        ([StepStatus("a", State.RUNNING), StepStatus("b", State.FAILED)], False),
        ([StepStatus("a", State.FAILED), StepStatus("b")], True),
        ([StepStatus("a", State.FAILED, next_attempt_at=_NOW + timedelta(seconds=50)), StepStatus("b")], False),
        ([StepStatus("a", State.FAILED, next_attempt_at=_NOW + timedelta(seconds=70)), StepStatus("b")], True),
        ([StepStatus("a", State.BLOCKED), StepStatus("b")], False),
        ([StepStatus("a", State.CANCELLED), StepStatus("b", State.CANCELLED)], True),
    ],
)
def test_an_item_rests_when_nothing_runs_or_is_due_within_a_minute(steps, over):
    assert rests(steps, _NOW + parts_of_events.SOON) is over


def test_an_item_that_is_erased_ends_its_stream_and_says_so_to_who_comes_back(parts, catalog):
    (item,) = catalog.add([new(1)])

    async def scenario():
        async with running(parts) as events:
            following = asyncio.create_task(heard(events, await events.open("local", 1, item.id), lambda _told: False))
            await asyncio.sleep(0.5)
            catalog.bury(item.id)
            catalog.forget(item.id)
            expected = [("item", None, "erased"), ("end", None, "erased")]
            assert kinds(await following) == expected
            assert kinds(await heard(events, await events.open("local", 1, item.id), lambda _told: False)) == expected
            with pytest.raises(NotFound):
                await events.open("local", None, item.id)

    go(scenario)


def window(parts, item, n):
    said = f'[{{"id":{n},"start_s":{n}.0,"end_s":{n}.5,"text":"w{n}","speaker":null,"words":[]}}]'
    parts.blobs.put(item.key("transcript", "partial", f"{n}.json"), said.encode())
    parts.catalog.advance(item, "transcript", "run", n / 100, heard=n)


def said(told):
    return [segment["text"] for m in told if m.event == "segments" for segment in m.data["segments"]]


def test_segments_come_as_they_are_heard_once_each_and_only_to_the_items_stream(parts, catalog):
    (item,) = catalog.add([new(1)])
    window(parts, item := begin(catalog, item), 0)
    window(parts, item, 2)

    async def scenario():
        async with running(parts) as events:
            all_items = asyncio.create_task(heard(events, await events.open("local", 0), lambda told: len(told) >= 6))
            opened = await events.open("local", None, item.id)
            following = asyncio.create_task(heard(events, opened, lambda told: len(said(told)) >= 4))
            await asyncio.sleep(0.5)
            window(parts, item, 3)
            window(parts, item, 4)
            told = await following
            assert said(told) == ["w0", "w2", "w3", "w4"]
            told = await heard(events, await events.open("local", ids(told)[-2], item.id), len)
            assert said(told) == ["w4"]
            land(catalog, item, ["transcript"])
            parts.blobs.delete(item.key("transcript", "partial", ""))
            told = await heard(events, await events.open("local", 0, item.id), lambda told: len(told) >= 3)
            assert kinds(told) == [
                ("item", None, "new"),
                ("step", "transcript", "running"),
                ("step", "transcript", "done"),
            ]
            land(catalog, item, [*STEPS[3:], "raw"])
            assert {m.event for m in await all_items} == {"item", "step"}

    go(scenario)


def test_a_transcript_that_is_heard_anew_begins_anew(parts, catalog):
    (item,) = catalog.add([new(1)])
    window(parts, item := begin(catalog, item), 0)
    land(catalog, item, ["transcript"])
    catalog.begin(item, "transcript", "run", "run")
    window(parts, item, 1)

    async def scenario():
        async with running(parts) as events:
            told = await heard(events, await events.open("local", None, item.id), lambda told: len(told) >= 7)
            assert said(told) == ["w1"]

    go(scenario)


class Flaky:
    """A catalog that cannot be read for a while."""

    def __init__(self, catalog):
        self.catalog, self.down = catalog, False

    def __getattr__(self, name):
        if self.down:
            raise StoreError("the catalog cannot be used: it is away")
        return getattr(self.catalog, name)


def test_a_catalog_that_is_away_for_a_while_costs_no_event(parts, catalog):
    parts.__dict__["catalog"] = flaky = Flaky(catalog)

    async def scenario():
        async with running(parts) as events:
            following = asyncio.create_task(
                heard(events, await events.open("local", None), lambda told: len(told) >= 3)
            )
            await asyncio.sleep(0.5)
            flaky.down = True
            catalog.add([new(n) for n in range(3)])
            await asyncio.sleep(0.5)
            assert not following.done()
            flaky.down = False
            assert ids(await following) == [1, 2, 3]

    go(scenario)


def test_a_stream_beats_while_nothing_happens_and_ends_in_time(parts):
    async def scenario():
        async with running(parts, life_s=1.0, beat_s=0.1) as events:
            async with aclosing(events.follow(Opened("local", None, 0))) as stream:
                told = [some async for some in stream]
            assert 5 <= len(told) <= 11
            assert not any(told)
            assert events.listening == 0

    go(scenario)


def test_closing_ends_every_stream_at_once(parts):
    async def scenario():
        async with running(parts) as events:
            opened = await events.open("local", None)
            streams = [asyncio.create_task(heard(events, opened, lambda _told: False)) for _ in range(20)]
            await asyncio.sleep(0.5)
            events.close()
            async with asyncio.timeout(1.0):
                assert await asyncio.gather(*streams) == [[]] * 20
            assert await heard(events, opened, lambda _told: False) == []

    go(scenario)

"""Items through made-up steps: no barriers, no leaks between items, nothing done twice, nothing lost."""

import json
import threading
import time

import pytest

from nexus_pipeline.domain import errors
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Item, NewItem
from nexus_pipeline.domain.states import ItemState, Skipped, State
from nexus_pipeline.flow import Flow
from nexus_pipeline.settings import Settings
from nexus_pipeline.steps.step import Landed, Step, one_by_one
from nexus_pipeline.turns import Run
from nexus_pipeline.wiring import Parts

WIDTHS = dict.fromkeys(STEPS, 2)
ALL = frozenset(STEPS)


class Doings:
    """Which step was really done for which item, in order."""

    def __init__(self):
        self.done = []
        self.lock = threading.Lock()

    def note(self, item_id, step):
        with self.lock:
            self.done.append((item_id, step))

    def times(self, item_id, step):
        return self.done.count((item_id, step))


def steps_of(doings, what=None):
    """The chain's names, each doing `what.get(step)(work)` and landing a number."""

    def make(name, needs):
        def do(work, parts):
            doings.note(work.item.id, name)
            result = (what or {}).get(name, lambda _work: None)(work)
            return Landed(work, result={"of": name}, numbers={"n": 1}) if result is None else result

        return Step(name=name, code_version="1", run=one_by_one(do), needs=needs, gathers=name == "embedding")

    needs = {"raw": (), "fingerprint": ("raw",), "transcript": ("raw",), "enrichment": ("transcript",)}
    return [make(name, needs.get(name, ("transcript",))) for name in STEPS]


@pytest.fixture
def parts(tmp_path):
    return Parts(Settings(home=tmp_path, blobs="memory://", inbox="memory://"))


def add(parts, n):
    new = [NewItem("local", f"inbox:{i}", "inbox", f"item {i}") for i in range(n)]
    return [item.id for item in parts.catalog.add(new)]


def go(parts, ids, chain, run="r1", **how):
    stopped = how.pop("stopped", lambda: None)
    widths = how.pop("widths", WIDTHS)
    told = Run(run, how.pop("root", run), how.pop("steps", ALL), **how)
    return list(Flow(chain, parts, told, widths, stopped=stopped).land(ids))


def test_every_item_lands_every_step_once(parts):
    doings = Doings()
    ids = add(parts, 20)
    landed = go(parts, ids, steps_of(doings))
    assert sorted((la.work.item.id, la.work.step) for la in landed) == sorted((i, s) for i in ids for s in STEPS)
    assert len(doings.done) == 20 * len(STEPS)
    assert {parts.catalog.get(i).state for i in ids} == {ItemState.DONE}


def test_a_short_item_ends_long_before_a_long_one_is_heard(parts):
    doings = Doings()
    long, short = add(parts, 2)
    release = threading.Event()
    steps = steps_of(doings, {"transcript": lambda w: release.wait(20) and None if w.item.id == long else None})
    seen = []
    for landed in Flow(steps, parts, Run("r1", "r1", ALL), WIDTHS).land([long, short]):
        seen.append((landed.work.item.id, landed.work.step))
        if seen[-1] == (short, "embedding"):
            assert (long, "transcript") not in seen
            release.set()
    assert (long, "embedding") in seen


@pytest.mark.parametrize(("force", "asked"), [(False, ("retry", None)), (True, ("rerun", "fingerprint"))])
def test_what_is_another_runs_work_is_asked_for_and_given_back(parts, force, asked):
    doings = Doings()
    long, short = add(parts, 2)
    run = Run("r1", "r1", ALL, force=force)
    landed = list(Flow(steps_of(doings), parts, run, WIDTHS, leaves=lambda i: i.id == long).land([long, short]))
    assert [la.work.step for la in landed if la.work.item.id == long] == ["raw"]
    assert parts.catalog.get(short).state is ItemState.DONE
    assert parts.catalog.get(long).state is ItemState.WAITING
    assert parts.catalog.leased([long]) == set()
    assert [(a.item_id, (a.ask, a.from_step)) for a in parts.catalog.asks()] == [(long, asked)]
    again = go(parts, [long], steps_of(doings), run="r2", force=force)
    assert parts.catalog.get(long).state is ItemState.DONE
    assert len(again) == len(STEPS)
    assert doings.times(long, "raw") == (2 if force else 1)


def test_a_failure_ends_its_own_item_only_and_what_needs_it(parts):
    doings = Doings()
    good, bad, other = add(parts, 3)

    def fail(work):
        if work.item.id == bad:
            raise errors.DamagedMedia("the file ends early")

    go(parts, [good, bad, other], steps_of(doings, {"transcript": fail}))
    assert [parts.catalog.get(i).state for i in (good, bad, other)] == [
        ItemState.DONE,
        ItemState.FAILED,
        ItemState.DONE,
    ]
    step = parts.catalog.get(bad).step("transcript")
    assert (step.error_code, step.retryable, step.next_attempt_at) == ("damaged_media", False, None)
    assert parts.catalog.get(bad).step("fingerprint").state is State.DONE
    assert parts.catalog.get(bad).step("embedding").state is State.WAITING


def test_a_failed_enrichment_never_loses_what_comes_after_it(parts):
    doings = Doings()
    [one] = add(parts, 1)

    def fail(work):
        raise errors.EngineBusy("rate limited")

    go(parts, [one], steps_of(doings, {"enrichment": fail}))
    item = parts.catalog.get(one)
    assert item.step("embedding").state is State.DONE
    assert item.step("enrichment").next_attempt_at is not None


def test_an_unexpected_error_is_one_items_and_says_no_more_than_its_type(parts):
    doings = Doings()
    one, two = add(parts, 2)

    def fail(work):
        if work.item.id == one:
            raise KeyError("a secret word")

    go(parts, [one, two], steps_of(doings, {"embedding": fail}))
    step = parts.catalog.get(one).step("embedding")
    assert step.error_code == "unexpected"
    assert "secret" not in step.error_message
    assert parts.catalog.get(two).state is ItemState.DONE


def test_doing_it_again_does_nothing_but_lands_everything(parts):
    doings = Doings()
    ids = add(parts, 3)
    go(parts, ids, steps_of(doings))
    landed = go(parts, ids, steps_of(doings), run="r2")
    assert len(doings.done) == 3 * len(STEPS)
    assert len(landed) == 3 * len(STEPS)
    assert all(la.numbers == {"repeated": 1} for la in landed)


def test_force_does_it_again_once_under_the_same_root_run(parts):
    doings = Doings()
    [one] = add(parts, 1)
    go(parts, [one], steps_of(doings))
    go(parts, [one], steps_of(doings), run="r2", force=True)
    assert doings.times(one, "transcript") == 2
    go(parts, [one], steps_of(doings), run="r3", root="r2", force=True)
    assert doings.times(one, "transcript") == 2


def test_only_the_chosen_steps_are_done(parts):
    doings = Doings()
    [one] = add(parts, 1)
    go(parts, [one], steps_of(doings), steps=frozenset({"raw", "fingerprint"}))
    assert [step for _, step in doings.done] == ["raw", "fingerprint"]


def test_a_finished_blob_is_adopted_when_the_run_died_before_its_commit(parts):
    doings = Doings()
    [one] = add(parts, 1)
    steps = steps_of(doings)
    go(parts, [one], steps, steps=frozenset({"raw"}))
    key = parts.catalog.get(one).step("raw").blob
    data = parts.blobs.read(key)
    parts.catalog.ask("rerun", [one], from_step="raw")
    parts.blobs.put(key, data)
    go(parts, [one], steps, run="r2", steps=frozenset({"raw"}))
    assert doings.times(one, "raw") == 1
    assert parts.catalog.get(one).step("raw").state is State.DONE
    assert parts.blobs.read(key) == data
    assert json.loads(data)["result"] == {"of": "raw"}
    assert parts.blobs.read(key) == data


def test_an_item_that_another_run_holds_is_left_alone(parts):
    doings = Doings()
    held, free = add(parts, 2)
    parts.catalog.lease([held], "other")
    landed = go(parts, [held, free], steps_of(doings))
    assert [la.error.code for la in landed if la.error] == ["lease_lost"]
    assert not [step for item_id, step in doings.done if item_id == held]
    assert parts.catalog.get(free).state is ItemState.DONE


def test_a_lost_lease_ends_the_item_in_this_run_without_writing_over_the_other(parts):
    doings = Doings()
    [one] = add(parts, 1)

    def lose(work):
        parts.catalog.release("r1")
        parts.catalog.lease([one], "other")

    landed = go(parts, [one], steps_of(doings, {"fingerprint": lose}))
    assert landed[-1].error.code == "lease_lost"
    assert [step for _, step in doings.done] == ["raw", "fingerprint"]


def test_leases_are_given_back_as_items_end(parts):
    doings = Doings()
    ids = add(parts, 3)
    go(parts, ids, steps_of(doings))
    assert set(parts.catalog.lease(ids, "next")) == set(ids)


def test_a_cancelled_item_stops_within_seconds_and_the_others_go_on(parts):
    doings = Doings()
    one, two = add(parts, 2)

    def long(work):
        if work.item.id == one:
            parts.catalog.ask("cancel", [one])
            until = time.monotonic() + 15
            while not work.cancelled() and time.monotonic() < until:
                time.sleep(0.05)
            raise errors.Cancelled("stopped")

    began = time.monotonic()
    go(parts, [one, two], steps_of(doings, {"transcript": long}))
    assert time.monotonic() - began < 10
    assert parts.catalog.get(one).state is ItemState.CANCELLED
    assert parts.catalog.get(two).state is ItemState.DONE


def test_a_terminated_run_cancels_what_has_not_landed(parts):
    doings = Doings()
    ids = add(parts, 8)
    slow = steps_of(doings, {"transcript": lambda w: time.sleep(0.4)})
    began = time.monotonic()
    go(parts, ids, slow, stopped=lambda: "its run was terminated" if time.monotonic() - began > 0.5 else None)
    states = [parts.catalog.get(i).state for i in ids]
    assert ItemState.CANCELLED in states
    assert ItemState.RUNNING not in states


def test_a_cancelled_item_is_not_taken_up_by_a_run_that_was_queued_before(parts):
    doings = Doings()
    [one] = add(parts, 1)
    parts.catalog.ask("cancel", [one])
    go(parts, [one], steps_of(doings))
    assert doings.done == []
    assert parts.catalog.get(one).state is ItemState.CANCELLED


def test_gathered_items_are_handed_over_together_and_one_bad_one_ends_alone(parts):
    sizes = []

    def run(works, parts):
        sizes.append(len(works))
        if any(w.item.title == "item 3" for w in works):
            raise errors.EngineFailed("cannot")
        for work in works:
            yield Landed(work, result={})

    doings = Doings()
    steps = steps_of(doings)
    steps[-1] = Step(name="embedding", code_version="1", run=run, needs=("transcript",), gathers=True)
    ids = add(parts, 12)
    go(parts, ids, steps)
    assert max(sizes) > 1
    states = {parts.catalog.get(i).title: parts.catalog.get(i).state for i in ids}
    assert states.pop("item 3") is ItemState.FAILED
    assert set(states.values()) == {ItemState.DONE}


def test_a_skipped_step_says_why_and_ends_done(parts):
    doings = Doings()
    [one] = add(parts, 1)

    def skipped(work):
        return Landed(work, state=State.SKIPPED, reason=Skipped.SILENCE)

    landed = go(parts, [one], steps_of(doings, {"transcript": skipped}))
    assert [la.reason for la in landed if la.work.step == "transcript"] == ["silence"]
    assert parts.catalog.get(one).state is ItemState.DONE


def test_a_missing_model_blocks_and_a_busy_engine_is_tried_again_five_times_at_most(parts):
    [one, two] = add(parts, 2)

    def fail(work):
        raise (errors.ModelMissing if work.item.id == one else errors.EngineBusy)("not now")

    steps = steps_of(Doings(), {"transcript": fail})
    for n in range(5):
        go(parts, [one, two], steps, run=f"r{n}")
        assert parts.catalog.get(one).step("transcript").state is State.BLOCKED
        assert (parts.catalog.get(two).step("transcript").next_attempt_at is None) == (n == 4)
    assert parts.catalog.get(two).state is ItemState.FAILED


def test_an_item_that_kills_its_worker_again_and_again_fails_until_a_person_asks(parts):
    doings = Doings()
    [one] = add(parts, 1)
    for n in range(8):
        item = parts.catalog.lease([one], f"dead{n}")[one]
        parts.catalog.begin(item, "raw", f"dead{n}", f"dead{n}")
        parts.catalog.release(f"dead{n}")
    go(parts, [one], steps_of(doings))
    step = parts.catalog.get(one).step("raw")
    assert (step.state, step.error_code, doings.done) == (State.FAILED, "engine_failed", [])
    parts.catalog.ask("retry", [one])
    go(parts, [one], steps_of(doings), run="r2")
    assert parts.catalog.get(one).state is ItemState.DONE


def test_two_runs_on_the_same_items_do_each_step_once(parts):
    doings = Doings()
    ids = add(parts, 10)
    steps = steps_of(doings, {"raw": lambda w: time.sleep(0.05)})
    other = threading.Thread(target=go, args=(parts, ids, steps, "r2"))
    other.start()
    go(parts, list(reversed(ids)), steps, run="r1")
    other.join()
    assert all(doings.times(i, s) == 1 for i in ids for s in STEPS)


class TestTurnsAreCheap:
    def test_items_on_their_way_are_bounded(self, parts):
        doings = Doings()
        most, now = [0], set()

        def count(item: Item, into):
            now.add(item.id) if into else now.discard(item.id)
            most[0] = max(most[0], len(now))

        steps = steps_of(
            doings, {"raw": lambda w: count(w.item, into=True), "enrichment": lambda w: count(w.item, into=False)}
        )
        ids = add(parts, 60)
        go(parts, ids, steps, widths=dict.fromkeys(STEPS, 1))
        assert most[0] <= 2 * len(STEPS)

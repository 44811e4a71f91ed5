"""Counts for an overview, and listings of what is tried no more."""

from datetime import UTC, datetime, timedelta

import pytest

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.errors import BadInput
from nexus_pipeline.domain.listing import Backlog, ItemQuery, LaneCount, StepCount, Throughput, Used
from nexus_pipeline.domain.states import State, StepStatus


def failed(catalog, item, *, retryable, again=None):
    [taken] = catalog.lease([item.id], "f", lane="bulk").values()
    catalog.begin(taken, "raw", "f", "f")
    why = {"error_code": "source_busy", "retryable": retryable, "next_attempt_at": again}
    catalog.land(taken, StepStatus("raw", State.FAILED, run_id="f", **why))
    catalog.release("f")


def done(catalog, item):
    [taken] = catalog.lease([item.id], "d").values()
    for step in STEPS:
        catalog.begin(taken, step, "d", "d")
        facts = {"bytes": 10, "duration_s": 2.5} if step == "raw" else None
        now = datetime.now(UTC)
        catalog.land(taken, StepStatus(step, State.DONE, run_id="d", progress=1.0, ended_at=now), facts)
    catalog.release("d")


def test_an_overview_counts_open_steps_lanes_and_what_came_through(catalog, add):
    items = [add() for _ in range(4)]
    done(catalog, items[0])
    failed(catalog, items[1], retryable=True)
    catalog.requested([items[2].id], "bulk")
    catalog.lease([items[3].id], "run", lane="now")
    standing = catalog.standing("local")
    assert (standing.items["done"], standing.items["failed"], standing.items["waiting"]) == (1, 1, 2)
    assert (standing.bytes, standing.duration_s) == (10, 2.5)
    assert StepCount("raw", "failed", "source_busy", 1) in standing.open
    assert StepCount("raw", "waiting", None, 2) in standing.open
    assert all(count.state not in {"done", "skipped"} for count in standing.open)
    assert standing.lanes == (LaneCount("now", 1, 0), LaneCount("bulk", 0, 1))
    hour = timedelta(hours=1)
    assert catalog.throughput("local", datetime.now(UTC) - hour) == Throughput(1, 2.5)
    assert catalog.throughput("local", datetime.now(UTC) + hour) == Throughput(0, 0.0)
    assert catalog.standing("nobody").open == ()


def test_what_an_owner_has_is_counted_without_what_was_erased(catalog, add):
    items = [add() for _ in range(3)]
    for item in items[:2]:
        done(catalog, item)
    assert catalog.used("local") == Used(3, 20, 5.0)
    catalog.bury(items[0].id)
    assert catalog.used("local") == Used(2, 10, 2.5)
    assert catalog.used("nobody") == Used(0, 0, 0.0)


def test_steps_that_wait_or_run_are_counted_by_lane(catalog, add):
    items = [add() for _ in range(5)]
    done(catalog, items[0])
    failed(catalog, items[1], retryable=True)
    catalog.requested([items[2].id], "bulk")
    [taken] = catalog.lease([items[3].id], "run", lane="now").values()
    catalog.begin(taken, "raw", "run", "run")
    catalog.bury(items[4].id)
    told = catalog.backlog()
    assert [one for one in told if one.step == "raw"] == [
        Backlog("bulk", "raw", "waiting", 1),
        Backlog("now", "raw", "running", 1),
    ]
    others = {(one.lane, one.step, one.state): one.count for one in told if one.step != "raw"}
    # the failed item's other steps wait in the lane of its run
    assert others == {(lane, step, "waiting"): count for step in STEPS[1:] for lane, count in (("bulk", 2), ("now", 1))}


def test_what_is_exhausted_is_listed(catalog, add):
    waits, spent, hopeless, fine = (add() for _ in range(4))
    failed(catalog, waits, retryable=True, again=datetime.now(UTC) + timedelta(hours=1))
    failed(catalog, spent, retryable=True)
    failed(catalog, hopeless, retryable=False)
    assert [i.id for i in catalog.page(ItemQuery(exhausted=True)).items] == [spent.id]
    others = {i.id for i in catalog.page(ItemQuery(exhausted=False)).items}
    assert others == {waits.id, hopeless.id, fine.id}


def test_items_are_listed_by_their_ids_or_how_they_begin(catalog, add):
    items = [add() for _ in range(5)]
    wanted = ItemQuery(ids=(items[0].id, items[1].id.upper(), items[2].id[:8], "nosuchitemxxxxxx"))
    assert {i.id for i in catalog.page(wanted).items} == {i.id for i in items[:3]}
    assert catalog.page(ItemQuery(ids=("!",))).items == ()


@pytest.mark.parametrize("cursor", ["", "abc", "W10=", "bm90IGpzb24="])
def test_a_cursor_that_is_none_is_bad_input(catalog, cursor):
    with pytest.raises(BadInput, match="cursor"):
        catalog.page(ItemQuery(cursor=cursor))

"""Leases, steps, asks and what is due."""

from datetime import UTC, datetime, timedelta

import pytest

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.errors import LeaseLost, NotFound, StoreError
from nexus_pipeline.domain.states import ItemState, State, StepStatus
from tests.contracts.catalog.conftest import Run

# ---------------------------------------------------------------- leases


def test_an_item_is_leased_to_one_run(catalog, add):
    item = add()
    assert list(catalog.lease([item.id, "nothing"], "a")) == [item.id]
    assert catalog.lease([item.id], "b") == {}
    assert list(catalog.lease([item.id], "a")) == [item.id]
    assert catalog.leased([item.id, "nothing"]) == {item.id}
    catalog.release("b")
    assert catalog.lease([item.id], "b") == {}
    catalog.release("a")
    assert list(catalog.lease([item.id], "b")) == [item.id]


def test_a_run_gives_back_only_what_it_names(catalog, add):
    a, b = add(), add()
    catalog.lease([a.id, b.id], "run")
    catalog.release("run", [a.id])
    assert set(catalog.lease([a.id, b.id], "other")) == {a.id}


def test_who_holds_no_lease_writes_nothing(catalog, add):
    item = add()
    catalog.lease([item.id], "a")
    for write in (
        lambda: catalog.begin(item, "raw", "b", "b"),
        lambda: catalog.advance(item, "raw", "b", 0.5),
        lambda: catalog.land(item, StepStatus("raw", State.DONE, run_id="b"), {"duration_s": 1.0}),
        lambda: catalog.land(item, StepStatus("raw", State.DONE)),
    ):
        with pytest.raises(LeaseLost, match="held by a"):
            write()
    assert catalog.get(item.id).step("raw") == StepStatus("raw")
    with pytest.raises(NotFound):
        catalog.begin(item.__class__(**{f: getattr(item, f) for f in item.__slots__} | {"id": "x"}), "raw", "a", "a")


def test_a_silent_lease_is_taken_over_and_what_ran_waits_again(catalog, add, run, age):
    item = run.take(add())
    catalog.begin(item, "raw", run.id, run.id)
    assert catalog.dead_leases() == []
    age("leases", "beat_at", 61)
    (dead,) = catalog.dead_leases()
    assert (dead.item_id, dead.run_id, dead.gen) == (item.id, run.id, item.gen)
    taken = catalog.lease([item.id], "other")[item.id]
    assert taken.step("raw").state is State.WAITING
    assert taken.step("raw").attempt == 1
    with pytest.raises(LeaseLost, match="held by other"):
        run.catalog.land(item, StepStatus("raw", State.DONE, run_id=run.id))


def test_a_beat_keeps_all_leases_of_a_run(catalog, add, run, age):
    items = [run.take(add()), run.take(add())]
    age("leases", "beat_at", 100)
    catalog.beat(run.id)
    catalog.beat("nobody")
    assert catalog.dead_leases() == []
    assert catalog.lease([i.id for i in items], "other") == {}


def test_a_gen_that_is_over_writes_nothing(catalog, add, run):
    item = run.take(add(origin="o"))
    catalog.bury(item.id)
    back = run.take(add(origin="o"))
    with pytest.raises(LeaseLost, match="deleted"):
        catalog.begin(item, "raw", run.id, run.id)
    catalog.begin(back, "raw", run.id, run.id)


# ---------------------------------------------------------------- steps


def test_a_step_begins_advances_and_lands(catalog, add, run):
    item = run.take(add())
    catalog.begin(item, "raw", "run-1", "root", "ffmpeg")
    running = catalog.get(item.id)
    assert running.state is ItemState.RUNNING
    step = running.step("raw")
    assert (step.state, step.attempt, step.engine, step.run_id, step.root_run_id) == (
        "running",
        1,
        "ffmpeg",
        "run-1",
        "root",
    )
    catalog.advance(item, "raw", run.id, 0.5, "storing")
    assert (catalog.get(item.id).step("raw").progress, catalog.get(item.id).step("raw").phase) == (0.5, "storing")
    status = StepStatus("raw", State.DONE, version_key="v", blob="b", seconds=1.5, cost=0.1, run_id="run-1")
    landed = catalog.land(item, status)
    step = landed.step("raw")
    assert (step.state, step.progress, step.phase, step.attempt, step.version_key, step.blob) == (
        "done", 1.0, None, 1, "v", "b",
    )  # fmt: skip
    assert (step.engine, step.root_run_id, step.seconds, step.cost) == ("ffmpeg", "root", 1.5, 0.1)
    assert step.started_at <= step.ended_at <= datetime.now(UTC)
    assert landed.state is ItemState.WAITING
    assert catalog.get(item.id) == landed


def test_changes_are_logged_every_5_percent_and_every_new_phase(catalog, add, run):
    item = run.take(add())
    catalog.begin(item, "raw", run.id, run.id)
    start = catalog.changes(0)[-1].id
    for n in range(101):
        catalog.advance(item, "raw", run.id, n / 100, "fetching" if n < 33 else None)
    catalog.advance(item, "raw", run.id, 1.0, "storing")
    lines = catalog.changes(start)
    assert len(lines) == 1 + 20 + 1
    assert (lines[0].phase, lines[0].progress, lines[0].state, lines[0].step) == ("fetching", 0.0, "running", "raw")
    assert (lines[-1].phase, lines[-1].progress) == ("storing", 1.0)


@pytest.mark.parametrize(("told", "kept"), [(-1, 0.0), (7, 1.0), (float("nan"), 0.0), (float("inf"), 0.0)])
def test_progress_stays_between_0_and_1(catalog, add, run, told, kept):
    item = run.take(add())
    catalog.begin(item, "raw", run.id, run.id)
    catalog.advance(item, "raw", run.id, told)
    assert catalog.get(item.id).step("raw").progress == kept


def test_only_what_runs_advances(catalog, add, run):
    item = run.take(add())
    with pytest.raises(StoreError, match="raw does not run"):
        catalog.advance(item, "raw", run.id, 0.5)


def test_what_the_table_does_not_allow_is_refused_and_nothing_is_written(catalog, add, run):
    item = run.land(run.take(add()), "raw")
    with pytest.raises(StoreError, match=f"item {item.id}: step raw is done and cannot become failed"):
        catalog.land(item, StepStatus("raw", State.FAILED, run_id=run.id), {"duration_s": 3.0})
    assert catalog.get(item.id) == item


def test_a_step_that_the_chain_does_not_have_is_refused(catalog, add, run):
    with pytest.raises(StoreError, match="no step polish"):
        run.land(run.take(add()), "polish")


def test_an_item_older_than_a_step_gets_the_step_when_it_begins(catalog, url, add):
    item = add()
    longer = type(catalog)(url, (*STEPS[:3], "polishing", *STEPS[3:]))
    run = Run(longer, "run")
    assert [s.step for s in longer.get(item.id).steps] == list(STEPS)
    item = run.land(run.take(item), "polishing")
    assert [s.step for s in item.steps] == [*STEPS[:3], "polishing", *STEPS[3:]]
    longer.close()


def test_a_failure_keeps_the_last_result_and_says_when_it_is_tried_again(catalog, add, run):
    item = run.land(run.take(add()), "raw", version_key="v1", blob="b1")
    at = datetime.now(UTC) + timedelta(minutes=5)
    item = run.land(
        item, "raw", State.FAILED, error_code="source_busy", error_message="later", retryable=True, next_attempt_at=at
    )
    step = catalog.get(item.id).step("raw")
    assert (step.version_key, step.blob, step.attempt) == ("v1", "b1", 2)
    assert (step.error_code, step.error_message, step.retryable) == ("source_busy", "later", True)
    assert step.next_attempt_at == at
    assert item.state is ItemState.WAITING
    catalog.begin(item, "raw", run.id, run.id)
    step = catalog.get(item.id).step("raw")
    assert (step.error_code, step.error_message, step.retryable, step.next_attempt_at) == (None, None, False, None)


def test_given_back_a_running_step_waits_again(catalog, add, run):
    item = run.take(add())
    catalog.begin(item, "raw", run.id, run.id)
    catalog.release(run.id)
    assert catalog.get(item.id).state is ItemState.WAITING
    assert catalog.changes(0)[-1].state == "waiting"


# ---------------------------------------------------------------- asks


def test_a_retry_makes_what_failed_wait_with_fresh_attempts(catalog, add, run):
    item = run.fails(run.through(add(), "raw"), "fingerprint")
    assert item.state is ItemState.FAILED
    (after,) = catalog.ask("retry", [item.id])
    assert after.state is ItemState.WAITING
    assert after.step("raw").state is State.DONE
    assert (after.step("fingerprint").state, after.step("fingerprint").attempt) == (State.WAITING, 0)
    assert [(a.ask, a.item_id, a.from_step) for a in catalog.asks()] == [("retry", item.id, None)]
    catalog.ask("retry", [item.id])
    (ask,) = catalog.asks()
    catalog.answered([ask.id])
    assert catalog.asks() == []


def test_a_rerun_begins_at_a_step_and_keeps_the_last_results_named(catalog, add, run):
    item = run.through(add())
    (after,) = catalog.ask("rerun", [item.id], from_step="enrichment")
    assert [s.state for s in after.steps] == ["done"] * len(STEPS[:-2]) + ["waiting"] * 2
    assert after.step("enrichment").blob == "enrichment.json"
    assert catalog.asks()[0].from_step == "enrichment"
    assert {s.state for s in catalog.ask("rerun", [item.id])[0].steps} == {State.WAITING}


def test_what_is_not_there_is_named_and_nothing_is_written(catalog, add, run):
    item = run.fails(add())
    with pytest.raises(NotFound, match="nothing, none"):
        catalog.ask("retry", [item.id, "nothing", "none"])
    assert catalog.get(item.id).state is ItemState.FAILED
    assert catalog.asks() == []
    with pytest.raises(StoreError, match="polish"):
        catalog.ask("rerun", [item.id], from_step="polish")
    with pytest.raises(StoreError, match="burn"):
        catalog.ask("burn", [item.id])


def test_what_nobody_works_on_is_cancelled_at_once(catalog, add, run):
    item = run.through(add(), "raw")
    (after,) = catalog.ask("cancel", [item.id])
    assert after.state is ItemState.CANCELLED
    assert [s.state for s in after.steps] == ["done", *["cancelled"] * len(STEPS[1:])]
    assert catalog.asks() == []
    assert catalog.cancel_asked([item.id]) == set()
    assert catalog.ask("retry", [item.id])[0].state is ItemState.WAITING


def test_what_runs_is_asked_to_stop_and_cancelled_when_it_is_given_back(catalog, add, run):
    item = run.take(add())
    catalog.begin(item, "raw", run.id, run.id)
    (after,) = catalog.ask("cancel", [item.id])
    assert [s.state for s in after.steps] == ["running", *["cancelled"] * len(STEPS[1:])]
    assert catalog.cancel_asked([item.id, "nothing"]) == {item.id}
    catalog.release(run.id)
    assert {s.state for s in catalog.get(item.id).steps} == {State.CANCELLED}
    assert catalog.cancel_asked([item.id]) == set()
    assert catalog.due() == []


def test_what_a_dead_run_was_at_is_cancelled_at_once(catalog, add, run, age):
    item = run.take(add())
    catalog.begin(item, "raw", run.id, run.id)
    age("leases", "beat_at", 61)
    assert catalog.ask("cancel", [item.id])[0].state is ItemState.CANCELLED


def test_a_run_that_dies_after_it_was_asked_to_stop_leaves_a_cancelled_item(catalog, add, run, age):
    item = run.take(add())
    catalog.begin(item, "raw", run.id, run.id)
    catalog.ask("cancel", [item.id])
    age("leases", "beat_at", 61)
    assert catalog.lease([item.id], "other") == {}
    assert catalog.get(item.id).state is ItemState.CANCELLED


def test_a_later_ask_takes_back_its_opposite(catalog, add, run):
    item = run.take(add())
    catalog.ask("cancel", [item.id])
    catalog.ask("retry", [item.id])
    assert catalog.cancel_asked([item.id]) == set()
    assert [a.ask for a in catalog.asks()] == ["retry"]
    catalog.ask("cancel", [item.id])
    assert [a.ask for a in catalog.asks()] == ["cancel"]


def test_a_rerun_leaves_what_a_living_run_is_at(catalog, add, run):
    item = run.take(run.through(add(), "raw"))
    catalog.begin(item, "fingerprint", run.id, run.id)
    (after,) = catalog.ask("rerun", [item.id])
    assert [s.state for s in after.steps] == ["waiting", "running", *["waiting"] * len(STEPS[2:])]


# ---------------------------------------------------------------- due


def test_a_retry_is_due_when_its_time_has_come_until_it_is_requested(catalog, add, run, age):
    now = datetime.now(UTC)
    soon = run.fails(add(), retryable=True, next_attempt_at=now + timedelta(seconds=60))
    run.fails(add(), retryable=False)
    assert catalog.due() == []
    age("item_steps", "next_attempt_at", 61)
    assert [i.id for i in catalog.due()] == [soon.id]
    assert [i.id for i in catalog.due()] == [soon.id]
    catalog.requested([soon.id])
    assert catalog.due() == []
    step = catalog.get(soon.id).step("raw")
    assert (step.state, step.attempt, step.next_attempt_at) == (State.WAITING, 1, None)


def test_what_is_blocked_is_looked_at_again_after_a_minute(catalog, add, run, age):
    item = run.land(run.take(add()), "raw", State.BLOCKED, reason="model_missing")
    catalog.release(run.id)
    assert catalog.get(item.id).state is ItemState.BLOCKED
    assert catalog.due() == []
    age("item_steps", "ended_at", 61)
    assert [i.id for i in catalog.due()] == [item.id]
    catalog.requested([item.id])
    assert catalog.get(item.id).state is ItemState.WAITING


def test_an_item_whose_run_was_lost_is_due_again(catalog, add, age):
    item = add()
    assert catalog.due() == []
    age("items", "requested_at", 31)
    assert [i.id for i in catalog.due()] == [item.id]
    catalog.requested([item.id])
    assert catalog.due() == []
    age("items", "requested_at", 601)
    assert [i.id for i in catalog.due()] == [item.id]


def test_what_a_run_holds_is_not_due_until_it_is_dead(catalog, add, run, age):
    item = run.take(add())
    age("items", "requested_at", 31)
    assert catalog.due() == []
    age("leases", "beat_at", 61)
    assert [i.id for i in catalog.due()] == [item.id]
    catalog.lease([item.id], "other")
    catalog.release("other")
    assert [i.id for i in catalog.due()] == [item.id]


def test_what_a_person_asked_for_is_left_to_the_asks(catalog, add, run, age):
    item = run.fails(add())
    age("items", "requested_at", 31)
    catalog.ask("retry", [item.id])
    assert catalog.due() == []


def test_due_answers_no_more_than_asked_for_and_no_item_twice(catalog, add, run, age):
    for _ in range(3):
        run.fails(add(), retryable=True, next_attempt_at=datetime.now(UTC))
        add()
    age("items", "requested_at", 31)
    ids = [i.id for i in catalog.due()]
    assert len(ids) == len(set(ids)) == 6
    assert [i.id for i in catalog.due(limit=4)] == ids[:4]

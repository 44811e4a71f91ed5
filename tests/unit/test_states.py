"""States of steps and items against the contract."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.domain.states import TRANSITIONS, ItemState, State, StepStatus, item_state, may_become

_STATES = st.sampled_from(list(State))
_DUE = datetime(2026, 1, 1, tzinfo=UTC)


@st.composite
def _steps(draw):
    told = draw(st.lists(st.tuples(_STATES, st.booleans()), min_size=1, max_size=6))
    return [
        StepStatus(str(n), state, next_attempt_at=_DUE if due and state is State.FAILED else None)
        for n, (state, due) in enumerate(told)
    ]


def _of(*states: str) -> list[StepStatus]:
    return [StepStatus(str(n), State(state)) for n, state in enumerate(states)]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["waiting", "waiting"], "waiting"),
        (["done", "waiting"], "waiting"),
        (["done", "running"], "running"),
        (["failed", "running"], "running"),
        (["done", "skipped"], "done"),
        (["skipped", "skipped"], "done"),
        (["done", "failed"], "failed"),
        (["failed", "blocked"], "failed"),
        (["done", "blocked", "waiting"], "blocked"),
        (["done", "cancelled", "failed"], "cancelled"),
        ([], "waiting"),
    ],
)
def test_an_items_state_follows_from_its_steps(states, expected):
    assert item_state(_of(*states)) == expected


def test_a_failure_that_is_tried_again_leaves_the_item_waiting():
    assert item_state([StepStatus("a", State.FAILED, next_attempt_at=_DUE)]) == ItemState.WAITING


def test_a_duplicate_that_is_done_says_so():
    assert item_state(_of("done", "skipped"), duplicate=True) == ItemState.DUPLICATE
    assert item_state(_of("done", "waiting"), duplicate=True) == ItemState.WAITING


@given(_steps(), st.randoms(use_true_random=False))
def test_the_order_of_steps_does_not_matter(steps, random):
    shuffled = random.sample(steps, len(steps))
    assert item_state(shuffled) == item_state(steps)


@given(_steps(), st.booleans())
def test_an_item_is_done_only_if_nothing_is_left_to_do(steps, duplicate):
    over = all(s.state in {State.DONE, State.SKIPPED} for s in steps)
    assert (item_state(steps, duplicate=duplicate) in {ItemState.DONE, ItemState.DUPLICATE}) == over


@given(_steps())
def test_an_item_fails_only_when_nothing_runs_and_nothing_more_is_tried(steps):
    if item_state(steps) is ItemState.FAILED:
        assert any(s.state is State.FAILED and s.next_attempt_at is None for s in steps)
        assert all(s.state is not State.RUNNING for s in steps)


def test_the_table_names_every_state():
    assert set(TRANSITIONS) == set(State)


@given(_STATES)
def test_staying_the_same_is_allowed(state):
    assert may_become(state, state)


@given(_STATES)
def test_every_state_can_be_made_to_wait_and_run_again(state):
    assert may_become(state, State.WAITING)
    assert may_become(state, State.RUNNING)


def test_what_is_done_does_not_fail_and_what_failed_is_not_done_without_running():
    assert not may_become(State.DONE, State.FAILED)
    assert not may_become(State.FAILED, State.DONE)
    assert not may_become(State.CANCELLED, State.DONE)

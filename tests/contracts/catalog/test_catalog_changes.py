"""The lines of `changes`, and that whatever is done to an item leaves its stored state true."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_pipeline.catalog.events import PRUNED
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.errors import LeaseLost, StoreError
from nexus_pipeline.domain.states import TRANSITIONS, State, StepStatus, item_state


def test_lines_follow_a_cursor_of_all_or_of_one_item(catalog, add):
    a, b = add(), add()
    catalog.edit(a.id, title="x")
    first, second, third = catalog.changes(0)
    assert [first.item_id, second.item_id, third.item_id] == [a.id, b.id, a.id]
    assert first.id < second.id < third.id
    assert catalog.changes(first.id, limit=1) == [second]
    assert catalog.changes(0, item_id=a.id) == [first, third]
    assert catalog.changes(third.id) == []
    assert abs(first.at - datetime.now(UTC)) < timedelta(minutes=1)


def test_lines_are_their_items_owners_also_when_it_is_erased(catalog, add):
    hers, his = add(owner="ann"), add(owner="bob")
    catalog.edit(hers.id, title="x")
    catalog.bury(hers.id)
    catalog.forget(hers.id)
    assert [(c.item_id, c.state, c.owner) for c in catalog.changes(0, owner="ann")] == [(hers.id, "erased", "ann")]
    assert [c.item_id for c in catalog.changes(0, owner="bob")] == [his.id]
    assert catalog.changes(0, item_id=his.id, owner="ann") == []
    assert [c.state for c in catalog.changes(0, until=2)] == ["new"]


def test_a_window_that_was_heard_is_a_line_of_its_own(catalog, add, run):
    item = run.take(add())
    catalog.begin(item, "transcript", run.id, run.id)
    start = catalog.changes_span()[1]
    catalog.advance(item, "transcript", run.id, 0.01, heard=0)
    catalog.advance(item, "transcript", run.id, 0.05, heard=3)
    catalog.advance(item, "transcript", run.id, 0.06)
    lines = [(c.kind, c.step, c.phase, c.progress) for c in catalog.changes(start)]
    assert lines == [
        ("segments", "transcript", "0", 0.01),
        ("step", "transcript", None, 0.05),
        ("segments", "transcript", "3", 0.05),
    ]
    assert catalog.get(item.id).step("transcript").phase is None


def test_the_span_of_lines_is_known_also_when_all_were_pruned(catalog, add, age):
    assert catalog.changes_span() == (0, 0)
    add(), add()
    assert catalog.changes_span() == (0, 2)
    age("changes", "at", 100)
    catalog.prune_changes(datetime.now(UTC) - timedelta(seconds=50))
    assert catalog.changes_span() == (2, 2)
    add()
    assert catalog.changes_span() == (2, 3)


def test_pruned_ids_never_come_again_and_it_is_told_how_far_was_pruned(catalog, add, age):
    add(), add()
    before = catalog.changes(0)
    age("changes", "at", 100)
    assert catalog.prune_changes(datetime.now(UTC) - timedelta(seconds=50)) == 2
    assert catalog.changes(0) == []
    assert catalog.pointer(PRUNED) == str(before[-1].id)
    add()
    (line,) = catalog.changes(0)
    assert line.id > before[-1].id
    assert catalog.prune_changes(datetime.now(UTC) - timedelta(seconds=50)) == 0


_STEP = st.sampled_from(STEPS)
_ITEM = st.integers(0, 1)
_OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("lease"), _ITEM, st.sampled_from(["r1", "r2"])),
        st.tuples(st.just("release"), _ITEM, st.sampled_from(["r1", "r2"])),
        st.tuples(st.just("begin"), _ITEM, _STEP),
        st.tuples(st.just("advance"), _ITEM, _STEP),
        st.tuples(st.just("land"), _ITEM, _STEP, st.sampled_from(list(State)), st.booleans()),
        st.tuples(st.just("ask"), _ITEM, st.sampled_from(["retry", "rerun", "cancel", "unlink", "adopt"]), _STEP),
        st.tuples(st.just("requested"), _ITEM),
        st.tuples(st.just("link"), _ITEM),
        st.tuples(st.just("fingerprinted"), _ITEM),
    ),
    max_size=25,
)


def _apply(catalog, items, operation):
    what, which, *rest = operation
    item = items[which]
    match what:
        case "lease":
            catalog.lease([item.id], rest[0])
        case "release":
            catalog.release(rest[0], [item.id])
        case "begin":
            catalog.begin(item, rest[0], "r1", "r1")
        case "advance":
            catalog.advance(item, rest[0], "r1", 0.5)
        case "land":
            at = datetime.now(UTC) if rest[2] else None
            catalog.land(item, StepStatus(rest[0], rest[1], run_id="r1", next_attempt_at=at))
        case "ask":
            catalog.ask(rest[0], [item.id], from_step=rest[1])
        case "requested":
            catalog.requested([item.id])
        case "link":
            catalog.link(item, items[1 - which].id)
        case "fingerprinted":
            catalog.fingerprinted(item, "d", [1, 2])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=_OPERATIONS)
def test_no_sequence_of_operations_leaves_the_table_of_states(catalog, sql, add, operations):
    items = [add(), add()]
    last = catalog.changes(0, limit=100_000)[-1].id
    states = {(i.id, s.step): s.state for i in items for s in i.steps}
    for operation in operations:
        try:
            _apply(catalog, items, operation)
        except LeaseLost:
            continue
        except StoreError as error:
            assert "cannot become" in str(error) or "does not run" in str(error)  # noqa: PT017  the state is looked at next
        for item in (catalog.get(i.id) for i in items):
            stored = sql(f"SELECT state FROM items WHERE id = '{item.id}'")
            assert stored == item_state(item.steps, duplicate=item.duplicate_of is not None)
    for line in catalog.changes(last, limit=100_000):
        if line.kind == "step":
            old, new = states[line.item_id, line.step], State(line.state)
            assert new == old or new in TRANSITIONS[old], (line.step, old, new)
            states[line.item_id, line.step] = new
    assert states == {(i.id, s.step): s.state for i in map(catalog.get, (i.id for i in items)) for s in i.steps}


@pytest.mark.parametrize("naive", [datetime(2026, 1, 1)])  # noqa: DTZ001  that is what is refused
def test_an_instant_without_a_zone_is_refused_without_a_word_of_the_item(catalog, add, run, naive):
    item = run.take(add())
    with pytest.raises(StoreError, match="TypeError") as refused:
        run.land(item, "raw", facts={"published_at": naive, "author": "Secret"})
    assert "Secret" not in str(refused.value)

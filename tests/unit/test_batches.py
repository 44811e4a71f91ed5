"""How the sensor cuts batches and chooses lanes: pure."""

from datetime import UTC, datetime

from nexus_pipeline.batches import FEW, cut, in_order, lane_for, runs_for
from nexus_pipeline.domain.items import Item, Lane, Priority
from nexus_pipeline.lanes import LARGE_BYTES, LONG_S, lane_of, leaves_lane

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def item(n, **fields):
    return Item(f"id{n:04d}", "local", 1, f"t{n}", "inbox", "none", f"inbox:{n}", NOW, NOW, **fields)


def test_batches_are_cut_by_number():
    assert [len(b) for b in cut([item(n, duration_s=1.0) for n in range(150)], 64)] == [64, 64, 22]


def test_batches_are_cut_by_work_so_that_a_long_item_holds_nobody_up():
    items = [item(0, duration_s=7200.0), *(item(n, duration_s=600.0) for n in range(1, 8))]
    assert [len(b) for b in cut(items, 64)] == [1, 3, 3, 1]


def test_an_item_of_unknown_length_counts_ten_minutes_and_a_small_file_less():
    assert [len(b) for b in cut([item(n) for n in range(7)], 64)] == [3, 3, 1]
    assert [len(b) for b in cut([item(n, bytes=480_000) for n in range(60)], 64)] == [30, 30]


def test_what_a_person_has_just_given_goes_before_folders():
    assert lane_for(item(0), 1) is Lane.NOW
    assert lane_for(item(0), FEW + 1) is Lane.BULK
    assert lane_for(item(0, priority=Priority.LOW), 1) is Lane.BULK
    assert lane_for(item(0, priority=Priority.HIGH), 1000) is Lane.NOW


def test_what_is_long_goes_to_the_bulk_lane_and_first_there():
    long, short = item(0, duration_s=LONG_S + 1), item(1, duration_s=LONG_S)
    assert [lane_for(long, 2), lane_for(short, 2)] == [Lane.BULK, Lane.NOW]
    assert lane_for(item(2, bytes=LARGE_BYTES + 1), 1) is Lane.BULK
    now, bulk = runs_for([long, short], 64, "inbox")
    assert [now.tags["nexus/lane"], bulk.tags["nexus/lane"]] == ["now", "bulk"]
    assert "dagster/priority" not in now.tags
    assert bulk.tags["dagster/priority"] == "1"
    folder = [item(n, duration_s=LONG_S + 1) for n in range(FEW + 1)]
    assert not any("dagster/priority" in run.tags for run in runs_for(folder, 64, "inbox"))


def test_an_item_that_proves_long_leaves_the_lane_now_unless_a_person_launched_it():
    asked = {"nexus/lane": "now", "dagster/sensor_name": "inbox"}
    assert leaves_lane(asked, item(0, duration_s=LONG_S + 1))
    assert not leaves_lane(asked, item(0, duration_s=LONG_S))
    assert not leaves_lane(asked, item(0, duration_s=LONG_S + 1, priority=Priority.HIGH))
    assert not leaves_lane(asked | {"nexus/lane": "bulk"}, item(0, duration_s=LONG_S + 1))
    assert not leaves_lane({"dagster/partition": "id0000"}, item(0, duration_s=LONG_S + 1))


def test_a_run_names_exactly_its_items_and_the_range_that_holds_them():
    items = in_order([item(n, duration_s=60.0) for n in range(40)])
    requests = runs_for(items, 64, "inbox")
    told = [r.run_config["ops"]["chain"]["config"]["items"] for r in requests]
    assert [i for ids in told for i in ids] == [i.id for i in items]
    for request, ids in zip(requests, told, strict=True):
        assert request.tags["dagster/asset_partition_range_start"] == ids[0]
        assert request.tags["dagster/asset_partition_range_end"] == ids[-1]
        assert request.tags["nexus/lane"] == "bulk"
    assert len({r.run_key for r in requests}) == len(requests)


def test_a_rerun_chooses_the_steps_from_the_one_on():
    [request] = runs_for([item(1)], 64, "asks", first="enrichment", force=True)
    assert [k.to_user_string() for k in request.asset_selection] == ["enrichment", "embedding"]
    assert request.run_config["ops"]["chain"]["config"]["force"]


def test_runs_of_people_have_lanes_too():
    assert lane_of({"dagster/partition": "x"}) is Lane.NOW
    assert lane_of({"dagster/partition": "x", "dagster/backfill": "b"}) is Lane.BULK
    assert lane_of({}) is Lane.BULK
    assert lane_of({"nexus/lane": "now"}) is Lane.NOW

"""Dagster's storage with kept engines: the same files and the same answers as Dagster's own."""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from sqlite3 import connect

import dagster as dg
import pytest
import yaml
from dagster._core.storage.event_log import SqliteEventLogStorage

from nexus_pipeline import dagster_storage

THREADS, LINES = 4, 25


@dg.asset(partitions_def=dg.DynamicPartitionsDefinition(name="items"))
def raw(context: dg.AssetExecutionContext) -> None:
    """Says something, and lands with a version."""
    context.log.info("hello")
    context.add_output_metadata({"words": 3})


def instance(folder, storage):
    folder.mkdir(exist_ok=True)
    logs = {"managed_python_loggers": ["nexus_pipeline"], "python_log_level": "INFO"}
    told = {"storage": storage, "telemetry": {"enabled": False}, "python_logs": logs}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(told))
    return dg.DagsterInstance.from_config(str(folder))


@pytest.fixture
def base(tmp_path):
    return {"base_dir": str(tmp_path / "storage")}


@pytest.fixture
def ours(base, tmp_path):
    told = {"module": dagster_storage.__name__, "class": "SqliteStorage", "config": base}
    with instance(tmp_path / "home", {"custom": told}) as made:
        yield made


def test_what_one_writes_the_other_reads(ours, base, tmp_path):
    ours.add_dynamic_partitions("items", ["a", "b"])
    assert dg.materialize([raw], instance=ours, partition_key="a").success
    with instance(tmp_path / "plain", {"sqlite": base}) as plain:
        assert type(plain.event_log_storage) is SqliteEventLogStorage
        assert plain.get_materialized_partitions(dg.AssetKey("raw")) == {"a"}
        assert dg.materialize([raw], instance=plain, partition_key="b").success
        [record, _] = ours.fetch_materializations(dg.AssetKey("raw"), limit=10).records
        assert record.partition_key == "b"
        assert record.asset_materialization.tags["dagster/data_version"]
        assert [len(i.get_run_records()) for i in (ours, plain)] == [2, 2]
        logs = [[e.user_message for e in i.all_logs(record.run_id)] for i in (ours, plain)]
        assert logs[0] == logs[1]
        assert "hello" in logs[0]


def test_an_engine_is_kept_for_each_file_and_a_connection_for_none(ours):
    ours.add_dynamic_partitions("items", ["a"])
    dagster_storage.engine.cache_clear()
    for _ in range(3):
        assert dg.materialize([raw], instance=ours, partition_key="a").success
    assert dagster_storage.engine.cache_info().misses == 3 + 2  # each run's, the index's and that of the runs
    assert dagster_storage.engine.cache_info().maxsize == dagster_storage.KEPT
    path = ours.event_log_storage.path_for_shard("index")
    with closing(connect(path, isolation_level=None, timeout=0)) as alone:
        alone.execute("BEGIN EXCLUSIVE")
        alone.execute("ROLLBACK")


def test_lines_of_several_threads_are_all_stored(ours):
    """As the steps' pools log beside the run's own thread."""

    def say(n):
        for k in range(LINES):
            logging.getLogger("nexus_pipeline.said").info("line %d of %d", k, n)

    @dg.asset
    def many(context: dg.AssetExecutionContext) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(say, range(THREADS)))

    done = dg.materialize([many], instance=ours)
    told = [e.user_message for e in ours.all_logs(done.run_id)]
    assert sorted(line for line in told if line.startswith("line ")) == sorted(
        f"line {k} of {n}" for n in range(THREADS) for k in range(LINES)
    )

"""A run's own lines in a worker's log: each once, although Dagster writes what it captures once more."""

import json
import os
import subprocess
import sys

PROGRAM = """
import logging
import dagster as dg
from dagster._utils.log import configure_loggers

log = logging.getLogger("nexus_pipeline.turns")

@dg.op
def chain(context):
    log.info("landed item_id=%s seconds=%.1f", "abc2", 1.5)
    context.log.info("told by Dagster")

@dg.op
def bad():
    raise ValueError("it broke")

@dg.job
def both():
    chain()
    bad()

# as its webserver and its daemon do when they start
configure_loggers(formatter="colored")
logging.getLogger("dagster-webserver").info("served")
log.info("before the run")
with dg.DagsterInstance.get() as instance:
    both.execute_in_process(instance=instance, raise_on_error=False)
log.info("after the run")
"""
INSTANCE = (
    "python_logs: {managed_python_loggers: [nexus_pipeline], python_log_level: INFO}\ntelemetry: {enabled: false}\n"
)


def test_each_line_stands_once_and_failures_are_told(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "dagster.yaml").write_text(INSTANCE)
    env = {**os.environ, "NEXUS_LOG": "json", "NEXUS_HOME": str(tmp_path), "DAGSTER_HOME": str(tmp_path)}
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), *sys.path])
    argv = [sys.executable, "-m", "nexus_pipeline.logged", "program"]
    done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stderr.splitlines()]
    ours = [(one["message"], one["facts"]) for one in told if one["logger"] == "nexus_pipeline.turns"]
    assert ours == [
        ("before the run", {}),
        ("landed item_id=abc2 seconds=1.5", {"item_id": "abc2", "seconds": 1.5}),
        ("after the run", {}),
    ]
    theirs = [one for one in told if one["logger"] == "dagster"]
    assert sum("told by Dagster" in one["message"] for one in theirs) == 1
    [failed] = [one for one in theirs if "STEP_FAILURE" in one["message"]]
    assert failed["level"] == "ERROR"
    assert failed["facts"]["step_key"] == "bad"
    assert len(failed["facts"]["run_id"]) == 36
    assert [one["message"] for one in told if one["logger"] == "dagster-webserver"] == ["served"]
    assert done.stdout == ""
    assert sum("abc2" in one["message"] for one in told) == 1

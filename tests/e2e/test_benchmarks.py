"""The benchmark that runs the chain still does: what steps tell and ask changes, and its bare loop must follow."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_bare_loop_and_the_chain_do_the_same_two_items():
    command = [sys.executable, "-m", "bench.overhead", "1", "2", "--rounds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert [row["items"] for row in told["rows"]] == [1, 2]
    assert all(row["bare_cpu_s"] > 0 for row in told["rows"])

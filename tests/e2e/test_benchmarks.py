"""Benchmarks that follow what others change, run small: the chain's, whose bare loop does the same, and the API's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_bare_loop_and_the_chain_do_the_same_two_items():
    command = [sys.executable, "-m", "bench.overhead", "1", "2", "--rounds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert [row["items"] for row in told["rows"]] == [1, 2]
    assert all(row["bare_cpu_s"] > 0 for row in told["rows"])


@pytest.mark.soak
def test_every_stream_is_told_every_change_beside_searches():
    small = ("--passages", "1000", "--streams", "20", "--seconds", "6", "--rate", "3")
    command = [sys.executable, "-m", "bench.api", *small]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["streams_right"], told["streams_resumed"], told["failed"]) == (20, 0, {})
    assert told["changes"] > 60
    assert told["searches"] > 5
    assert told["cores"]["clients"] > 0

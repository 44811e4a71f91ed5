"""The supervisor: what it runs is ready in order, comes back when it dies, and ends in time; nothing is ever left."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from nexus_api import lock, programs
from nexus_api.child import Program
from nexus_api.child_log import KEPT, ChildLog
from nexus_api.dagster_home import LANES, DagsterHome
from nexus_api.supervisor import GaveUp, Patience, Supervisor
from nexus_pipeline.domain.items import Lane

QUICK = Patience(tick_s=0.02, look_s=0.05, grace_s=1.0, ready_s=5.0, settled_s=60.0, first_pause_s=0.02)
SLEEPER = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)
PARENT_OF_ONE = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); sys.stdin.read(); {}"


def python(name, code, **facts):
    return Program(name, (sys.executable, "-S", "-c", textwrap.dedent(code)), **facts)


def supervised(folder, *some, say=lambda _text: None, patience=QUICK):
    return Supervisor(some, folder, dict(os.environ), say=say, patience=patience)


def end_soon():
    """What Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGTERM)


def until(look, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


_before = set()


@pytest.fixture(autouse=True)
def _servers_of_other_tests():
    """What this process started before the test, PostgreSQL say, is not the supervisor's."""
    _before.clear()
    _before.update(child.pid for child in psutil.Process().children())


def children():
    mine = [child for child in psutil.Process().children() if child.pid not in _before]
    below = [child for one in mine for child in (one, *one.children(recursive=True))]
    return [child for child in below if child.status() != psutil.STATUS_ZOMBIE]


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_all_are_ended_when_it_is_told_to_end(tmp_path):
    began = time.monotonic()
    supervised(tmp_path, python("a", SLEEPER), python("b", SLEEPER)).run(on_ready=end_soon)
    assert time.monotonic() - began < 5
    assert not children()


def test_a_program_that_does_not_listen_is_killed_after_the_grace(tmp_path):
    deaf = python("deaf", STUBBORN, ready=lambda: "deaf" in ChildLog(tmp_path, "deaf").tail())
    began = time.monotonic()
    supervised(tmp_path, deaf).run(on_ready=end_soon)
    assert 1.0 <= time.monotonic() - began < 5
    assert not children()


def test_a_program_that_holds_nothing_is_killed_after_its_own_grace(tmp_path):
    deaf = python("deaf", STUBBORN, ready=lambda: "deaf" in ChildLog(tmp_path, "deaf").tail(), grace_s=0.2)
    began = time.monotonic()
    supervised(tmp_path, deaf, patience=replace(QUICK, grace_s=60)).run(on_ready=end_soon)
    assert time.monotonic() - began < 10
    assert not children()


def test_a_second_signal_ends_without_the_grace(tmp_path):
    again = threading.Timer(0.5, end_soon)

    def impatient():
        again.start()
        end_soon()

    deaf = python("deaf", STUBBORN, ready=lambda: "deaf" in ChildLog(tmp_path, "deaf").tail())
    began = time.monotonic()
    supervised(tmp_path, deaf, patience=replace(QUICK, grace_s=60)).run(on_ready=impatient)
    again.join()
    assert time.monotonic() - began < 10
    assert not children()


def test_what_a_program_started_itself_ends_with_it(tmp_path):
    parent = python("parent", PARENT_OF_ONE.format("import time; time.sleep(60)"))
    log = ChildLog(tmp_path, "parent")
    parent = Program(parent.name, parent.argv, ready=lambda: log.tail().strip().isdigit())
    supervised(tmp_path, parent).run(on_ready=end_soon)
    until(lambda: gone(int(log.tail())))


def test_what_a_dead_program_left_running_is_ended(tmp_path):
    orphaner = python("orphaner", PARENT_OF_ONE.format("sys.exit(1)"))
    with pytest.raises(GaveUp):
        supervised(tmp_path, orphaner).run()
    left = [int(line) for line in ChildLog(tmp_path, "orphaner").tail().splitlines()]
    assert len(left) == QUICK.quick_deaths
    until(lambda: all(map(gone, left)))


def test_a_program_starts_only_when_those_before_it_are_ready(tmp_path):
    mark = tmp_path / "mark"
    first = python("first", f"import time; time.sleep(.3); open({str(mark)!r}, 'w'); time.sleep(60)", ready=mark.exists)
    second = python("second", f"import os, time; print(os.path.exists({str(mark)!r}), flush=True); time.sleep(60)")
    second = Program("second", second.argv, lambda: bool(ChildLog(tmp_path, "second").tail()), after=("first",))
    supervised(tmp_path, first, second).run(on_ready=end_soon)
    assert ChildLog(tmp_path, "second").tail() == "True"


def test_a_program_that_dies_is_started_again_and_one_is_told(tmp_path):
    counted, told = tmp_path / "starts", []
    code = f"""
        import sys, time
        with open({str(counted)!r}, "a") as file: file.write("x")
        if len(open({str(counted)!r}).read()) < 3: sys.exit(7)
        time.sleep(60)
    """
    program = python("frail", code, ready=lambda: counted.exists() and counted.read_text() == "xxx")
    supervised(tmp_path, program, say=told.append).run(on_ready=end_soon)
    assert len(told) == 2
    assert "frail ended with status 7; starting it again" in told[0]
    assert str(tmp_path / "frail.log") in told[0]


def test_one_that_never_stays_up_is_given_up_with_the_end_of_its_log(tmp_path):
    hopeless = python("hopeless", "print('the disk is on fire'); raise SystemExit(3)")
    with pytest.raises(GaveUp, match=r"(?s)hopeless ended with status 3, 5 times in a row.*the disk is on fire"):
        supervised(tmp_path, hopeless, python("other", SLEEPER)).run()
    assert not children()


def test_one_that_never_becomes_ready_is_given_up(tmp_path):
    with pytest.raises(GaveUp, match="shy is not ready after 0 s"):
        supervised(
            tmp_path,
            python("shy", SLEEPER, ready=lambda: False),
            patience=Patience(tick_s=0.02, look_s=0.05, ready_s=0.2),
        ).run()
    assert not children()


def test_a_program_that_is_not_there_is_named(tmp_path):
    with pytest.raises(GaveUp, match="ghost cannot be started"):
        supervised(tmp_path, python("other", SLEEPER), Program("ghost", (str(tmp_path / "ghost"),))).run()
    assert not children()


def test_no_process_is_left_when_it_is_killed(tmp_path):
    code = f"""
        import os, sys, pathlib
        sys.path.insert(0, {str(Path.cwd())!r})
        from nexus_api.child import Program
        from nexus_api.supervisor import Supervisor
        programs = [Program(n, (sys.executable, "-S", "-c", {STUBBORN!r})) for n in "ab"]
        supervisor = Supervisor(programs, pathlib.Path({str(tmp_path)!r}), dict(os.environ), say=print)
        supervisor.run(lambda: print("ready", flush=True))
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "ready\n"
        pids = [child.pid for child in psutil.Process(parent.pid).children()]
        parent.kill()
    assert len(pids) == 2
    until(lambda: all(map(gone, pids)))


def test_errors_in_a_log_are_told_and_nothing_else(tmp_path):
    told = []
    code = r"print('fine: no Errors'); print('21:00 \x1b[31mERROR\x1b[0m no space', flush=True); " + SLEEPER
    program = python("talker", code, ready=lambda: bool(told))
    supervised(tmp_path, program, say=told.append).run(on_ready=end_soon)
    assert told == ["talker: 21:00 ERROR no space"]


def test_logs_of_earlier_starts_are_numbered_and_the_oldest_goes(tmp_path):
    log = ChildLog(tmp_path, "a")
    for n in range(KEPT + 3):
        log.rotate()
        log.path.write_text(str(n))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2", "a.log.3"]
    assert (tmp_path / "a.log.1").read_text() == str(KEPT + 1)


def test_a_log_that_grows_too_large_is_cut_while_it_is_written(tmp_path):
    log = ChildLog(tmp_path, "a", limit_bytes=100)
    with log.open() as file:
        file.write(b"x" * 200)
        file.flush()
        log.bound()
        file.write(b"ERROR after\n")
    assert (tmp_path / "a.log.1").stat().st_size == 200
    assert log.path.read_bytes() == b"ERROR after\n"
    assert log.wrong() == ["ERROR after"]


def test_two_do_not_run_over_one_home(tmp_path):
    assert lock.holder(tmp_path) is None
    with lock.held(tmp_path):
        assert lock.holder(tmp_path) == os.getpid()
        with pytest.raises(lock.AlreadyRunning, match=rf"already running.*process {os.getpid()}"), lock.held(tmp_path):
            pass
    assert lock.holder(tmp_path) is None


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = (
        f"import pathlib, time\nfrom nexus_api import lock\nwith lock.held(pathlib.Path({str(tmp_path)!r})):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert lock.holder(tmp_path) == holder.pid
        holder.kill()
    with lock.held(tmp_path):
        assert lock.holder(tmp_path) == os.getpid()


def test_there_is_a_worker_for_each_lane():
    assert set(LANES) == set(Lane)
    home = DagsterHome(Path("/x"))
    named = [program.name for program in programs.programs(home, 4000, 3000, "127.0.0.1", 8000)]
    assert named == ["code", "worker-now", "worker-bulk", "dagster", "daemon", "api"]


def test_a_taken_port_is_named_with_the_way_out():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(programs.PortTaken, match=rf"port {port} .*--dagster-port"):
            programs.check_free(port, "--dagster-port")
    programs.check_free(port, "--dagster-port")

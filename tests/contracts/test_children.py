"""Child processes: bounded, without our secrets, and gone when nobody listens to them any more."""

import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from nexus_pipeline import children
from nexus_pipeline.children import Bounds, ChildFailed
from nexus_pipeline.domain.errors import EngineFailed, EngineKilled, TooLarge
from nexus_pipeline.engines.ffmpeg import FFmpeg
from tests.contracts.media_parts import make

BOUNDS = Bounds(wall_s=20, cpu_s=10, file_bytes=1 << 20, memory_bytes=1 << 30)


def python(code: str, bounds: Bounds = BOUNDS, **told) -> bytes:
    return children.run([sys.executable, "-Ic", code], bounds, **told)


def test_a_child_is_bounded_in_time_cpu_memory_and_files(tmp_path: Path) -> None:
    with pytest.raises(EngineKilled, match="time limit"):
        python("import time; time.sleep(60)", Bounds(0.5, 10, 1 << 20))
    with pytest.raises(EngineFailed, match="computing"):
        python("while True: pass", Bounds(20, 0.5, 1 << 20))
    with pytest.raises(ChildFailed, match="MemoryError"):
        python("bytearray(2 << 30)")
    # Python ignores the signal and says so itself; ffmpeg dies of it
    with pytest.raises(ChildFailed, match="File too large"):
        python(f"open({str(tmp_path / 'f')!r}, 'wb').write(bytes(2 << 20))")
    noise = make(tmp_path / "n.ogg", "-f", "lavfi", "-i", "anoisesrc=d=20", "-b:a", "64k")
    small = FFmpeg(max_duration_s=99, max_bytes=300_000)
    facts = small.probe(noise)
    with pytest.raises(TooLarge):
        small.speech(noise, tmp_path / "n.flac", facts, lambda _: None, lambda: False)
    with pytest.raises(TooLarge):
        python("print('x' * 10_000_000)", at_most=1000)


def test_what_a_child_says_last_is_kept_without_paths() -> None:
    with pytest.raises(ChildFailed) as failed:
        python(
            "import sys; print('x' * 100_000, file=sys.stderr); sys.exit('no such file: /home/anna/talk.mp3, sorry')"
        )
    assert failed.value.said.endswith("no such file: (file), sorry")
    assert len(failed.value.said) <= 400


def test_a_child_knows_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_GEMINI_API_KEY", "secret")
    assert python("import os; print(sorted(os.environ))").decode().strip() == "['LC_ALL', 'PATH']"


def test_closing_the_output_ends_the_child_and_its_children() -> None:
    code = (
        "import subprocess,os; c = subprocess.Popen(['sleep', '60']); print(os.getpid(), c.pid, flush=True); c.wait()"
    )
    chunks = children.output([sys.executable, "-Ic", code], BOUNDS)
    pids = [int(p) for p in next(chunks).split()]
    chunks.close()
    assert _all_gone(pids)


def test_children_die_with_their_parent_and_outlive_the_thread_that_asked(tmp_path: Path) -> None:
    code = f"""
import sys, threading, time, os
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from nexus_pipeline import children
chunks = children.output([sys.executable, "-Ic", "import os,time; print(os.getpid(), flush=True); time.sleep(60)"],
                         children.Bounds(60, 60, 1 << 20))
pids = []
t = threading.Thread(target=lambda: pids.append(next(chunks))); t.start(); t.join()
time.sleep(0.3)
os.kill(int(pids[0]), 0)
print(pids[0].decode(), flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
        parent.wait()
    assert _all_gone([pid])


def _all_gone(pids: list[int]) -> bool:
    for _ in range(100):
        if not any(_alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_lines_are_whole_however_they_come() -> None:
    text = b"a=1\nbb=22\n\nccc"
    for size in range(1, len(text)):
        chunks = iter([text[i:j] for i, j in pairwise([*range(0, len(text), size), len(text)])])
        assert list(children.lines(chunks)) == [b"a=1", b"bb=22", b"", b"ccc"]

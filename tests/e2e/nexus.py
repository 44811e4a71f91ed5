"""`nexus up` as a process in a home and on ports of its own; what its stores say, and that it leaves nothing.

Every wait is bounded and, when it is over, tells where the items stand and what the logs say last.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from nexus_api.local import Local
from nexus_api.programs import free_port
from nexus_pipeline.chain import ITEMS
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.states import ItemState
from nexus_pipeline.settings import Settings
from nexus_pipeline.upkeep import all_items
from tests.speech import MODELS, SPEECH

ROOT = Path(__file__).parents[2]
READY_S = 120.0
END_S = 10.0
"""All must have ended so long after SIGTERM (the issue's bar)."""
ENDED = frozenset(ItemState) - {ItemState.WAITING, ItemState.RUNNING}

LAUNCH = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
BACKFILL = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status assetBackfillData { assetBackfillStatuses {
  ... on AssetPartitionsStatusCounts { assetKey { path } numPartitionsTargeted numPartitionsMaterialized
  numPartitionsFailed numPartitionsInProgress } } } } } }"""
TERMINATE = """mutation($id: String!) { terminateRun(runId: $id, terminatePolicy: SAFE_TERMINATE) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }"""
JOB = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on RunConfigValidationInvalid { errors { message } }
  ... on PythonError { message } } }"""


class Nexus:
    """A home and the processes that serve it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Starts nothing yet. `settings` are NEXUS_* ones beside the usual small models."""
        self.home = folder / "home"
        self.log = folder / "up.log"
        self.port, self.dagster_port = free_port(), free_port()
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("NEXUS_", "DAGSTER_"))}
        told = {"NEXUS_HOME": str(self.home), "NEXUS_SPEECH": SPEECH, "NEXUS_MODELS": str(MODELS), **settings}
        self.environment = clean | told
        self.local = Local(Settings(home=self.home, speech=SPEECH, models=MODELS, _env_file=None))
        self.parts = self.local.parts
        self.inbox = self.home / "blobs" / "inbox"
        self.up: subprocess.Popen[bytes] | None = None
        self._instance: dg.DagsterInstance | None = None

    # ---------------------------------------------------------------- its life

    def start(self) -> "Nexus":
        """Until it says `ready`."""
        ports = ("--port", str(self.port), "--dagster-port", str(self.dagster_port))
        with self.log.open("wb") as log:
            self.up = subprocess.Popen(
                self._nexus("up", *ports),
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.until("ready", lambda: "\nready" in self.log.read_text(), READY_S)
        return self

    def end(self) -> float:
        """SIGTERM; how many seconds it took until no process was left. Fails past 10 s."""
        assert self.up is not None
        mine, began = self.processes(), time.monotonic()
        self.up.send_signal(signal.SIGTERM)
        try:
            status = self.up.wait(END_S)
        except subprocess.TimeoutExpired:
            self.up.kill()
            self.up.wait()
            raise AssertionError(f"it has not ended {END_S:.0f} s after SIGTERM\n{self.told()}") from None
        took = time.monotonic() - began
        assert status == 0, f"it ended with status {status}\n{self.told()}"
        self.up = None
        left = [p for p in {*mine, *self.processes()} if running(p)]
        assert not left, f"left behind: {[named(p) for p in left]}"
        return took

    def kill(self) -> None:
        """SIGKILL for `nexus up` itself; every child must die with it."""
        assert self.up is not None
        mine = self.processes()
        self.up.kill()
        self.up.wait()
        self.up = None
        _, left = psutil.wait_procs(mine, timeout=5)
        left = [p for p in {*left, *self.processes()} if running(p)]
        assert not left, f"they outlived it: {[named(p) for p in left]}"

    def close(self) -> None:
        """However a test ended: nothing of it lives on."""
        mine = self.processes()
        if self.up is not None:
            self.up.kill()
            self.up.wait()
        for process in mine:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self._instance is not None:
            self._instance.dispose()

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this home: whoever has it in the environment, and what they have started."""
        found = {p for p in psutil.process_iter() if p.pid != os.getpid() and self._ours(p)}
        for process in tuple(found):
            with suppress(psutil.NoSuchProcess):
                found.update(process.children(recursive=True))
        return sorted(found, key=lambda p: p.pid)

    def _ours(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return process.environ().get("NEXUS_HOME") == str(self.home)
        return False

    def worker(self, lane: str) -> psutil.Process:
        """The lane's warm worker, once it is there and takes runs."""
        return self.until(f"worker {lane}", lambda: self._worker(lane), 60)

    def _worker(self, lane: str) -> psutil.Process | None:
        wanted = ["-m", "nexus_pipeline.worker", lane]
        for process in self.processes():
            with suppress(psutil.Error):
                if process.cmdline()[-3:] == wanted and running(process):
                    return process
        return None

    # ---------------------------------------------------------------- asking it

    @staticmethod
    def _nexus(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "nexus_api.cli", *arguments]

    def nexus(self, *arguments: object, code: int = 0) -> str:
        """One command of the command line as a process; its stdout."""
        argv = self._nexus(*map(str, arguments))
        done = subprocess.run(
            argv, env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, f"{argv[3:]} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def document(self, *arguments: object) -> Any:
        """The same with --json."""
        return json.loads(self.nexus(*arguments, "--json"))

    def found(self, words: str, mode: str = "hybrid") -> list[dict[str, Any]]:
        """Hits of a search in this process, as the command line makes it."""
        return self.local.search(words, mode=mode, limit=10, filters={})["hits"]

    def items(self) -> list[Item]:
        """All of the catalog, newest first."""
        return list(all_items(self.parts))

    def named(self, *filenames: str) -> list[Item]:
        """Items by the names of their files, in this order; fewer when they are not there yet."""
        there = {item.filename: item for item in self.items()}
        return [there[name] for name in filenames if name in there]

    def states(self, items: Iterable[Item]) -> dict[str, str]:
        """Of the items as they are now, by id."""
        return {i: x.state.value for i, x in self.parts.catalog.find([item.id for item in items]).items()}

    def now(self, item: Item) -> Item:
        """As the catalog has it."""
        return self.parts.catalog.get(item.id)

    # ---------------------------------------------------------------- Dagster

    @property
    def dagster(self) -> dg.DagsterInstance:
        """Over the same storage."""
        if self._instance is None:
            self._instance = dg.DagsterInstance.from_config(str(self.home / "dagster"))
        return self._instance

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask the webserver, as the UI does."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        url = f"http://127.0.0.1:{self.dagster_port}/graphql"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            told = json.loads(answer.read())
        assert "errors" not in told, told["errors"]
        return told["data"]

    def backfill(self, items: Sequence[Item], steps: Sequence[str] = STEPS) -> str:
        """Launched as the UI launches it; its id."""
        params = {"assetSelection": [{"path": [s]} for s in steps], "partitionNames": [item.id for item in items]}
        return self.graphql(LAUNCH, params=params)["launchPartitionBackfill"]["backfillId"]

    def backfill_told(self, backfill: str) -> dict[str, Any]:
        """Its status and counts by asset."""
        return self.graphql(BACKFILL, id=backfill)["partitionBackfillOrError"]

    def launch(self, job: str, config: dict[str, Any]) -> str:
        """A job launched from the launchpad; the run's id."""
        where = {"repositoryLocationName": "nexus", "repositoryName": "__repository__", "jobName": job}
        told = self.graphql(JOB, params={"selector": where, "runConfigData": json.dumps(config)})["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told
        return told["run"]["runId"]

    def terminate(self, run_id: str) -> None:
        """The UI's Terminate."""
        told = self.graphql(TERMINATE, id=run_id)["terminateRun"]
        assert told["__typename"] == "TerminateRunSuccess", told

    def runs(self, **filters: Any) -> Sequence[dg.DagsterRun]:
        """Runs, newest first."""
        return self.dagster.get_runs(dg.RunsFilter(**filters))

    def statuses(self, items: Sequence[Item]) -> dict[str, list[str | None]]:
        """Dagster's own partition status of each item, in the order of the steps."""
        ids = [item.id for item in items]
        told = [self.dagster.get_status_by_partition(dg.AssetKey(step), ids, ITEMS) or {} for step in STEPS]
        return {i: [getattr(status.get(i), "value", None) for status in told] for i in ids}

    # ---------------------------------------------------------------- waiting

    def until(self, what: str, met: Callable[[], Any], patience_s: float, every_s: float = 0.1) -> Any:
        """What `met` gives once it is true. On a timeout: the items' states and the ends of the logs."""
        end = time.monotonic() + patience_s
        while not (found := met()):
            dead = self.up is not None and self.up.poll() is not None
            assert not dead, f"{what}: `nexus up` has ended\n{self.told()}"
            assert time.monotonic() < end, f"{what}: not within {patience_s:.0f} s\n{self.told()}"
            time.sleep(every_s)
        return found

    def ended(self, many: int, patience_s: float) -> list[Item]:
        """So many items, none of them waiting or running any more."""

        def met() -> bool:
            counts = self.parts.catalog.counts()
            return sum(counts.values()) >= many and not (counts.get("waiting") or counts.get("running"))

        self.until(f"{many} items ended", met, patience_s)
        return self.items()

    def became(self, items: Sequence[Item], state: str, patience_s: float) -> None:
        """All of these are in the state."""
        self.until(
            f"{len(items)} items {state}", lambda: set(self.states(items).values()) == {state}, patience_s, every_s=0.2
        )

    def quiet(self, patience_s: float = 30) -> None:
        """No run is queued or under way."""
        from nexus_pipeline.lanes import UNDER_WAY

        self.until("no run under way", lambda: not self.runs(statuses=UNDER_WAY), patience_s)

    def told(self) -> str:
        """What a failed test needs to know."""
        lines = [
            f"{i.id} {i.state} {[(s.step, s.state.value, s.error_message) for s in i.steps]}" for i in self.items()
        ]
        runs = [f"{r.run_id} {r.status.value} {dict(r.tags)}" for r in self.runs()[:8]] if self._instance else []
        logs = [p for p in (self.log, *sorted((self.home / "logs").glob("*.log"))) if p.exists()]
        tails = [f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:]) for path in logs]
        return "\n".join((*lines[:30], f"({len(lines)} items)", *runs, *tails))


def running(process: psutil.Process) -> bool:
    """Whether it is still there, and not just to be buried."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def named(process: psutil.Process) -> str:
    """Its id and command."""
    with suppress(psutil.NoSuchProcess):
        return f"{process.pid} {' '.join(process.cmdline())}"
    return str(process.pid)

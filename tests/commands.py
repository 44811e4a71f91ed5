"""The command line as tests use it: run in this process on a home of their own, and items as if the chain had run."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from typer.testing import CliRunner

from nexus_api.cli import app
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.passages import passages
from nexus_pipeline.domain.states import State, StepStatus
from nexus_pipeline.domain.timeline import Coverage, Segment, Transcript
from nexus_pipeline.ports import ItemPassages

ROOT = Path(__file__).parents[1]
SAID = Transcript(
    "en",
    "faster-whisper:tiny",
    (
        Segment(0, 0.0, 4.0, "The budget for the garden is small."),
        Segment(1, 64.0, 70.0, "We will buy seven apple trees."),
    ),
    Coverage(10.0, 10.0),
)


def repeated(text, *starts_s):
    """The same sentence at each of these seconds, spoken in three."""
    return replace(SAID, segments=tuple(Segment(n, s, s + 3.0, text) for n, s in enumerate(starts_s)))


def nexus(*arguments, code=0, **more):
    told = CliRunner().invoke(app, [str(one) for one in arguments], prog_name="nexus", **more)
    assert told.exit_code == code, (told.output, told.exception)
    return told


def document(*arguments, code=0):
    """The one JSON document on stdout."""
    return json.loads(nexus(*arguments, "--json", code=code).stdout)


def added(*arguments, code=0):
    return document("add", *arguments, code=code)["items"]


def landed(parts, item, *statuses, **facts):
    parts.catalog.lease([item], "run")
    for status in statuses:
        parts.catalog.begin(parts.catalog.get(item), status.step, "run", "run")
        parts.catalog.land(parts.catalog.get(item), status, facts)
    parts.catalog.release("run")


def heard(parts, item, said=SAID):
    """As if the chain had run: a transcript that can be read and found."""
    key = parts.catalog.get(item).key("transcript", "v.json")
    parts.blobs.put(key, json.dumps({"v": 1, "state": "done", "result": asdict(said)}).encode())
    done = [StepStatus(step, State.DONE, run_id="run") for step in STEPS if step != "transcript"]
    done.insert(2, StepStatus("transcript", State.DONE, blob=key, engine=said.engine, run_id="run"))
    landed(parts, item, *done)
    found = passages(said.segments, title="A talk", words=8)
    vectors = parts.engines.embedder().embed([passage.indexed_text for passage in found])
    parts.archive.replace([ItemPassages(parts.catalog.get(item), found, vectors, language="en")])

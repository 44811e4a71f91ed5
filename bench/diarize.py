"""The shared conversations through the real chain: who speaks when, and who says which word.

Bars: a diarization error rate of 2 % (collar 0.25 s, overlaps counted), 5 % of the words with a wrong speaker.
"""

import sys
import tempfile
from pathlib import Path

from bench.der import der, names_of, wrong_words
from bench.said import MODELS, SPEECH
from bench.told import tell
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import NewItem
from nexus_pipeline.flow import Flow
from nexus_pipeline.machine import widths
from nexus_pipeline.results import speaking_of, transcript_of
from nexus_pipeline.settings import Settings
from nexus_pipeline.steps import CHAIN
from nexus_pipeline.turns import Run
from nexus_pipeline.wiring import Parts
from samples.conversations import conversations, mixed, tracks, written

DER, WORDS = 0.02, 0.05
ENGINES = ("sherpa-onnx:speaker-nano", "channels")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="nexus-diarize-") as folder:
        rows = [row for engine in ENGINES for row in measured(engine, Path(folder))]
    ours = [row for row in rows if row["engine"] == ENGINES[0]]
    bars = {
        f"DER at most {DER:.0%}": all(row["DER"] <= DER for row in ours),
        f"words with a wrong speaker at most {WORDS:.0%}": all(row["wrong words"] <= WORDS for row in ours),
    }
    tell("diarize", rows, bars)
    return 0


def measured(engine: str, folder: Path) -> list[dict[str, object]]:
    """Each conversation as an item: mixed into one channel, or a channel a speaker."""
    settings = Settings(home=folder / engine.partition(":")[0], speech=SPEECH, speakers=engine, models=MODELS)
    parts = Parts(settings.model_copy(update={"enricher": "local"}))
    given, items = conversations(), []
    for one in given.values():
        path = folder / f"{one.id}.flac"
        written(path, *(tracks(one).values() if engine == "channels" else [mixed(one)]))
        parts.inbox.put_file(path.name, path, move=True)
        items.append(NewItem("local", f"bench:{one.id}", "inbox", one.id, filename=path.name, inbox_key=path.name))
    ids = [item.id for item in parts.catalog.add(items)]
    for landed in Flow(CHAIN, parts, Run("bench", "bench", frozenset(STEPS)), widths(settings)).land(ids):
        if landed.error is not None:
            raise landed.error
    rows = []
    for one, item in zip(given.values(), (parts.catalog.get(i) for i in ids), strict=True):
        turns = [(t.start_s, t.end_s, t.speaker) for t in speaking_of(item, parts).turns]
        transcript = transcript_of(item, parts)
        said = [(word, s.speaker) for s in transcript.segments for word in s.text.split()]
        wrong, total = wrong_words(one.words(), said, names_of(one.turns, turns))
        rows.append({
            "engine": engine,
            "conversation": one.id,
            "seconds": one.duration_s,
            "speakers": f"{len({t[2] for t in turns})} of {len(one.speakers)}",
            "DER": der(one.turns, turns, one.duration_s),
            "words heard": total / len(one.words()),
            "wrong words": wrong / max(total, 1),
            "real-time factor": (item.step("speakers").seconds or 0.0) / one.duration_s,
        })  # fmt: skip
    return rows


if __name__ == "__main__":
    sys.exit(main())

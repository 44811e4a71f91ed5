"""Hours of sound an hour: the speech engine against a bare loop over WhisperModel on the same files.

The same decoding options, the better of one and two threads for the loop. Bars: CPU of one long item at most 1.05 of
the loop's (median of interleaved runs; the self-check is told apart); 40 short ones at least 1.5 times faster, with the
same text. Short is what fits into one look of the model (10 s of the small one, else 30). What does not is told beside
it: there the engine cuts at pauses and the loop wherever a look ends, be it in a word, so words differ; as many of them
must be right.
`python -m bench.speech [--rounds 5] [--model whisper-nano-en]`
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

# as `nexus up` gives its workers on two cores; read when numpy is imported, whose second thread would only spin
os.environ["OMP_NUM_THREADS"] = "1"

from faster_whisper import WhisperModel

from bench.heard import DATA, NANO, Recording, checked, heard, recording, recordings, sentences, words, wrong
from bench.said import MODELS
from bench.told import tell
from nexus_pipeline.engines import whisper_models
from nexus_pipeline.engines.faster_whisper import FasterWhisper
from nexus_pipeline.engines.whisper_hearing import BEAM

SHORT = 40
FITS, LONGER = 2, 4
"""Sentences of a recording that fits into one look of the small model, and of one that does not."""
WIDTH = 2
BATCH = 8

Texts = list[str]


class Loop:
    """Nothing but the model: silences left out by its own filter, as its README advises for long recordings."""

    def __init__(self, model: str, threads: int) -> None:
        folder = str(whisper_models.folder(model, MODELS))
        self.model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=threads)

    def hear(self, many: Sequence[Recording]) -> Texts:
        return [self._one(one) for one in many]

    def _one(self, one: Recording) -> str:
        segments, _ = self.model.transcribe(
            str(one.path),
            language="en",
            beam_size=BEAM,
            condition_on_previous_text=False,
            vad_filter=True,
            vad_parameters={"min_silence_duration_ms": 500},
        )
        return " ".join(s.text.strip() for s in segments)


class Ours:
    """The engine as the step uses it: `width` items side by side."""

    def __init__(self, model: str, batch: int) -> None:
        self.engine = FasterWhisper(model, MODELS, threads=1, width=WIDTH, words=False, batch=batch)

    def hear(self, many: Sequence[Recording]) -> Texts:
        with ThreadPoolExecutor(WIDTH) as pool:
            found = list(pool.map(lambda one: heard(self.engine, one), many))
        self.found = list(zip(many, found, strict=True))
        return [first.text for first, _ in found]

    def check(self) -> Texts:
        """The self-check of what was heard last."""
        return [checked(self.engine, one, first, voice).text for one, (first, voice) in self.found]


def timed(do: Callable[[], Texts]) -> tuple[float, float, Texts]:
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    texts = do()
    return time.process_time() - cpu, time.perf_counter() - wall, texts


def measure(what: str, many: Sequence[Recording], model: str, rounds: int) -> list[dict[str, object]]:
    """Interleaved rounds of all ways; medians."""
    ways = {
        "loop, 1 thread": Loop(model, 1),
        "loop, 2 threads": Loop(model, 2),
        "plain": Ours(model, 1),
        "batched": Ours(model, BATCH),
    }
    told: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    checks: dict[str, list[float]] = {"plain": [], "batched": []}
    texts: dict[str, Texts] = {}
    for way in ways.values():
        way.hear(many[:1] if len(many) > 1 else recordings(1, FITS))
    for n in range(rounds):
        for name, way in ways.items():
            cpu, wall, texts[name] = timed(lambda way=way: way.hear(many))
            told[name].append((cpu, wall))
            print(f"{what} round={n} {name} cpu={cpu:.2f} wall={wall:.2f}", file=sys.stderr, flush=True)
            if isinstance(way, Ours):
                checks[name].append(timed(way.check)[0])
    seconds, said = sum(one.seconds for one in many), sum(len(words(one.said)) for one in many)
    loops = [told[name] for name in ways if name.startswith("loop")]
    rows = []
    for name, runs in told.items():
        cpus, walls = [c for c, _ in runs], [w for _, w in runs]
        rows.append(
            {
                "items": what,
                "way": name,
                "hours_an_hour": seconds / statistics.median(walls),
                "cpu_s": statistics.median(cpus),
                "wall_s": statistics.median(walls),
                # of each round, the better loop of that round
                "cpu_ratio": statistics.median(c / min(loop[n][0] for loop in loops) for n, c in enumerate(cpus)),
                "times_faster": statistics.median(min(loop[n][1] for loop in loops) / w for n, w in enumerate(walls)),
                "check_cpu_s": statistics.median(checks[name]) if name in checks else None,
                "accuracy": 1 - sum(wrong(one.said, t) for one, t in zip(many, texts[name], strict=True)) / said,
                "same_text": [words(t) for t in texts[name]] == [words(t) for t in texts["loop, 1 thread"]],
            }
        )
    return rows


def main() -> None:
    """One long item, and many short ones."""
    told = argparse.ArgumentParser()
    told.add_argument("--rounds", type=int, default=5)
    told.add_argument("--model", default=NANO)
    args = told.parse_args()
    known = sentences()
    long = recording([*known, *known[::-1]], DATA / "known-long.flac")
    rows = measure("one long", [long], args.model, args.rounds)
    one_look, two_looks = f"{SHORT} of a look", f"{SHORT} of two looks"
    many = {one_look: FITS, two_looks: LONGER}
    for what, each in many.items():
        rows += measure(what, recordings(SHORT, each, seed=4), args.model, args.rounds)
    of = {(row["items"], row["way"]): row for row in rows}
    short = {what: of[what, "plain"] for what in many}
    bars = {
        "one long: CPU of plain <= 1.05": of["one long", "plain"]["cpu_ratio"] <= 1.05,
        **{f"{what}: at least 1.5 times faster": row["times_faster"] >= 1.5 for what, row in short.items()},
        f"{one_look}: the same text": short[one_look]["same_text"],
        f"{two_looks}: no fewer right words": short[two_looks]["accuracy"]
        >= of[two_looks, "loop, 1 thread"]["accuracy"],
    }
    tell("speech", rows, bars, load=os.getloadavg()[0])


if __name__ == "__main__":
    main()

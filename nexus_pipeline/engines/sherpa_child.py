"""The program in which sherpa-onnx works: a wrong model file ends its process, and only a kill stops it.

Told on stdin what to do, as JSON; it says lines of JSON: `progress` (0 to 1), `wrong` (a model that cannot be used),
`failed` (anything else) and one `piece` after the other: its turns in seconds of the item, and for each of its speakers
a voice and of how many seconds it was made.

A long recording is taken in pieces, cut where it is quietest: sherpa-onnx keeps all pairs of its windows, so that ten
hours at once would need gigabytes, and fail (samples/models/speaker-nano/README.md).
"""

import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nexus_pipeline.domain.errors import EngineFailed
from nexus_pipeline.engines.pauses import RATE
from nexus_pipeline.engines.voices import decoded

Samples = npt.NDArray[np.float32]

QUIET_S = 20.0
"""A piece may end so much earlier or later, where nobody speaks."""
SHIFT = 0.25
"""Windows of 10 s begin every 2.5 s: as good as every second, and as quick again."""
VOICE_S, STRETCH_S = 60.0, 10.0
"""A voice is made of the longest stretches in which its speaker speaks alone: so many seconds, so many of each."""
_HOP = RATE // 10
_NEEDED = {
    "segmentation": (
        "sample_rate", "window_size", "receptive_field_size", "receptive_field_shift",
        "num_speakers", "powerset_max_classes", "num_classes",
    ),
    "embedding": ("framework", "sample_rate", "output_dim", "language"),
}  # fmt: skip
"""What sherpa-onnx reads of a model's metadata; it ends the process where something is missing."""
_ALSO = {
    "wespeaker": ("normalize_samples",),
    "3d-speaker": ("normalize_samples",),
    "nemo": ("feat_dim", "window_size_ms", "window_stride_ms"),
}


class WrongModel(Exception):
    """The message says which file, and what of it."""


def main() -> int:
    """Whatever sherpa-onnx says of itself goes to stderr."""
    told = json.loads(sys.stdin.buffer.read())
    try:
        for kind in _NEEDED:
            check(Path(told[kind]), kind)
        with _translated():
            told_apart(told)
    except WrongModel as error:
        say(wrong=str(error))
    except EngineFailed as error:
        say(failed=str(error))
    return 0


def say(**line: object) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def check(model: Path, kind: str) -> None:
    """Look at a model before sherpa-onnx does. Raises WrongModel."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise WrongModel(f"{model.name} is no ONNX model, or not all of one") from error
    has: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    needed = _NEEDED[kind] + _ALSO.get(has.get("framework", ""), ())
    lacking = [name for name in needed if not has.get(name) and name != "language"]
    if lacking:
        raise WrongModel(f"{model.name} says nothing of its {', '.join(lacking)}: it is not made for sherpa-onnx")
    if kind == "embedding" and has["framework"] not in _ALSO:
        raise WrongModel(f"{model.name} is of {has['framework'][:40]}, which sherpa-onnx does not know")
    if has["sample_rate"] != str(RATE):
        raise WrongModel(f"{model.name} wants {has['sample_rate'][:10]} samples a second, not {RATE}")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise WrongModel(f"sherpa-onnx cannot use the two files together ({type(error).__name__})") from error


def told_apart(told: Mapping[str, Any]) -> None:
    """Say the pieces."""
    import sherpa_onnx as so

    embedding = so.SpeakerEmbeddingExtractorConfig(model=told["embedding"], num_threads=told["threads"])
    pyannote = so.OfflineSpeakerSegmentationPyannoteModelConfig(model=told["segmentation"], window_shift_ratio=SHIFT)
    config = so.OfflineSpeakerDiarizationConfig(
        segmentation=so.OfflineSpeakerSegmentationModelConfig(pyannote=pyannote, num_threads=told["threads"]),
        embedding=embedding,
        clustering=so.FastClusteringConfig(num_clusters=-1, threshold=told["threshold"]),
        min_duration_on=told["min_on_s"],
        min_duration_off=told["min_off_s"],
    )
    if not config.validate():
        raise WrongModel("sherpa-onnx refuses the settings")
    diarization, voices = so.OfflineSpeakerDiarization(config), so.SpeakerEmbeddingExtractor(embedding)
    length_s = max(told["duration_s"] or told["piece_s"], 1.0)
    limit_s = length_s / math.ceil(length_s / told["piece_s"])
    for start, samples in pieces(Path(told["audio"]), limit_s, length_s):
        begin = start / RATE / length_s

        def tell(done: int, total: int, begin: float = begin, share: float = len(samples) / RATE / length_s) -> int:
            say(progress=min(begin + share * done / max(total, 1), 1.0))
            return 0

        found = [(s.start, s.end, s.speaker) for s in diarization.process(samples, tell).sort_by_start_time()]
        heard = {str(one): voice(voices, samples, alone(found, one)) for one in {speaker for *_, speaker in found}}
        offset_s = start / RATE
        turns = [[round(a + offset_s, 3), round(b + offset_s, 3), str(one)] for a, b, one in found]
        say(piece={"turns": turns, "voices": heard})


def pieces(audio: Path, limit_s: float, length_s: float) -> Iterator[tuple[int, Samples]]:
    """The recording in pieces that follow each other: where each begins, and its samples, to be looked at at once."""
    limit, length = int(limit_s * RATE), int(length_s * RATE)
    slack = min(int(QUIET_S * RATE), limit // 4)
    room = np.zeros(limit + 2 * slack, dtype=np.float32)
    start, filled, due = 0, 0, limit
    for chunk in decoded(audio):
        rest = chunk
        while len(rest):
            # what is left behind the last cut is one piece, whatever the others took of it
            whole = due + slack - start if due + slack < length else len(room)
            taken = rest[: whole - filled]
            room[filled : filled + len(taken)] = taken
            filled, rest = filled + len(taken), rest[len(taken) :]
            if filled == whole:
                end = quietest(room[:filled], filled - 2 * slack)
                yield start, room[:end]
                room[: filled - end] = room[end:filled].copy()
                start, filled, due = start + end, filled - end, due + limit
    if filled:
        yield start, room[:filled]


def quietest(samples: Samples, first: int) -> int:
    """The middle of the quietest 0.3 s behind `first`, the latest of equals: a place to cut."""
    hops = len(samples[first:]) // _HOP
    energy = np.square(samples[first : first + hops * _HOP].reshape(hops, _HOP)).mean(axis=1)
    three = np.convolve(energy, np.ones(3), mode="valid")
    return first + (len(three) - 1 - int(np.argmin(three[::-1]))) * _HOP + _HOP + _HOP // 2


def alone(found: list[tuple[float, float, int]], one: int) -> list[tuple[float, float]]:
    """Where a speaker speaks and nobody else does, the longest first; where that is nowhere, all that they speak."""
    own = [(a, b) for a, b, speaker in found if speaker == one]
    others = sorted((a, b) for a, b, speaker in found if speaker != one)
    free = [stretch for turn in own for stretch in _without(turn, others)]
    return sorted(free or own, key=lambda stretch: stretch[0] - stretch[1])


def _without(turn: tuple[float, float], others: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    at, end = turn
    for a, b in others:
        if b > at and a < end:
            if a - at > 0:
                yield at, a
            at = max(at, b)
    if end > at:
        yield at, end


def voice(extractor: Any, samples: Samples, stretches: list[tuple[float, float]]) -> dict[str, Any]:
    """The mean embedding of the first of these stretches, each as much as it is long; unit length, or empty."""
    total, seconds = np.zeros(extractor.dim), 0.0
    for a, b in stretches:
        part = samples[int(a * RATE) : int(min(b, a + STRETCH_S) * RATE)]
        stream = extractor.create_stream()
        stream.accept_waveform(RATE, part)
        stream.input_finished()
        if extractor.is_ready(stream):
            one = np.asarray(extractor.compute(stream))
            norm = float(np.linalg.norm(one))
            if math.isfinite(norm) and norm > 0:
                total += one / norm * len(part)
                seconds += len(part) / RATE
        if seconds >= VOICE_S:
            break
    norm = float(np.linalg.norm(total))
    return {"vector": [round(float(x), 6) for x in total / norm] if norm else [], "seconds": round(seconds, 3)}


if __name__ == "__main__":
    sys.exit(main())

"""Tells speakers apart with sherpa-onnx: pyannote's segmentation and embeddings of voices, without torch.

The work is done in a child process (sherpa_child.py), which a wrong model file may end and a person's cancelling does.
Long recordings come back in pieces; voices of different pieces that are alike are one speaker.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nexus_pipeline import children
from nexus_pipeline.children import Bounds, ChildFailed
from nexus_pipeline.domain.errors import EngineFailed
from nexus_pipeline.domain.speaking import Speaking, Turn, joined
from nexus_pipeline.engines.site import EngineSite, Known
from nexus_pipeline.ports import Cancelled, Progress, Vectors

PIECE_S = 1800.0
"""Longer recordings are taken in pieces: half an hour takes 0.4 GB at most."""
APART = 0.5
"""Voices of two pieces, each the mean of a minute, are two speakers from this cosine distance on at the latest: the
models' own thresholds are between the farthest of single windows, which are farther.
"""
SHRED_S = 1.0
"""Whoever never speaks so long in a piece is somebody else of it with nearly the same voice: of a word alone
sherpa-onnx may make a speaker, since it asks how far apart the farthest windows of two speakers are.
"""
CHILD = "nexus_pipeline.engines.sherpa_child"
_MEMORY_BYTES = 6 << 30  # address space: of the runtime, the models and half an hour of sound
_START_S = 300.0
_SLOWEST = 2.0  # seconds of computing for a second of sound


class Tuned(BaseModel):
    """What a folder of models says of itself in its settings.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: Annotated[float, Field(gt=0, lt=2)] = 0.5
    """From this cosine distance on, two voices are two speakers. Each embedding model has its own."""
    min_on_s: Annotated[float, Field(ge=0, le=10)] = 0.3
    """A shorter turn is none."""
    min_off_s: Annotated[float, Field(ge=0, le=10)] = 0.5
    """A shorter silence does not end a turn."""


@dataclass
class _Voice:
    """One speaker of one piece, or of several that were found to be the same."""

    sum: Vectors
    pieces: set[int]
    members: list[tuple[int, str]]

    @property
    def vector(self) -> Vectors:
        norm = float(np.linalg.norm(self.sum))
        return self.sum / norm if norm else self.sum


class SherpaOnnx:
    """Each item in a child process of its own, with one thread: more bring nothing."""

    hears = "speech"

    def __init__(self, model: str, site: EngineSite, *, piece_s: float = PIECE_S) -> None:
        """Loads nothing: `model` is the name of a folder below NEXUS_MODELS."""
        self.model = model
        self.name = f"sherpa-onnx:{model}"
        self.site = site
        self.piece_s = piece_s

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:
        """Without a model: pyannote's segmentation 3.0 and an embedding, fetched when they are first needed."""
        from nexus_pipeline.engines import speaker_models

        return cls(model or speaker_models.DEFAULT, site)

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:
        """None when both models are here, else what to do."""
        from nexus_pipeline.engines import speaker_models

        name = cls.build(model, site).model
        return None if speaker_models.folder(name, site) else speaker_models.missing(name, site)

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        """Fetch them, if they are not here. Raises ModelMissing."""
        cls.build(model, site)._folder(lambda _: None, lambda: False)  # noqa: SLF001 - its own

    @classmethod
    def offers(cls, site: EngineSite) -> Mapping[str | None, Known]:
        """The models that can be fetched, and those on this machine."""
        from nexus_pipeline.engines import speaker_models

        return speaker_models.offers(site)

    @classmethod
    def lies(cls, model: str | None, site: EngineSite) -> Path | None:
        """The folder with both models, if it is on this machine."""
        from nexus_pipeline.engines import speaker_models

        return speaker_models.folder(cls.build(model, site).model, site)

    @classmethod
    def fetch(cls, model: str | None, site: EngineSite, progress: Progress, cancelled: Cancelled) -> None:
        """As `get`, and tells how far it is. Raises ModelMissing, Cancelled."""
        cls.build(model, site)._folder(progress, cancelled)  # noqa: SLF001 - its own

    def parameters(self) -> Mapping[str, str]:
        """What changes its results."""
        from nexus_pipeline.engines import speaker_models

        folder = speaker_models.folder(self.model, self.site)
        # before it is fetched a known model says the same as afterwards: nothing becomes stale by fetching
        told = speaker_models.settings(self.model)
        tuned = self._tuned(folder) if folder else Tuned.model_validate_json(told) if told else Tuned()
        return {"engine": "sherpa-onnx", "model": self.model} | {k: str(v) for k, v in tuned.model_dump().items()}

    def tell_apart(
        self,
        audio: Path,
        duration_s: float,
        channels: int,  # noqa: ARG002 - speech.flac has one
        progress: Progress,
        cancelled: Cancelled,
    ) -> Speaking:
        """Turns and voices. Raises ModelMissing, EngineFailed, EngineKilled, Cancelled."""
        from nexus_pipeline.engines.speaker_models import EMBEDDING, SEGMENTATION

        folder = self._folder(progress, cancelled)
        tuned = self._tuned(folder)
        request = {
            "audio": str(audio.absolute()),
            "segmentation": str(folder.absolute() / SEGMENTATION),
            "embedding": str(folder.absolute() / EMBEDDING),
            "duration_s": duration_s,
            "piece_s": self.piece_s,
            "threads": 1,
            **tuned.model_dump(),
        }
        pieces = self._asked(request, duration_s, progress, cancelled)
        return matched(pieces, min(tuned.threshold, APART), tuned.min_off_s, self.model)

    def _folder(self, progress: Progress, cancelled: Cancelled) -> Path:
        from nexus_pipeline.engines import speaker_models

        found = speaker_models.folder(self.model, self.site)
        return found or speaker_models.fetch(self.model, self.site, progress, cancelled)

    def _tuned(self, folder: Path) -> Tuned:
        from nexus_pipeline.engines.speaker_models import SETTINGS

        path = folder / SETTINGS
        try:
            return Tuned.model_validate_json(path.read_bytes()) if path.exists() else Tuned()
        except (ValidationError, OSError) as error:
            raise EngineFailed(
                f"{SETTINGS} of the speaker models {self.model} is not as it should be: it may say "
                f"{', '.join(Tuned.model_fields)}, each a number"
            ) from error

    def _asked(
        self, request: Mapping[str, Any], duration_s: float, progress: Progress, cancelled: Cancelled
    ) -> list[Mapping[str, Any]]:
        """Run the child; the pieces that it says."""
        cpu_s = _START_S + _SLOWEST * duration_s
        # four times the CPU: on a busy machine a child waits for its turn
        bounds = Bounds(4 * cpu_s, cpu_s, 1 << 20, _MEMORY_BYTES)
        env = {
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-s", "-m", CHILD]
        pieces = []
        told = json.dumps(request).encode()
        try:
            for line in children.lines(children.output(command, bounds, cancelled, stdin=told, env=env), 64 << 20):
                answer = json.loads(line)
                if "progress" in answer:
                    progress(answer["progress"])
                elif "piece" in answer:
                    pieces.append(answer["piece"])
                elif "failed" in answer:
                    raise EngineFailed(answer["failed"])
                else:
                    raise EngineFailed(f"the speaker models {self.model} cannot be used: {answer['wrong']}")
        except ChildFailed as error:
            raise EngineFailed(
                f"telling speakers apart with {self.name} broke down (status {error.status}); are the files in its "
                "folder those that sherpa-onnx publishes?"
            ) from error
        return pieces


def matched(pieces: Sequence[Mapping[str, Any]], threshold: float, gap_s: float, space: str) -> Speaking:
    """One recording out of its pieces: voices nearer than the threshold are one, the nearest first.

    Two speakers of one piece stay two, as whoever heard them side by side knows better; but for shreds.
    """
    found = []
    pieces = [_gathered(piece, threshold) for piece in pieces]
    for n, piece in enumerate(pieces):
        for one, told in piece["voices"].items():
            vector = np.asarray(told["vector"], np.float32) * np.float32(max(told["seconds"], 0.001))
            found.append(_Voice(vector, {n}, [(n, one)]))
    silent = [v for v in found if not v.sum.size]
    voices = _merged([v for v in found if v.sum.size], len(pieces), threshold)
    label = {member: str(i) for i, v in enumerate([*voices, *silent]) for member in v.members}
    turns = [Turn(a, b, label[n, one]) for n, piece in enumerate(pieces) for a, b, one in piece["turns"]]
    vectors = {str(i): tuple(round(float(x), 6) for x in v.vector) for i, v in enumerate(voices)}
    return Speaking(joined(turns, gap_s), vectors, space if vectors else "")


def _gathered(piece: Mapping[str, Any], threshold: float) -> Mapping[str, Any]:
    """The piece without speakers of shreds only, as far as their voice is another one's."""
    longest: dict[str, float] = {}
    for a, b, one in piece["turns"]:
        longest[one] = max(longest.get(one, 0.0), b - a)
    voices = {one: np.asarray(told["vector"]) for one, told in piece["voices"].items() if told["vector"]}
    whole = [one for one in voices if longest.get(one, 0.0) >= SHRED_S]
    whose = {}
    for one in voices.keys() - whole if whole else ():
        nearest = max(whole, key=lambda other: float(voices[one] @ voices[other]))
        if 1.0 - float(voices[one] @ voices[nearest]) < threshold:
            whose[one] = nearest
    return {
        "turns": [[a, b, whose.get(one, one)] for a, b, one in piece["turns"]],
        "voices": {one: told for one, told in piece["voices"].items() if one not in whose},
    }


def _merged(voices: list[_Voice], pieces: int, threshold: float) -> list[_Voice]:
    """Centroids merged while two of different pieces are near enough."""
    while len(voices) > 1:
        rows = np.stack([v.vector for v in voices])
        inside = np.array([[n in v.pieces for n in range(pieces)] for v in voices], np.int32)
        distance = np.where(inside @ inside.T > 0, np.inf, 1.0 - rows @ rows.T)
        i, j = sorted(int(x) for x in np.unravel_index(np.argmin(distance), distance.shape))
        if distance[i, j] >= threshold:
            break
        a, b = voices[i], voices.pop(j)
        voices[i] = _Voice(a.sum + b.sum, a.pieces | b.pieces, [*a.members, *b.members])
    return voices

"""A Whisper model that tells the language of every look, and looks at each only once for it.

faster-whisper hears for the language once a call, or (`multilingual=True`) for each look without saying which it was
and without remembering what is usual in the recording. Here it is asked for the language of each look, says it, and
stays with the usual one unless another one is likely. Telling it takes what the encoder makes of the look, which
decoding needs, too: it is kept for the moment between the two, for each thread.
"""

from collections.abc import Sequence
from threading import local
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim

CHANGES = 0.8
"""So likely must another language than the usual one be for a look to be heard in it: for a look of some words Whisper
is less sure. Chosen by what a mistake costs: a look in the wrong language is lost, and one that stays is translated."""


class Polyglot(WhisperModel):  # type: ignore[misc]  # the library has no types
    """As WhisperModel; one of English only behaves as ever."""

    def __init__(self, *told: Any, **more: Any) -> None:
        super().__init__(*told, **more)
        self._here = local()

    def stay(self, usual: str | None) -> None:
        """What this thread asks next is heard in this language unless another one is likely; None: in the likeliest."""
        self._here.usual = usual

    def tongues(self, looks: Sequence[Any]) -> list[tuple[str, float]]:
        """The language of each of several looks (sound of 16 kHz, at most 30 s), and how likely it is."""
        if not self.model.is_multilingual:
            return [("en", 1.0)] * len(looks)
        # as BatchedInferencePipeline makes them: the encoder then sees the same, and is asked once
        features = np.stack([pad_or_trim(self.feature_extractor(look)[..., :-1]) for look in looks])
        found = self.model.detect_language(self.encode(features))
        return [self._chosen([(token[2:-2], likely) for token, likely in one]) for one in found]

    def encode(self, features: Any) -> Any:
        """Once for the same look."""
        if not self.model.is_multilingual:
            return super().encode(features)
        kept = getattr(self._here, "kept", None)
        if kept is None or not np.array_equal(kept[0], features):
            kept = self._here.kept = (features, super().encode(features))
        return kept[1]

    def detect_language(self, audio: Any = None, features: Any = None, **more: Any) -> Any:
        """Language, its probability, all probabilities."""
        # decoding leaves the last frame out: with it the encoder would see another look
        looked = None if features is None else features[..., :-1]
        *_, every = super().detect_language(audio, looked, **more)
        return *self._chosen(every), every

    def _chosen(self, every: Sequence[tuple[str, float]]) -> tuple[str, float]:
        """The likeliest, or the usual one; `every` has the likeliest first."""
        usual = getattr(self._here, "usual", None)
        likeliest, probability = every[0]
        if usual is not None and likeliest != usual and probability < CHANGES:
            return usual, dict(every).get(usual, 0.0)
        return likeliest, probability

"""A model of several languages, as faster-whisper calls CTranslate2: the small English one, told which it hears.

No real one can be had without a network. What is made up here is only the language of each look; hearing is real.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ctranslate2
import pytest

LANGUAGES = ("en", "de", "fr")


class Tongues:
    """Obeys what is called of ctranslate2.models.Whisper; `says`: the language of each look, the last one for ever."""

    is_multilingual = True

    def __init__(self, real: Any, says: Sequence[tuple[str, float]]) -> None:
        self.real, self.says = real, list(says)
        self.encoded = 0
        self.asked: list[int] = []
        """The language's token in each prompt."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def encode(self, features: Any, *, to_cpu: bool = False) -> Any:
        self.encoded += 1
        return self.real.encode(features, to_cpu=to_cpu)

    def detect_language(self, encoded: Any) -> list[list[tuple[str, float]]]:
        return [self._likely() for _ in range(encoded.shape[0])]

    def _likely(self) -> list[tuple[str, float]]:
        language, probability = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        others = [one for one in LANGUAGES if one != language]
        rest = [(f"<|{one}|>", (1 - probability) / len(others)) for one in others]
        return [(f"<|{language}|>", probability), *rest]

    def generate(self, encoded: Any, prompts: Sequence[Sequence[int]], **how: Any) -> Any:
        for prompt in prompts:
            self.asked += prompt[self._at(prompt) + 1 : self._at(prompt) + 2]
        return self.real.generate(encoded, [self._plain(prompt) for prompt in prompts], **how)

    def align(self, encoded: Any, start: Sequence[int], *told: Any, **how: Any) -> Any:
        return self.real.align(encoded, self._plain(start), *told, **how)

    def _plain(self, prompt: Sequence[int]) -> list[int]:
        """Without language and task, of which the small model knows nothing."""
        at = self._at(prompt)
        return [*prompt[: at + 1], *prompt[at + 3 :]]

    def _at(self, prompt: Sequence[int]) -> int:
        return list(prompt).index(self.sot)

    sot = -1


@contextmanager
def speaking(monkeypatch: pytest.MonkeyPatch, *says: tuple[str, float]) -> Iterator[list[Tongues]]:
    """What is loaded meanwhile is such a model; which ones were loaded."""
    real, loaded = ctranslate2.models.Whisper, []

    def load(*told: Any, **how: Any) -> Tongues:
        loaded.append(Tongues(real(*told, **how), says))
        return loaded[-1]

    with monkeypatch.context() as patch:
        patch.setattr(ctranslate2.models, "Whisper", load)
        yield loaded


def taught(model: Any) -> Any:
    """The small model's tokenizer with a token for each language."""
    model.hf_tokenizer.add_special_tokens([f"<|{one}|>" for one in LANGUAGES])
    model.model.sot = model.hf_tokenizer.token_to_id("<|startoftranscript|>")
    return model

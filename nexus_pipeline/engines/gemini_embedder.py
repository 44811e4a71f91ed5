"""Text to vectors by Gemini, 100 texts a call."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nexus_pipeline.domain.errors import EngineEmpty, EngineFailed
from nexus_pipeline.engines.gemini_line import GeminiEngine
from nexus_pipeline.ports import Vectors

if TYPE_CHECKING:
    from google.genai.types import EmbedContentResponse

MODEL = "gemini-embedding-001"
DIMENSIONS = 768
"""Of the 3072 that it can give: Google's own figures differ by less than a percent (its page "Embeddings", MTEB)."""
TEXTS = 100
"""In one call at most, by Google's API."""
LETTERS = 6000
"""Read of one text: about the 2048 tokens that the model reads; what is longer is cut here, not refused there."""


class GeminiEmbedder(GeminiEngine):
    """One model of Gemini's; its vectors are shortened by it and brought back to unit length here."""

    usual = MODEL
    dimensions = DIMENSIONS

    def parameters(self) -> Mapping[str, str]:
        """What changes its results."""
        return {"engine": "gemini", "model": self.model, "dimensions": str(DIMENSIONS)}

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit-length row per text: float32, shape (len(texts), 768); what is beyond 6000 letters is not read.

        Raises EngineBusy, EngineDown, EngineEmpty, EngineFailed, ModelMissing.
        """
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for at in range(0, len(texts), TEXTS):
            vectors[at : at + TEXTS] = self._some(texts[at : at + TEXTS])
        return vectors

    def _some(self, texts: Sequence[str]) -> Vectors:
        # the API refuses a text of nothing
        told = [text[:LETTERS] if text.strip() else "." for text in texts]

        def asking(client: Any) -> "EmbedContentResponse":
            from google.genai.types import Content, EmbedContentConfig, Part

            # a list of plain strings would be one content for gemini-embedding-2, and give one vector
            response: EmbedContentResponse = client.models.embed_content(
                model=self.model,
                contents=[Content(parts=[Part(text=text)]) for text in told],
                config=EmbedContentConfig(output_dimensionality=DIMENSIONS),
            )
            return response

        tokens = sum(map(len, told)) // 3
        response = self.line.call(asking, model=self.model, tokens=tokens, cancelled=lambda: False, metering=self._used)
        given = [one.values or [] for one in response.embeddings or []]
        if len(given) != len(texts):
            raise EngineEmpty(f"Gemini gave {len(given)} vectors for {len(texts)} texts")
        if any(len(values) != DIMENSIONS for values in given):
            raise EngineFailed(f"{self.name} does not give {DIMENSIONS} dimensions; choose {MODEL}")
        rows = np.asarray(given, dtype=np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if not np.all(np.isfinite(lengths) & (lengths > 0)):
            raise EngineEmpty("Gemini gave vectors without a direction")
        units: Vectors = rows / lengths
        return units

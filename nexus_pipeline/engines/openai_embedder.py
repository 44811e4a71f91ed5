"""Text to vectors by a model behind OpenAI's embeddings API: 100 texts a call.

The archive's table is made for a number of dimensions. Those of usual models stand here; of any other model one word
is embedded once, and the number is kept in the cache, so that a server that is down keeps nobody from searching words.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Self

import numpy as np

from nexus_pipeline.domain.errors import EngineEmpty
from nexus_pipeline.engines.openai_line import Api, OpenAIEngine, api, folder, used
from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.ports import Vectors

log = logging.getLogger(__name__)

MODEL = "text-embedding-3-small"
DIMENSIONS: Mapping[str, int] = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
    "nomic-embed-text": 768,
    "mxbai-embed-large": 1024,
    "bge-m3": 1024,
}
TEXTS = 100
"""In one call: about 10,000 tokens of passages; OpenAI takes 2,048 texts and 300,000 tokens."""
LETTERS = 8000
"""Of a text that are read: OpenAI takes 8,192 tokens. No passage is that long."""


class OpenAIEmbedder(OpenAIEngine):
    """One model, for any number of threads."""

    usual = MODEL

    def __init__(self, model: str, api: Api, cache: Path) -> None:
        """Asks nobody yet; `cache` keeps what was learnt about the server's models."""
        super().__init__(model, api)
        self._cache = cache
        self._dimensions = DIMENSIONS.get(model)
        self._lock = Lock()

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:
        """Without a model: OpenAI's small one."""
        return cls(model or cls.usual, api(site), folder(site))

    @property
    def dimensions(self) -> int:
        """Of one vector. Raises as `embed` where the model must be asked and cannot be."""
        with self._lock:
            if self._dimensions is None:
                self._dimensions = self._learnt()
            return self._dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit-length row per text: float32, shape (len(texts), self.dimensions).

        Raises EngineBusy, EngineDown, EngineEmpty, EngineFailed, ModelMissing.
        """
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for first in range(0, len(texts), TEXTS):
            vectors[first : first + TEXTS] = self._embedded(texts[first : first + TEXTS], self.dimensions)
        return vectors

    def _embedded(self, texts: Sequence[str], dimensions: int | None) -> Vectors:
        # an empty text is refused by OpenAI
        sent = [text[:LETTERS] or " " for text in texts]
        answer: Any = self._api.call(
            lambda client: client.embeddings.create(model=self.model, input=sent, encoding_format="float"),
            tokens=sum(map(len, sent)) // 3,
            cancelled=lambda: False,
        )
        self._used(used(answer))
        rows = sorted(getattr(answer, "data", None) or [], key=lambda row: row.index or 0)
        found = [row.embedding or [] for row in rows]
        wanted = dimensions or (len(found[0]) if found else 0)
        if [len(row) for row in found] != [wanted] * len(texts) or not wanted:
            raise EngineEmpty(
                f"{self.name} gave other vectors than were asked for ({len(found)} for {len(texts)} texts of "
                f"{wanted} dimensions): choose another model"
            )
        return _unit(np.asarray(found, dtype=np.float32), self.name)

    def _learnt(self) -> int:
        kept = self._cache / f"{self.model.replace('/', '_')}.dimensions"
        if kept.is_file():
            return int(kept.read_text())
        dimensions = int(self._embedded(["word"], None).shape[1])
        kept.parent.mkdir(parents=True, exist_ok=True)
        new = kept.with_name(f"{kept.name}.{os.getpid()}")
        new.write_text(str(dimensions))
        new.replace(kept)
        log.info("learnt engine=%s dimensions=%d", self.name, dimensions)
        return dimensions


def _unit(vectors: Vectors, name: str) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise EngineEmpty(f"{name} gave a vector that points nowhere: choose another model")
    unit: Vectors = vectors / lengths
    return unit

"""The protocols between the parts. Adapters implement them; steps and upkeep know nothing else."""

from nexus_pipeline.ports.catalog import Catalog
from nexus_pipeline.ports.engines import (
    Answerer,
    Cancelled,
    Embedder,
    Enricher,
    Fingerprinter,
    Hints,
    LanguageModel,
    Media,
    Progress,
    Reranker,
    Sound,
    Speakers,
    Speech,
    SubFingerprints,
    Translator,
    Vectors,
)
from nexus_pipeline.ports.sources import Fetched, Limits, Source
from nexus_pipeline.ports.stores import Alike, Archive, BlobInfo, Blobs, Finder, ItemPassages, Purged

__all__ = [
    "Alike",
    "Answerer",
    "Archive",
    "BlobInfo",
    "Blobs",
    "Cancelled",
    "Catalog",
    "Embedder",
    "Enricher",
    "Fetched",
    "Finder",
    "Fingerprinter",
    "Hints",
    "ItemPassages",
    "LanguageModel",
    "Limits",
    "Media",
    "Progress",
    "Purged",
    "Reranker",
    "Sound",
    "Source",
    "Speakers",
    "Speech",
    "SubFingerprints",
    "Translator",
    "Vectors",
]

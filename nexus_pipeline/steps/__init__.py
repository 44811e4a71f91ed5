"""The map of the house: what happens to an item, in order. Adding a step is one file and one line here."""

from nexus_pipeline.steps.embedding import EMBEDDING
from nexus_pipeline.steps.enrichment import ENRICHMENT
from nexus_pipeline.steps.fingerprint import FINGERPRINT
from nexus_pipeline.steps.raw import RAW
from nexus_pipeline.steps.speakers import SPEAKERS
from nexus_pipeline.steps.step import Step
from nexus_pipeline.steps.transcript import TRANSCRIPT
from nexus_pipeline.steps.translation import TRANSLATION

CHAIN: tuple[Step, ...] = (RAW, FINGERPRINT, TRANSCRIPT, SPEAKERS, TRANSLATION, ENRICHMENT, EMBEDDING)

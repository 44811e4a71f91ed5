"""The names of the steps in their order: what the catalog makes rows of, and what `steps.CHAIN` must agree with."""

STEPS = ("raw", "fingerprint", "transcript", "speakers", "translation", "enrichment", "embedding")

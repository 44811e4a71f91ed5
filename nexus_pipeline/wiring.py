"""Settings to working parts, each made when it is first needed and kept for the life of the process."""

import logging
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

import psutil

from nexus_pipeline.blobs import open_blobs
from nexus_pipeline.blobs.folder import FolderBlobs
from nexus_pipeline.catalog import SqlCatalog
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.errors import BadAddress, NexusError
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.timeline import Transcript
from nexus_pipeline.engines import EMBEDDERS, ENRICHERS, SPEECH, EngineSpec, build, load
from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.ports import (
    Archive,
    Blobs,
    Cancelled,
    Catalog,
    Embedder,
    Enricher,
    Fingerprinter,
    Limits,
    Media,
    Source,
    Speech,
)
from nexus_pipeline.settings import Settings
from nexus_pipeline.sources import requests, source_for, subtitles
from nexus_pipeline.sources.inbox import Inbox

log = logging.getLogger(__name__)

intake = requests
"""Putting addresses and files into the inbox: all that the API and the command line know of sources."""
write_transcript = subtitles.write
"""A transcript as a file for people and players."""
ASKING_S = 10.0
"""Whoever adds a short link waits no longer to learn where it leads."""
NONE = "none"
"""An engine that is switched off."""
CATALOGUES = {"transcript": SPEECH, "enrichment": ENRICHERS, "embedding": EMBEDDERS}
"""The steps that an engine does, and the engines that there are."""


@dataclass(frozen=True)
class Engines:
    """The machines that do the work: which one for which item, each loaded once a process.

    An item's own choice (`nexus add --engine transcript=faster-whisper:small`) comes before a run's,
    a run's before the settings'.
    """

    site: EngineSite
    chosen: Mapping[str, str]
    run: Mapping[str, str] = field(default_factory=dict)

    def spec(self, step: str, item: Item | None = None) -> str:
        """`engine[:model]` for a step, or `none`."""
        own = item.engines if item else {}
        return own.get(step) or self.run.get(step) or self.chosen[step]

    def speech(self, item: Item) -> Speech | None:
        """None where hearing is switched off."""
        spec = self.spec("transcript", item)
        return None if spec == NONE else _speech(spec, self.site)

    def enricher(self, item: Item) -> Enricher | None:
        """None where enrichment is switched off."""
        spec = self.spec("enrichment", item)
        return None if spec == NONE else _enricher(spec, self.site)

    def missing(self, step: str, item: Item | None = None) -> str | None:
        """What a step's engine lacks on this machine and how to get it; None when it is ready. Loads nothing."""
        if step not in CATALOGUES or self.spec(step, item) == NONE:
            return None
        spec = EngineSpec.parse(self.spec(step, item))
        return load(CATALOGUES[step], spec.engine).present(spec.model, self.site)

    def embedder(self) -> Embedder:
        """One for the whole archive: its table is served under the embedder's name."""
        return _embedder(self.chosen["embedding"], self.site)


@lru_cache(maxsize=8)
def _speech(spec: str, site: EngineSite) -> Speech:
    speech: Speech = build(SPEECH, spec, site)
    return speech


@lru_cache(maxsize=8)
def _enricher(spec: str, site: EngineSite) -> Enricher:
    enricher: Enricher = build(ENRICHERS, spec, site)
    return enricher


@lru_cache(maxsize=8)
def _embedder(spec: str, site: EngineSite) -> Embedder:
    embedder: Embedder = build(EMBEDDERS, spec, site)
    return embedder


def enricher_for(settings: Settings) -> str:
    """What `auto` chose: the local engine, until others are there."""
    return "local" if settings.enricher == "auto" else settings.enricher


class Parts:
    """What steps, upkeep, the command line and the API work with."""

    def __init__(self, settings: Settings) -> None:
        """Opens nothing yet."""
        self.settings = settings

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog, migrated."""
        if self.settings.catalog is None:
            self.settings.root.mkdir(parents=True, exist_ok=True)
        return SqlCatalog.open(self.settings.catalog_url, STEPS)

    @cached_property
    def blobs(self) -> Blobs:
        """Bytes: the truth."""
        return self._store(self.settings.blobs_url)

    def _store(self, url: str) -> Blobs:
        scratches = None if url.startswith("file:") else scratch(self.settings)
        return open_blobs(url, s3_endpoint=self.settings.s3_endpoint, scratch=scratches)

    @cached_property
    def inbox(self) -> Blobs:
        """Where items are dropped."""
        return self._store(self.settings.inbox_url)

    @cached_property
    def engines(self) -> Engines:
        """As the settings choose them."""
        s = self.settings
        chosen = {"transcript": s.speech, "enrichment": enricher_for(s), "embedding": s.embedder}
        return Engines(self.site, chosen)

    @cached_property
    def site(self) -> EngineSite:
        """What every engine is built with."""
        s = self.settings
        return EngineSite(
            models=s.models.expanduser().absolute() if s.models else None,
            cache=s.cache,
            threads=threads(s),
            width=widths(s)["transcript"],
            embedder=self._embedder,
        )

    def _embedder(self) -> Embedder:
        return self.engines.embedder()

    @cached_property
    def archive(self) -> Archive:
        """The table of the embedder that is in use."""
        from nexus_pipeline.archive import LanceArchive

        embedder = self.engines.embedder()
        endpoint = self.settings.s3_endpoint
        options = {"aws_endpoint": endpoint, "allow_http": "true"} if endpoint else None
        path = self.settings.archive_path
        return LanceArchive(path, embedder.name, embedder.dimensions, storage_options=options)

    @cached_property
    def media(self) -> Media:
        """Ffmpeg under its limits."""
        from nexus_pipeline.engines.ffmpeg import FFmpeg

        return FFmpeg(max_duration_s=self.settings.max_duration_s, max_bytes=self.settings.max_bytes)

    @cached_property
    def fingerprinter(self) -> Fingerprinter:
        """Acoustic identity."""
        from nexus_pipeline.engines.chromaprint import Chromaprint

        return Chromaprint()

    @property
    def limits(self) -> Limits:
        """Bounds for one item."""
        s = self.settings
        return Limits(max_bytes=s.max_bytes, max_duration_s=s.max_duration_s, allow_hosts=s.allow_hosts)

    def take(self, inbox_key: str, key: str) -> None:
        """Move an object out of the inbox into the blobs: renamed where both are folders, else copied, then deleted."""
        if isinstance(self.inbox, FolderBlobs) and isinstance(self.blobs, FolderBlobs):
            with self.inbox.local(inbox_key) as path:
                self.blobs.put_file(key, path, move=True)
        else:
            self.blobs.put(key, self.inbox.stream(inbox_key))
        self.inbox.delete(inbox_key)

    def forget_files(self, item_id: str) -> None:
        """Remove what is on its way of an item: broken downloads, scratch files that a killed process has left."""
        cache = self.settings.cache
        for folder in (cache / "fetching" / item_id, *(cache / "scratch").glob(f"*/{item_id}-*")):
            shutil.rmtree(folder, ignore_errors=True)

    @cached_property
    def arrivals(self) -> Inbox:
        """Looks into the inbox, and remembers what it saw."""
        return Inbox(self.inbox, whole=not isinstance(self.inbox, FolderBlobs))

    def source(self, url: str) -> Source:
        """Where a URL comes from. Raises BadAddress."""
        return source_for(url)

    def canonical(self, url: str) -> str:
        """The one form of an address. Raises BadAddress."""
        return self.source(url).canonical(url)

    def leads_to(self, url: str, cancelled: Cancelled) -> str:
        """Where a short link leads, in canonical form; any other address is its own, without asking anybody.

        Raises BadAddress, SourceBusy, SourceGone, SourceRefused, EngineFailed, Cancelled.
        """
        if not self.source(url).short(url):
            return self.canonical(url)
        from nexus_pipeline.sources.fetching import follow

        return follow(url, self.limits, cancelled)

    def followed(self, url: str) -> str:
        """The same before an item is made: within seconds, or else the short link itself, which raw follows later.

        Raises BadAddress.
        """
        by = time.monotonic() + ASKING_S
        try:
            return self.leads_to(url, lambda: time.monotonic() > by)
        except BadAddress:
            raise
        except NexusError as error:
            log.info("a short link is followed later: %s", error)
            return self.canonical(url)

    def read_transcript(self, path: Path) -> Transcript:
        """A transcript file: SRT, VTT, Whisper's or WhisperX's JSON. Raises BadTranscript."""
        from nexus_pipeline.engines import languages

        found = subtitles.read_transcript(path)
        return found if found.language else replace(found, language=languages.detect(found.text))

    def warm_up(self) -> None:
        """Open stores and load models that the first run would wait for; a missing model is the run's business."""
        for spec in (lambda: self.archive, lambda: _speech(self.engines.chosen["transcript"], self.site)):
            try:
                spec()
            except NexusError as error:
                log.info("not warmed up: %s", error)

    def chosen_for_run(self, engines: Mapping[str, str]) -> "Parts":
        """The same parts with a run's own choice of engines."""
        parts = type(self)(self.settings)
        parts.__dict__.update(self.__dict__)
        parts.__dict__["engines"] = replace(self.engines, run=dict(engines))
        return parts


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def threads(settings: Settings) -> int:
    """Threads for one item's engine, so that all items heard side by side fill the machine and no more."""
    return max(1, cores() // widths(settings)["transcript"])


def widths(settings: Settings) -> dict[str, int]:
    """Items side by side for each step: many fetch, few compute; NEXUS_WIDTH overrides.

    Speech fills the machine with one item a core up to four: CTranslate2 gains more from
    several items than from several threads on one (README of faster-whisper, "num_workers").
    """
    n = cores()
    usual = {"raw": max(2, n), "fingerprint": max(1, n // 2), "transcript": max(1, min(4, n))}
    return {**dict.fromkeys(STEPS, 1), **usual, **settings.width}


def scratch(settings: Settings) -> Path:
    """This process's folder for files on their way."""
    path = settings.cache / "scratch" / str(os.getpid())
    path.mkdir(parents=True, exist_ok=True)
    return path


def sweep_scratch(settings: Settings) -> None:
    """Remove what processes left that are no more."""
    for folder in (settings.cache / "scratch").glob("*"):
        if not psutil.pid_exists(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)

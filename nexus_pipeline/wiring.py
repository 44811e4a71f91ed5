"""Settings to working parts, each made when it is first needed and kept for the life of the process."""

import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import Any

from nexus_pipeline.blobs import open_blobs
from nexus_pipeline.blobs.folder import FolderBlobs
from nexus_pipeline.blobs.growing import GrowingFiles
from nexus_pipeline.catalog import SqlCatalog
from nexus_pipeline.domain import tongues
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.errors import BadAddress, EngineFailed, NexusError
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.timeline import Transcript
from nexus_pipeline.engines import (
    ANSWERERS,
    EMBEDDERS,
    ENRICHERS,
    NONE,
    RERANKERS,
    SPEAKERS,
    SPEECH,
    TRANSLATORS,
    EngineSpec,
    build,
    load,
    translating,
)
from nexus_pipeline.engines.site import Cloud, EngineSite
from nexus_pipeline.machine import scratch, threads, widths
from nexus_pipeline.ports import (
    Answerer,
    Archive,
    Blobs,
    Cancelled,
    Catalog,
    Embedder,
    Enricher,
    Fingerprinter,
    Hints,
    Limits,
    Media,
    Reranker,
    Source,
    Speakers,
    Speech,
    Translator,
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
CATALOGUES = {
    "transcript": SPEECH,
    "speakers": SPEAKERS,
    "translation": TRANSLATORS,
    "enrichment": ENRICHERS,
    "embedding": EMBEDDERS,
    "answers": ANSWERERS,
    "reranking": RERANKERS,
}
"""What engines do, and the engines that there are: steps, and what people's questions and searches want, no steps."""


@dataclass(frozen=True)
class Engines:
    """The machines that do the work: which one for which item, each loaded once a process.

    An item's own choice (`nexus add --engine transcript=faster-whisper:small`) comes before a run's,
    a run's before the settings'.
    """

    site: EngineSite
    chosen: Mapping[str, str]
    run: Mapping[str, str] = field(default_factory=dict)
    _built: dict[tuple[str, EngineSpec], Any] = field(default_factory=dict, repr=False, compare=False)
    """Of all runs; they go with the parts that made them, for a model is tens of megabytes and more."""
    _lock: RLock = field(default_factory=RLock, repr=False, compare=False)

    def told(self, step: str, item: Item | None = None) -> str:
        """What was chosen for a step: `engine[:model]`, a list of them, or `none`; `auto` is resolved."""
        own = item.engines if item else {}
        return own.get(step) or self.run.get(step) or self.chosen[step]

    def specs(self, step: str, item: Item | None = None) -> tuple[EngineSpec, ...]:
        """The engines of a step in the order in which they serve; none where it is switched off."""
        return EngineSpec.parse_all(self.told(step, item))

    def each(self, step: str, item: Item | None = None) -> tuple[Any, ...]:
        """The engines themselves, in that order."""
        return tuple(self.one(step, spec) for spec in self.specs(step, item))

    def one(self, step: str, spec: EngineSpec) -> Any:
        """The same one for whoever asks. Raises EngineFailed for an engine that there is not."""
        with self._lock:
            if (step, spec) not in self._built:
                self._built[step, spec] = build(CATALOGUES[step], spec, self.site)
            return self._built[step, spec]

    def speech(self, item: Item) -> tuple[Speech, ...]:
        """None where hearing is switched off."""
        return self.each("transcript", item)

    def speakers(self, item: Item) -> tuple[Speakers, ...]:
        """None where telling speakers apart is switched off."""
        return self.each("speakers", item)

    def translators(self, item: Item) -> tuple[Translator, ...]:
        """None where translating is switched off."""
        return self.each("translation", item)

    def enrichers(self, item: Item) -> tuple[Enricher, ...]:
        """None where enrichment is switched off."""
        return self.each("enrichment", item)

    def answerers(self) -> tuple[Answerer, ...]:
        """None where answering is switched off."""
        return self.each("answers")

    def rerankers(self) -> tuple[Reranker, ...]:
        """None where what a search found stays in its order."""
        return self.each("reranking")

    def missing(self, step: str, item: Item | None = None) -> str | None:
        """What a step's engines lack on this machine and how to get it; None when one is ready. Loads nothing."""
        if step not in CATALOGUES:
            return None
        lacking = [load(CATALOGUES[step], s.engine).present(s.model, self.site) for s in self.specs(step, item)]
        return next(iter(lacking), None) if all(lacking) else None

    def embedder(self) -> Embedder:
        """One for the whole archive: its table is served under the embedder's name. Raises EngineFailed for several."""
        several = self.specs("embedding")
        if len(several) != 1:
            raise EngineFailed(f"NEXUS_EMBEDDER wants one engine, for all vectors lie in one space: {several!r}")
        embedder: Embedder = self.one("embedding", several[0])
        return embedder


def auto(settings: Settings, local: str) -> str:
    """What `auto` is: Gemini or OpenAI where a person has set one up, else the local engine."""
    site = clouds(settings)
    return next((name for name, cloud in site.items() if cloud.there), local)


def clouds(settings: Settings) -> dict[str, Cloud]:
    """Where the vendors' APIs are."""
    s = settings
    limits = {"calls": s.calls, "tokens_a_minute": s.tokens_a_minute}
    return {
        "gemini": Cloud(s.gemini_api_key, s.gemini_base_url, **limits),
        "openai": Cloud(s.openai_api_key, s.openai_base_url, **limits),
    }


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

    @property
    def growing(self) -> GrowingFiles | None:
        """Where uploads grow before they are in the inbox; None where the inbox is no folder."""
        return self.inbox.growing if isinstance(self.inbox, FolderBlobs) else None

    @cached_property
    def engines(self) -> Engines:
        """As the settings choose them."""
        s = self.settings
        enricher = auto(s, "local") if s.enricher == "auto" else s.enricher
        # quotes are better than nothing while a cloud engine cannot answer
        found = ",".join(dict.fromkeys((auto(s, "extractive"), "extractive")))
        answerer = found if s.answerer == "auto" else s.answerer
        translator = auto(s, "whisper") if s.translator == "auto" else s.translator
        chosen = {
            "transcript": s.speech,
            "speakers": s.speakers,
            "translation": translator if s.translate_to else NONE,
            "enrichment": enricher,
            "embedding": s.embedder,
            "answers": answerer,
            "reranking": s.reranker,
        }
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
            whisper=self._whisper,
            **clouds(s),
        )

    def _embedder(self) -> Embedder:
        return self.engines.embedder()

    def _whisper(self, model: str | None) -> Speech:
        """The engine that hears items with this model, or with the settings' own: translating shares what it loads."""
        hears = (spec for spec in self.engines.specs("transcript") if spec.engine == "faster-whisper")
        spec = EngineSpec("faster-whisper", model) if model else next(hears, EngineSpec("faster-whisper"))
        speech: Speech = self.engines.one("transcript", spec)
        return speech

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
        found = subtitles.read_transcript(path)
        language = found.language or tongues.mostly(found.segments, None) or self.language_of(found.text)
        segments = tongues.settled(tongues.read(found.segments, language, self.language_of), language)
        return replace(found, language=language, segments=segments)

    def language_of(self, text: str) -> str | None:
        """Which language a text is in, where that is sure."""
        from nexus_pipeline.engines import languages

        return languages.detect(text)

    def hints(self, item: Item) -> Hints:
        """What the speech engine is told before it listens to an item: the item's own words come first."""
        vocabulary = tuple(dict.fromkeys((*item.vocabulary, *self.settings.vocabulary)))
        return Hints(item.language, item.prompt or self.settings.prompt, vocabulary)

    def untranslatable(self) -> str | None:
        """What to set because nobody that is chosen translates into a wanted language; None when all is well."""
        return translating.cannot(self.engines.specs("translation"), self.site, self.settings.translate_to)

    def warm_up(self) -> None:
        """Open stores and load models that the first run would wait for; a missing model is the run's business."""

        def told() -> None:
            if why := self.untranslatable():
                log.warning("items will not be translated: %s", why)

        for spec in (lambda: self.archive, lambda: self.engines.each("transcript"), told):
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

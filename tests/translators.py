"""Engines that translate out of a phrasebook, brought in by the door by which every engine comes: the catalogue."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

from nexus_pipeline.domain.errors import EngineDown, EngineRefused
from nexus_pipeline.domain.timeline import Segment, Transcript
from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.ports import Cancelled, Hints, Progress, Sound

ENTRY = {"phrasebook": "tests.translators:Phrasebook"}
GERMAN = {
    "The old piano is behind the red door in the museum.": "Das alte Klavier steht hinter der roten Tür im Museum.",
    "They will clean the oven after the concert on Saturday.": "Sie putzen den Ofen am Samstag nach dem Konzert.",
    "A small comet was near the moon last night.": "Ein kleiner Komet war gestern Nacht beim Mond.",
    "Sara and David will share the schedule with the client.": "Sara und David zeigen dem Kunden den Zeitplan.",
}
FRENCH = {
    "The old piano is behind the red door in the museum.": "Le vieux piano se trouve au musée, à côté.",
    "They will clean the oven after the concert on Saturday.": "Ils nettoient le four samedi, après la musique.",
}
BOOKS = {"de": GERMAN, "fr": FRENCH}


class Phrasebook:
    """Its model says what it cannot do: `phrasebook:refuses-de`; `phrasebook:down-de` while a file `down` is there."""

    asked: ClassVar[Counter[str]] = Counter()
    """How often into which language."""

    def __init__(self, model: str, folder: Path) -> None:
        self.name = f"phrasebook:{model}"
        self._model, self._folder = model, folder

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:
        return cls(model or "all", site.cache)

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:
        return None

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        pass

    def parameters(self) -> Mapping[str, str]:
        return {"book": "1"}

    def translate(
        self,
        transcript: Transcript,
        to: str,
        *,
        hints: Hints,
        sound: Sound | None,
        progress: Progress,
        cancelled: Cancelled,
    ) -> tuple[Segment, ...]:
        self.asked[to] += 1
        if self._model == f"refuses-{to}":
            raise EngineRefused(f"{self.name} will not do it")
        if self._model == f"down-{to}" and (self._folder / "down").exists():
            raise EngineDown(f"{self.name} does not answer")
        book = BOOKS[to]
        return tuple(replace(s, text=book.get(s.text, f"{to}: {s.text}"), words=()) for s in transcript.segments)

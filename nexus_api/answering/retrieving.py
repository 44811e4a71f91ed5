"""A question's passages: what its owner's own search finds, numbered, with the sentences that they are made of."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nexus_api.answering.proving import words
from nexus_api.shown import Json
from nexus_pipeline.domain.errors import NotFound
from nexus_pipeline.domain.sentences import sentences
from nexus_pipeline.domain.timeline import Segment, Transcript
from nexus_pipeline.domain.translations import closest

if TYPE_CHECKING:
    from nexus_api.local import Local

PASSAGES = 10
"""Passages of 60 words that an answer is made of: of the development set's questions nine in ten have one that answers
among them."""
KIND = "speech"
"""Quotes are what somebody said; summaries are a machine's words and prove nothing."""
_EDGE_S = 0.05  # times of passages are rounded
_SYNTAX = re.compile(r"[\"\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033]|(?<!\w)-(?=\w)")


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence of a passage, and when it was said."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Passage:
    """A hit with its number, from 1."""

    n: int
    hit: Json

    @property
    def item_id(self) -> str:
        """Of which item."""
        return str(self.hit["item_id"])

    @property
    def text(self) -> str:
        """What was said."""
        return str(self.hit["text"])

    @property
    def names(self) -> str:
        """What the item is called and who speaks."""
        return " ".join(part for part in (self.hit["title"], self.hit["speaker"]) if part)

    @property
    def told(self) -> str:
        """For an engine that writes: whose words, and where."""
        speaker = f", {self.hit['speaker']}" if self.hit["speaker"] else ""
        return f"({self.hit['title']}{speaker}) {self.text}"


class Retrieval:
    """Searches as the owner of `nexus` and reads their transcripts: it reaches what that person's own search does."""

    def __init__(
        self, nexus: "Local", item_ids: Sequence[str], filters: Mapping[str, Any], site: str | None = None
    ) -> None:
        """Over these items, or all. Raises NotFound for items that are not the owner's."""
        nexus.all_there(item_ids)
        self._nexus, self._site = nexus, site
        self.filters = {"kind": KIND, **filters}
        if item_ids:
            self.filters["item_id"] = self._firsts(item_ids, filters.get("item_id"))
        self._transcripts: dict[tuple[str, str | None], Transcript | None] = {}

    def _firsts(self, item_ids: Sequence[str], wanted: Any) -> list[str]:
        """What is said in a copy stands in the archive under its first."""
        found = self._nexus.parts.catalog.find(item_ids)
        firsts = list(dict.fromkeys(item.duplicate_of or item.id for item in found.values()))
        if wanted is None:
            return firsts
        also = {wanted} if isinstance(wanted, str) else set(wanted)
        return [item_id for item_id in firsts if item_id in also]

    def check(self, question: str) -> None:
        """Raises BadInput for filters that are none, before anything is answered."""
        self._found(_plain(question), "words", 1)

    def passages(self, question: str) -> list[Passage]:
        """The best ones, best first. Raises BadInput for filters that are none."""
        if self._nexus.parts.archive.count() == 0:  # a question to nobody loads no model
            return []
        found = self._found(_plain(question), "hybrid", PASSAGES)
        return [Passage(n, hit) for n, hit in enumerate(found["hits"], 1)]

    def often(self, word: str) -> int:
        """In how many passages of the scope a word stands, in whatever form; 1,000 where it is in more."""
        return int(self._found(f"{word} ", "words", 1)["total"])

    def _found(self, words: str, mode: str, limit: int) -> Json:
        """A search like the owner's own, which stands in no history: nobody typed it."""
        how = {"merge": False, "keep": False, "site": self._site}
        return self._nexus.search(words, mode=mode, limit=limit, filters=self.filters, **how)

    def sentences(self, passage: Passage) -> list[Said]:
        """What a passage is made of, with seconds as exact as its transcript's; else by their share of the text."""
        hit = passage.hit
        transcript = self._transcript(passage.item_id, hit["language"])
        if transcript is not None:
            near = [s for s in transcript.segments if s.end_s > hit["start_s"] and s.start_s < hit["end_s"]]
            found = [
                s
                for s in sentences(near)
                if s.start_s >= hit["start_s"] - _EDGE_S and s.end_s <= hit["end_s"] + _EDGE_S
            ]
            if words(" ".join(s.text for s in found)) == words(passage.text):
                return [Said(s.text, round(s.start_s, 3), round(s.end_s, 3)) for s in found]
        whole = Segment(0, hit["start_s"], hit["end_s"], passage.text)
        return [Said(s.text, round(s.start_s, 3), round(s.end_s, 3)) for s in sentences([whole])]

    def _transcript(self, item_id: str, language: str | None) -> Transcript | None:
        """In the language of the passage; read once for a question."""
        key = (item_id, language)
        if key not in self._transcripts:
            self._transcripts[key] = self._read(item_id, language)
        return self._transcripts[key]

    def _read(self, item_id: str, language: str | None) -> Transcript | None:
        from nexus_pipeline.results import transcript_of, translations_of

        parts = self._nexus.parts
        try:
            item = self._nexus.item(item_id)
        except NotFound:  # erased since it was found
            return None
        spoken = transcript_of(item, parts)
        if spoken is None or language is None or spoken.language is None or closest(language, [spoken.language]):
            return spoken
        return translations_of(item, parts).get(language)


def _plain(question: str) -> str:
    """A question is no query: nothing in it is a phrase, or left out, or a word that is still being typed."""
    return f"{_SYNTAX.sub(' ', question)} "

"""One exchange of a chat: a question, what an engine says to it, and what of that stands.

Nothing is shown before it has been compared with the passages: an engine's text goes out sentence by sentence, and
nothing of it until one sentence stands. An engine of which nothing stands leaves the word to the next one of the list;
where none of them can prove anything, what the first one said is shown with every sentence marked.
"""

import logging
import re
import secrets
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from nexus_api.answering import history, judging
from nexus_api.answering.proving import proof, weight
from nexus_api.answering.reading import CITATION, DONE, TOKEN
from nexus_api.answering.retrieving import Passage, Retrieval
from nexus_api.answering.sentences import sentences
from nexus_api.shown import Json
from nexus_pipeline.domain.asking import alone
from nexus_pipeline.domain.chats import ASSISTANT, DOES_NOT_SAY, STOPPED, USER, WHOLE, Citation, Message, Sentence
from nexus_pipeline.domain.errors import Cancelled as Stopped
from nexus_pipeline.domain.errors import EngineError, ModelMissing
from nexus_pipeline.domain.usage import Meter
from nexus_pipeline.ports import Answerer, Cancelled, metered

if TYPE_CHECKING:
    from nexus_api.local import Local

log = logging.getLogger(__name__)

BEFORE = 3
"""Questions and answers of a chat that a new question is understood by."""
NEAREST = 3
"""Hits that are offered where there is no answer."""
_CLAIM = 6  # letters of a clause that says something by itself
_MARKS = re.compile(r"(?:\s*\[\d+\])+")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Event:
    """`token`, `citation` or `done`, and what it says."""

    event: str
    data: Json


@dataclass(slots=True)
class _Answer:
    """What is said so far."""

    sentences: list[Sentence] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    refused: bool = False
    engine: str | None = None
    because: list[str] = field(default_factory=list)
    ended: str = WHOLE
    reached: set[str] = field(default_factory=set)
    places: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """By passage and sentences of it the number of the citation."""
    refusal: str = ""

    @property
    def text(self) -> str:
        return self.refusal if self.refused else "".join(s.text for s in self.sentences)


@dataclass(frozen=True, slots=True)
class _Checked:
    """A sentence as it stands, and its citations that were not there before."""

    sentence: Sentence
    citations: tuple[Citation, ...]


class Exchange:
    """A question of one owner. Everything that it reads it reads as `nexus`, that owner's own."""

    def __init__(
        self,
        nexus: "Local",
        question: str,
        *,
        chat_id: str | None = None,
        item_ids: Sequence[str] = (),
        filters: Mapping[str, Any] | None = None,
        site: str | None = None,
    ) -> None:
        """Asks no engine yet. A chat goes on over what it was about before, unless other items are named.

        Raises NotFound for a chat or items that are not the owner's, BadInput for filters that are none.
        """
        catalog = nexus.parts.catalog
        said = [] if chat_id is None else catalog.last_messages(chat_id, nexus.owner, 2 * BEFORE)
        self._nexus, self._question = nexus, question
        self._new, self.chat_id = chat_id is None, chat_id or secrets.token_hex(8)
        self._before = [
            (asked.text, told.text) for asked, told in pairwise(said) if (asked.role, told.role) == (USER, ASSISTANT)
        ]
        self._item_ids = tuple(dict.fromkeys(item_ids)) or (said[-1].item_ids if said else ())
        self._retrieval = Retrieval(nexus, self._item_ids, filters or {}, site)
        self._retrieval.check(question)
        self._looked_for = question
        self._meter = Meter()
        self._passages: list[Passage] = []

    def events(self, cancelled: Cancelled = lambda: False) -> Iterator[Event]:
        """The answer as it comes, and at last `done` with all of it; then it stands in the chat's history.

        Stopped by `cancelled`, or by whoever reads going away: what was shown is kept, marked as stopped. Raises
        EngineError where no engine of the list can answer, and then keeps nothing.
        """
        began = time.monotonic()
        answer = _Answer()
        try:
            yield from self._told(answer, cancelled)
        except (Stopped, GeneratorExit) as why:
            answer.ended = STOPPED
            self._keep(answer)
            if isinstance(why, GeneratorExit):
                raise
        else:
            self._keep(answer)
        log.info("answered engine=%s refused=%s ended=%s", answer.engine, answer.refused, answer.ended)
        yield Event(DONE, self._body(answer, 1000 * (time.monotonic() - began)))

    # ---------------------------------------------------------------- an answer

    def _told(self, answer: _Answer, cancelled: Cancelled) -> Iterator[Event]:
        engines = [metered(engine, self._meter) for engine in self._nexus.parts.engines.answerers()]
        self._looked_for = self._alone(engines, cancelled)
        self._passages = self._retrieval.passages(self._looked_for)
        unproven: list[_Checked] = []
        failed: list[EngineError] = []
        first = None
        for engine in engines if self._passages else ():
            answer.engine = engine.name
            answer.reached |= {p.item_id for p in self._passages}
            try:
                held = yield from self._by(engine, answer, cancelled)
            except EngineError as error:
                if any(s.supported for s in answer.sentences):  # what stands, stands
                    answer.ended = error.code
                    return
                failed.append(error)
                answer.sentences.clear()
                answer.because.append(f"{engine.name}: {error.code}")
                log.warning("the next engine answers failed=%s code=%s", engine.name, error.code)
                continue
            if answer.sentences:
                return
            if not held:  # it says itself that there is no answer
                break
            if not unproven:
                unproven, first = held, engine.name
            answer.because.append(f"{engine.name}: no passage says what it says")
        if unproven:
            answer.engine = first
            for one in unproven:
                yield from _said(answer, one)
            return
        if failed and len(failed) == len(engines):
            raise next((error for error in failed if error.retryable), failed[-1])
        yield self._refuse(answer, switched_off=not engines)

    def _alone(self, engines: Sequence[Answerer], cancelled: Cancelled) -> str:
        """The question as it is looked for: by an engine that writes, where it can, else by the plain rule."""
        if not self._before:
            return self._question
        for engine in engines:
            try:
                return engine.alone(self._question, self._before, cancelled)
            except EngineError as error:
                log.warning("the question is put together by rule failed=%s code=%s", engine.name, error.code)
        return alone(self._question, [question for question, _ in self._before])

    def _by(self, engine: Answerer, answer: _Answer, cancelled: Cancelled) -> Generator[Event, None, "list[_Checked]"]:
        """One engine's sentences as they stand; returns those that were held back because none of them does."""
        if not engine.writes and not self._answerable():
            return []
        shown = [p.told if engine.writes else p.text for p in self._passages]
        pieces = engine.answer(self._looked_for, shown, cancelled)
        held: list[_Checked] = []
        answer.places.clear()
        for text in sentences(pieces) if engine.writes else pieces:
            if cancelled():
                raise Stopped("stopped while answering")
            held.append(self._checked(text, answer))
            if answer.sentences or held[-1].sentence.supported:
                for one in held:
                    yield from _said(answer, one)
                held.clear()
        return held

    def _refuse(self, answer: _Answer, *, switched_off: bool) -> Event:
        answer.refused = True
        where = " in these items" if self._item_ids else ""
        near = "the nearest passages are offered instead" if self._passages else "nothing comes near it"
        why = "Answering is switched off (NEXUS_ANSWERER)." if switched_off else DOES_NOT_SAY
        answer.refusal = f"{why} I looked for \u201c{self._looked_for}\u201d{where}; {near}."
        return Event(TOKEN, {"text": answer.refusal, "supported": False, "citations": []})

    def _answerable(self) -> bool:
        """For an engine that quotes whatever comes nearest."""
        parts = self._nexus.parts
        embedder = None
        if parts.engines.embedder().name == judging.CALIBRATED:
            embedder = parts.engines.embedder()
        size = parts.archive.count()
        try:
            found = judging.evidence(self._looked_for, self._passages, self._retrieval.often, size, embedder)
        except ModelMissing:  # its search was by words, too
            embedder = None
            found = judging.evidence(self._looked_for, self._passages, self._retrieval.often, size, None)
        return judging.answers(found, by_meaning=embedder is not None)

    # ---------------------------------------------------------------- what stands of it

    def _checked(self, text: str, answer: _Answer) -> _Checked:
        """A sentence with the citations that hold in place of those that were claimed, and those of them that are new.

        What stands between two marks is what the second one claims; what stands behind the last one belongs to it.
        """
        marks = list(_MARKS.finditer(text))
        bare = _MARKS.sub("", text)
        out, numbers, fresh, stands, at = "", list[int](), list[Citation](), bool(marks), 0
        for place, mark in enumerate(marks):
            told = text[at : mark.start()]
            tail = text[mark.end() :] if place == len(marks) - 1 else ""
            claim = told + (tail if weight(tail) else "")
            holding = self._holding(claim if weight(claim) >= _CLAIM else bare, mark.group(), answer, fresh)
            stands = stands and bool(holding)
            out += told + "".join(f" [{n}]" for n in holding)
            numbers += holding
            at = mark.end()
        return _Checked(Sentence(out + text[at:], stands, tuple(dict.fromkeys(numbers))), tuple(fresh))

    def _holding(self, claim: str, mark: str, answer: _Answer, fresh: list[Citation]) -> list[int]:
        """Numbers of citations that prove a claim; `fresh` gets those that were not there before."""
        holding: list[int] = []
        for number in dict.fromkeys(int(n) for n in _NUMBER.findall(mark)):
            if not 1 <= number <= len(self._passages):
                continue
            passage = self._passages[number - 1]
            said = self._retrieval.sentences(passage)
            found = proof(claim, [s.text for s in said], passage.names)
            if found is None:
                continue
            place = (number, found.first, found.end)
            if place not in answer.places:
                answer.places[place] = len(answer.places) + 1
                quoted = said[found.first : found.end]
                quote = " ".join(s.text for s in quoted)
                n = answer.places[place]
                fresh.append(Citation(n, passage.item_id, quoted[0].start_s, quoted[-1].end_s, quote))
            holding.append(answer.places[place])
        return holding

    # ---------------------------------------------------------------- what is kept and shown

    def _keep(self, answer: _Answer) -> None:
        asked = Message(USER, self._question, self._item_ids)
        told = Message(
            ASSISTANT,
            answer.text,
            self._item_ids,
            tuple(answer.citations),
            tuple(answer.sentences),
            answer.refused,
            answer.engine,
            answer.ended,
            self._usage(),
            frozenset(answer.reached),
        )
        self._nexus.parts.catalog.say(self.chat_id, self._nexus.owner, [asked, told], new=self._new)

    def _usage(self) -> Json | None:
        """What the engines report, of those that failed and of writing the question anew, too."""
        used = self._meter.usage
        return asdict(used) if used.numbers else None

    def _body(self, answer: _Answer, took_ms: float) -> Json:
        proven = any(s.supported for s in answer.sentences)
        return {
            "chat_id": self.chat_id,
            "answer": answer.text,
            "citations": [asdict(c) for c in answer.citations],
            "refused": answer.refused,
            "sentences": [history.sentence(s) for s in answer.sentences],
            "nearest": [] if proven else [p.hit for p in self._passages[:NEAREST]],
            "looked_for": self._looked_for,
            "engine": None if answer.refused and not answer.reached else answer.engine,
            "because": ", ".join(answer.because) or None,
            "ended": answer.ended,
            "usage": self._usage(),
            "took_ms": round(took_ms, 1),
        }


def _said(answer: _Answer, one: _Checked) -> Iterator[Event]:
    answer.sentences.append(one.sentence)
    answer.citations += one.citations
    yield from (Event(CITATION, asdict(c)) for c in one.citations)
    yield Event(TOKEN, history.sentence(one.sentence))

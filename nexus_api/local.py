"""What one can ask of Nexus, answered from the stores of this machine.

Answers are the contract's JSON (shown.py), so that a client of a server can stand in its place.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

from nexus_api import shown
from nexus_api.shown import Json
from nexus_pipeline.domain import waveform
from nexus_pipeline.domain.errors import NotFound
from nexus_pipeline.domain.items import LOCAL, Item
from nexus_pipeline.domain.listing import ItemQuery
from nexus_pipeline.domain.states import ItemState
from nexus_pipeline.domain.translations import closest
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts, write_transcript

if TYPE_CHECKING:
    from nexus_api.adding import Offered, Said, Sent
    from nexus_api.answering import Exchange
    from nexus_api.finding import By, Finding

PREFIX = 4
"""Characters of an id that people must write at least."""
TOGETHER = 200
"""Items in one transaction at most, where a person asks for many."""

Form = Literal["json", "txt", "srt", "vtt", "md"]


class Local:
    """Nexus on this machine, for the owner `local`. Raises what the stores raise (domain/errors.py)."""

    def __init__(
        self,
        settings: Settings,
        *,
        parts: Parts | None = None,
        owner: str = LOCAL,
        warn: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Opens nothing yet. `warn` is told what a person should know beside the answer."""
        self.parts = parts or Parts(settings)
        self.owner = owner
        self._warn = warn

    def item(self, item_id: str) -> Item:
        """One of the owner's items. Raises NotFound, for somebody else's as for none."""
        item = self.parts.catalog.get(item_id)
        if item.owner != self.owner:
            raise NotFound(f"no item {item_id}: see `nexus ls` for those that are there")
        return item

    # ---------------------------------------------------------------- items

    def id_of(self, told: str) -> str:
        """The whole id: people may write its first four characters or more, if no other id begins so.

        Raises NotFound for one that is not there, too short, or not the only one.
        """
        if len(told) < PREFIX:
            raise NotFound(f"{told!r} is too short for an id: write at least {PREFIX} characters of it")
        found = self.parts.catalog.ids(told.lower(), owner=self.owner)
        if not found:
            raise NotFound(f"there is no item {told}: `nexus ls` lists what there is")
        if len(found) > 1 and told.lower() not in found:
            raise NotFound(f"several ids begin with {told}: write more of it")
        return found[0]

    def get(self, item_id: str) -> Json:
        """One item."""
        return shown.item(self.item(item_id))

    def find(self, item_ids: Sequence[str]) -> list[Json]:
        """Those of these that are (still) there, in their order."""
        there = self.parts.catalog.find(item_ids)
        return [shown.item(there[i]) for i in item_ids if i in there and there[i].owner == self.owner]

    def looks(self) -> Iterator[None]:
        """When somebody who waits for items looks again."""
        from nexus_api import watching

        return watching.near()

    def page(self, *, limit: int, cursor: str | None = None, **filters: Any) -> Json:
        """Items, newest first. `filters`: those of domain.listing.ItemQuery."""
        return shown.listing(
            self.parts.catalog.page(ItemQuery(owner=self.owner, limit=limit, cursor=cursor, **filters)),
        )

    def patch(self, item_id: str, **told: Any) -> Json:
        """A person's title, tags, names of speakers or words of segments (editing.py); what is searched follows.

        Raises BadInput for a label or a segment that is not there.
        """
        from nexus_api import editing

        return shown.item(editing.patch(self.item(item_id), self.parts, **told))

    def edits(self, item_id: str, *, limit: int, cursor: str | None = None) -> Json:
        """What people wrote over the transcript, in the order in which they did."""
        from nexus_api import editing

        return editing.history(self.item(item_id), self.parts, limit, cursor)

    def transcript(self, item_id: str, form: Form, language: str | None = None) -> str:
        """In one of the contract's forms, in the spoken language or a translation.

        While it is being heard, what has been heard so far. Raises NotFound, saying which languages there are.
        """
        from nexus_pipeline.results import transcript_of, translations_of

        item = self.item(item_id)
        found = transcript_of(item, self.parts)
        if found is None:
            raise NotFound(f"item {item_id} has no transcript: {_why_none(item, 'transcript')}")
        others = translations_of(item, self.parts)
        languages = [*([found.language] if found.language else []), *others]
        if language is not None:
            chosen = closest(language, languages)
            if chosen is None:
                raise NotFound(self._no_language(item, language, found.language, others))
            found = others.get(chosen, found)
        if form == "json":
            return json.dumps(shown.transcript(item_id, found, languages), ensure_ascii=False, indent=2) + "\n"
        return write_transcript(found, form, item.title)

    def _no_language(self, item: Item, wanted: str, spoken: str | None, others: Iterable[str]) -> str:
        told = f"item {item.id} has no transcript in {wanted}: it is spoken in {spoken or 'a language nobody knows'}"
        if translated := ", ".join(others):
            told += f" and translated into {translated}"
        if closest(wanted, self.parts.settings.translate_to) is not None:
            return f"{told}; {_why_none(item, 'translation')}"
        return f"{told}; NEXUS_TRANSLATE_TO names the languages that items are translated into"

    def enrichment(self, item_id: str) -> Json:
        """What a model inferred. Raises NotFound."""
        from nexus_pipeline.results import enrichment_of

        item = self.item(item_id)
        found = enrichment_of(item, self.parts)
        if found is None:
            raise NotFound(f"item {item_id} has no enrichment: {_why_none(item, 'enrichment')}")
        return asdict(found)

    def action_items(self, *, done: bool | None = None, limit: int = 50, cursor: str | None = None) -> Json:
        """What was promised in all items, those of the newest first; `done`: only what is, or is not."""
        return shown.promises(self.parts.catalog.promises(self.owner, done=done, limit=limit, cursor=cursor))

    def change_action_item(self, item_id: str, n: int, **changes: Any) -> Json:
        """A person's tick or change, which later runs keep; a duplicate's is its first's. Raises NotFound."""
        from nexus_pipeline.results import enrichment_of

        item = self.item(item_id)
        first = item if item.duplicate_of is None else self.item(item.duplicate_of)
        found = None if self.parts.catalog.action_items(first.id) else enrichment_of(first, self.parts)
        told = {name: None if value == "" else value for name, value in changes.items()}
        seed = found.action_items if found else ()
        changed = self.parts.catalog.change_action_item(first.id, n, told, seed=seed)
        return asdict(replace(changed, at_s=round(changed.at_s - item.duplicate_offset_s, 3)))

    def speakers(self, item_id: str) -> Json:
        """Who speaks, and who they may be. Of a copy: in its first."""
        from nexus_api import voices

        item = self.item(item_id)
        return voices.speakers(self.item(item.duplicate_of) if item.duplicate_of else item, self.parts)

    def waveform(self, item_id: str, points: int) -> Json:
        """Peaks for drawing, evenly over the item. Raises NotFound."""
        from nexus_pipeline.results import peaks_of

        item = self.item(item_id)
        found = peaks_of(item, self.parts)
        if found is None:
            raise NotFound(f"item {item_id} has no waveform: {_why_none(item, 'fingerprint')}")
        duration_s = round(item.duration_s or 0.0, 3)
        return {"item_id": item_id, "duration_s": duration_s, "peaks": waveform.drawn(found, points)}

    # ---------------------------------------------------------------- adding

    def add_file(
        self, file: "Offered", wishes: "Said", progress: "Sent" = lambda _done, _of: None
    ) -> tuple[Json, bool]:
        """Into the inbox, unless it is there already; the item, and whether it is new. `progress`: bytes of all."""
        from nexus_api.adding import add_file

        added = add_file(self.parts, file, wishes, progress)
        return shown.item(added.item), added.new

    def add_url(self, url: str, wishes: "Said") -> tuple[Json, bool]:
        """Ask for it, unless it is there already; the item, and whether it is new."""
        from nexus_api.adding import add_url

        added = add_url(self.parts, url, wishes)
        return shown.item(added.item), added.new

    # ---------------------------------------------------------------- searching

    @property
    def finding(self) -> "Finding":
        """Searches, suggestions and one's own history."""
        from nexus_api.finding import Finding

        return Finding(self.parts, self.owner, self._warn)

    def search(self, words: str, *, mode: str, limit: int, filters: Mapping[str, Any], **how: Any) -> Json:
        """The contract's search body; `how`: offset, group, merge, site, keep (Finding.search). Raises BadInput."""
        return self.finding.search(words, mode=mode, limit=limit, filters=filters, **how)

    def similar(self, item_id: str, limit: int, by: "By" = "sound", cursor: str | None = None) -> Json:
        """Items that share sound with it: copies, excerpts, then shared stretches; or that say the like of it."""
        return self.finding.similar(self.item(item_id), limit, by, cursor)

    # ---------------------------------------------------------------- chat

    def exchange(self, question: str, **about: Any) -> "Exchange":
        """A question that is about to be answered (answering.Exchange says what it may be about). Raises NotFound."""
        from nexus_api.answering import Exchange

        return Exchange(self, question, **about)

    def chat(self, question: str, **about: Any) -> Json:
        """The contract's answer. Raises NotFound, BadInput, EngineError."""
        return [event.data for event in self.exchange(question, **about).events()][-1]

    def chatting(self, question: str, **about: Any) -> Iterator[Mapping[str, Any]]:
        """The same as it comes: `{"event": "token" or "citation" or "done", "data"}`; closing it stops the answer."""
        for event in self.exchange(question, **about).events():
            yield {"event": event.event, "data": event.data}

    def chats(self, *, limit: int = 50, cursor: str | None = None) -> Json:
        """What one has asked, the chat last spoken in first."""
        from nexus_api.answering import history

        return history.chats(self.parts.catalog.chats(self.owner, limit=limit, cursor=cursor))

    def chat_messages(self, chat_id: str, *, limit: int = 200, cursor: str | None = None) -> Json:
        """A chat with its messages. Raises NotFound."""
        from nexus_api.answering import history

        return history.conversation(self.parts.catalog, self.owner, chat_id, limit, cursor)

    def forget_chat(self, chat_id: str) -> None:
        """It goes with all that was said in it. Raises NotFound."""
        self.parts.catalog.forget_chat(chat_id, self.owner)

    # ---------------------------------------------------------------- asks

    def ask(self, ask: str, item_ids: Sequence[str], from_step: str | None = None) -> list[Json]:
        """Retry, rerun, cancel: the items as they are now; what runs carries it out. Raises NotFound."""
        for item_id in item_ids:
            self.item(item_id)
        return [shown.item(item) for item in self.parts.catalog.ask(ask, item_ids, from_step=from_step)]

    def ask_all(self, ask: str, from_step: str | None = None, **filters: Any) -> Iterator[list[Json]]:
        """The same for every item that the filters of a listing name, 200 in a transaction; those items.

        What is asked for may leave the listing, so where the next ones begin is read before.
        """
        cursor: str | None = None
        while True:
            query = ItemQuery(owner=self.owner, limit=TOGETHER, cursor=cursor, **filters)
            page = self.parts.catalog.page(query)
            there = [item.id for item in self.parts.catalog.find([item.id for item in page.items]).values()]
            if there:
                yield [shown.item(item) for item in self.parts.catalog.ask(ask, there, from_step=from_step)]
            cursor = page.next_cursor
            if cursor is None:
                return

    def retry_all(self) -> list[Json]:
        """Ask for every failed item again."""
        return [item for some in self.ask_all("retry", states=(ItemState.FAILED,)) for item in some]

    def erase(self, item_id: str) -> Json:
        """Everything of the item goes; what went."""
        from nexus_pipeline import upkeep

        self.item(item_id)
        upkeep.erase(self.parts, item_id)
        return self.receipt(item_id)

    def bury(self, item_id: str) -> None:
        """Gone from every answer from now on. Raises NotFound."""
        from nexus_pipeline import upkeep

        self.item(item_id)
        upkeep.bury(self.parts, item_id)

    def finish_erasing(self) -> None:
        """Erase what is buried and not gone yet."""
        from nexus_pipeline import upkeep

        upkeep.finish_erasing(self.parts)

    def receipt(self, item_id: str) -> Json:
        """What went with an erased item. Raises NotFound where none of the owner's was erased under this id."""
        told = self.parts.catalog.receipt(item_id)
        if told.owner != self.owner:
            raise NotFound(f"no receipt of an item {item_id}: nothing of this id was erased")
        return shown.receipt(told)

    def all_there(self, item_ids: Sequence[str]) -> None:
        """Raises NotFound, naming those that are not there."""
        for at in range(0, len(item_ids), TOGETHER):
            some = item_ids[at : at + TOGETHER]
            there = {item.id for item in self.parts.catalog.find(some).values() if item.owner == self.owner}
            missing = [item_id for item_id in some if item_id not in there]
            if missing:
                raise NotFound(f"no item {', '.join(missing[:10])}: see `nexus ls` for those that are there")

    # ---------------------------------------------------------------- upkeep

    def rebuild(self, progress: Callable[[int], None]) -> Json:
        """Write the archive anew from blobs and catalog; counts."""
        from nexus_pipeline import upkeep

        return dict(upkeep.rebuild(self.parts, progress))

    def tend(self, *, full: bool) -> Json:
        """Compact, index and clean; numbers of what was done."""
        from nexus_pipeline import upkeep

        return dict(upkeep.tend(self.parts, full=full))

    def check(self, progress: Callable[[int], None] = lambda _done: None) -> list[str]:
        """What disagrees between the stores."""
        from nexus_pipeline import upkeep

        return upkeep.check(self.parts, progress)

    def models(self, *, check: bool = False) -> list[Json]:
        """Engines and models; `check`: by their digests."""
        from nexus_api.models import listed

        return listed(self.parts, check=check)

    def count(self) -> int:
        """Items, tombstones left out."""
        return sum(self.parts.catalog.counts().values())


def _why_none(item: Item, name: str) -> str:
    step = item.step(name)
    if step.error_message:
        return step.error_message
    return f"the step is {step.state}" + (f" ({step.reason})" if step.reason else "")

"""What one can ask of Nexus, answered from the stores of this machine.

Answers are the contract's JSON (shown.py), so that a client of a server can stand in its place.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from nexus_api import shown
from nexus_api.shown import Json
from nexus_pipeline.domain.errors import ModelMissing, NotFound
from nexus_pipeline.domain.items import LOCAL, Item
from nexus_pipeline.domain.listing import ItemQuery
from nexus_pipeline.domain.search import Query
from nexus_pipeline.domain.states import ItemState
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts, write_transcript

if TYPE_CHECKING:
    from nexus_api.adding import Added, Offered, Said
    from nexus_pipeline.ports import Vectors

PREFIX = 4
"""Characters of an id that people must write at least."""
TOGETHER = 200
"""Items in one transaction at most, where a person asks for many."""

Form = Literal["json", "txt", "srt", "vtt", "md"]


class Local:
    """Nexus on this machine, for the owner `local`. Raises what the stores raise (domain/errors.py)."""

    def __init__(self, settings: Settings, *, warn: Callable[[str], None] = lambda _text: None) -> None:
        """Opens nothing yet. `warn` is told what a person should know beside the answer."""
        self.parts = Parts(settings)
        self._warn = warn

    # ---------------------------------------------------------------- items

    def id_of(self, told: str) -> str:
        """The whole id: people may write its first four characters or more, if no other id begins so.

        Raises NotFound for one that is not there, too short, or not the only one.
        """
        if len(told) < PREFIX:
            raise NotFound(f"{told!r} is too short for an id: write at least {PREFIX} characters of it")
        found = self.parts.catalog.ids(told.lower(), owner=LOCAL)
        if not found:
            raise NotFound(f"there is no item {told}: `nexus ls` lists what there is")
        if len(found) > 1 and told.lower() not in found:
            raise NotFound(f"several ids begin with {told}: write more of it")
        return found[0]

    def get(self, item_id: str) -> Json:
        """One item."""
        return shown.item(self.parts.catalog.get(item_id))

    def find(self, item_ids: Sequence[str]) -> list[Json]:
        """Those of these that are (still) there."""
        return [shown.item(item) for item in self.parts.catalog.find(item_ids).values()]

    def page(self, *, limit: int, cursor: str | None = None, **filters: Any) -> Json:
        """Items, newest first. `filters`: those of domain.listing.ItemQuery."""
        return shown.listing(
            self.parts.catalog.page(ItemQuery(owner=LOCAL, limit=limit, cursor=cursor, **filters)),
        )

    def transcript(self, item_id: str, form: Form) -> str:
        """In one of the contract's forms; while it is being heard, what has been heard so far. Raises NotFound."""
        from nexus_pipeline.results import transcript_of

        item = self.parts.catalog.get(item_id)
        found = transcript_of(item, self.parts)
        if found is None:
            raise NotFound(f"item {item_id} has no transcript: {_why_none(item)}")
        if form == "json":
            return json.dumps(shown.transcript(item_id, found), ensure_ascii=False, indent=2) + "\n"
        return write_transcript(found, form, item.title)

    # ---------------------------------------------------------------- adding

    def add_file(self, file: "Offered", wishes: "Said") -> "Added":
        """Into the inbox, unless it is there already."""
        from nexus_api.adding import add_file

        return add_file(self.parts, file, wishes)

    def add_url(self, url: str, wishes: "Said") -> "Added":
        """Ask for it, unless it is there already."""
        from nexus_api.adding import add_url

        return add_url(self.parts, url, wishes)

    # ---------------------------------------------------------------- searching

    def search(self, words: str, *, mode: str, limit: int, filters: Mapping[str, Any]) -> Json:
        """The contract's search body. Raises BadInput for a filter that is none, ModelMissing for meaning alone."""
        began = time.perf_counter()
        vector = None
        if mode != "words":
            mode, vector = self._vector(words, mode)
        query = Query(words, mode, {**filters, "owner": LOCAL}, limit)
        found = self.parts.archive.search(query, vector)
        items = self.parts.catalog.find(list(dict.fromkeys(hit.item_id for hit in found.hits)))
        took_ms = (time.perf_counter() - began) * 1000
        return shown.found(found, items, self.parts.settings.site, took_ms)

    def _vector(self, words: str, mode: str) -> "tuple[str, Vectors | None]":
        """The query's vector; without the model, words alone still find something."""
        try:
            return mode, self.parts.engines.embedder().embed([words])[0]
        except ModelMissing as error:
            if mode != "hybrid":
                raise
            self._warn(f"Searching by words only: {error}")
            return "words", None

    # ---------------------------------------------------------------- asks

    def ask(self, ask: str, item_ids: Sequence[str], from_step: str | None = None) -> list[Json]:
        """Retry, rerun, cancel: the items as they are now; what runs carries it out."""
        return [shown.item(item) for item in self.parts.catalog.ask(ask, item_ids, from_step=from_step)]

    def retry_all(self) -> list[Json]:
        """Ask for every failed item again."""
        failed = list(self._ids(ItemState.FAILED))
        asked: list[Json] = []
        while some := list(islice(failed, len(asked), len(asked) + TOGETHER)):
            asked += self.ask("retry", some)
        return asked

    def _ids(self, state: ItemState) -> Iterator[str]:
        cursor: str | None = None
        while True:
            page = self.parts.catalog.page(ItemQuery(owner=LOCAL, states=(state,), limit=TOGETHER, cursor=cursor))
            yield from (item.id for item in page.items)
            cursor = page.next_cursor
            if cursor is None:
                return

    def erase(self, item_id: str) -> Json:
        """Everything of the item goes; what went."""
        from nexus_pipeline import upkeep

        return dict(upkeep.erase(self.parts, item_id))

    # ---------------------------------------------------------------- upkeep

    def rebuild(self, progress: Callable[[int], None]) -> Json:
        """Write the archive anew from blobs and catalog; counts."""
        from nexus_pipeline import upkeep

        return dict(upkeep.rebuild(self.parts, progress))

    def tend(self, *, full: bool) -> Json:
        """Compact, index and clean; numbers of what was done."""
        from nexus_pipeline import upkeep

        return dict(upkeep.tend(self.parts, full=full))

    def check(self) -> list[str]:
        """What disagrees between the stores."""
        from nexus_pipeline import upkeep

        return upkeep.check(self.parts)

    def count(self) -> int:
        """Items, tombstones left out."""
        return sum(self.parts.catalog.counts().values())


def _why_none(item: Item) -> str:
    step = item.step("transcript")
    if step.error_message:
        return step.error_message
    return f"the step is {step.state}" + (f" ({step.reason})" if step.reason else "")

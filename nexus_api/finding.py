"""Searches as `Local` answers them, what one is offered while one types, and one's own history where it is kept."""

import base64
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from nexus_api import shown
from nexus_api.reranking import searched, vector_of
from nexus_api.shown import Json
from nexus_pipeline.domain import syntax
from nexus_pipeline.domain.asking import content
from nexus_pipeline.domain.errors import BadInput, ModelMissing, StoreError
from nexus_pipeline.domain.fingerprints import Related
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.questions import entitled
from nexus_pipeline.domain.search import Near, Query
from nexus_pipeline.wiring import Parts

if TYPE_CHECKING:
    from nexus_pipeline.ports import Vectors

log = logging.getLogger(__name__)

View = Literal["all", "unanswered", "frequent"]
By = Literal["sound", "meaning"]


class Finding:
    """One owner's."""

    def __init__(self, parts: Parts, owner: str, warn: Callable[[str], None]) -> None:
        """`warn` is told what a person should know beside the answer."""
        self._parts, self._owner, self._warn = parts, owner, warn

    def search(
        self,
        words: str,
        *,
        mode: str,
        limit: int,
        filters: Mapping[str, Any],
        offset: int = 0,
        group: str | None = None,
        merge: bool = True,
        site: str | None = None,
        keep: bool = True,
    ) -> Json:
        """The contract's search body; `keep`: whether it stands in the history, where one is kept.

        Raises BadInput for what cannot be asked, ModelMissing for meaning alone.
        """
        began = time.perf_counter()
        if "owner" in filters:
            raise BadInput("the owner is whoever searches: it is no filter")
        asked_mode, vector = mode, None
        query = Query(words, mode, {**filters, "owner": self._owner}, limit, offset, merge, group)
        if mode == "hybrid":
            query = replace(query, today=datetime.now(UTC).date(), entitled=self._entitled(words))
        if mode != "words":
            mode, vector = self._vector(syntax.read(words).text, mode, query.today)
        found = searched(self._parts, replace(query, mode=mode), vector, self._warn)
        ids = [hit.item_id for hit in found.hits]
        items = self._parts.catalog.find(list(dict.fromkeys(ids)))
        took_ms = (time.perf_counter() - began) * 1000
        body = shown.found(found, items, self._parts.settings.site if site is None else site, took_ms)
        kept = self._kept(words, asked_mode, filters, found.total, body["took_ms"]) if keep and offset == 0 else None
        return body | {"search_id": kept}

    def _entitled(self, words: str) -> dict[str, float]:
        """The items that are named by their titles, and how surely."""
        titles = self._parts.catalog.titles(self._owner, " ".join(content(words)))
        sure = entitled(words, dict.fromkeys(titles.values()))
        return {item_id: sure[title] for item_id, title in titles.items() if title in sure}

    def _vector(self, words: str, mode: str, today: date | None) -> "tuple[str, Vectors | None]":
        """The query's vector; without the model, words alone still find something."""
        try:
            return mode, vector_of(words, self._parts.engines.embedder(), today)
        except ModelMissing as error:
            if mode != "hybrid":
                raise
            self._warn(f"Searching by words only: {error}")
            return "words", None

    def _kept(self, words: str, mode: str, filters: Mapping[str, Any], hits: int, took_ms: float) -> int | None:
        """Its number in the history; None where none is kept. A history that cannot be written costs no search."""
        if not self._parts.settings.history:
            return None
        try:
            return self._parts.catalog.remember(
                self._owner, words, mode=mode, filters=filters, hits=hits, took_ms=took_ms
            )
        except StoreError as error:
            log.warning("a search is not kept code=%s", error.code)
            return None

    # ---------------------------------------------------------------- while one types, and afterwards

    def suggest(self, begin: str, limit: int) -> Json:
        """Titles, tags and speakers that begin so."""
        found = self._parts.catalog.suggest(self._owner, begin, limit)
        return {"items": [{"kind": one.kind, "text": one.text, "item_id": one.item_id} for one in found]}

    def searches(self, view: View, limit: int, cursor: str | None) -> Json:
        """What the owner has searched for, the newest first; of `frequent` the most frequent first, without more."""
        if view == "frequent":
            told = self._parts.catalog.frequent(self._owner, limit)
            return {"items": [shown.frequent(one) for one in told], "next_cursor": None}
        page = self._parts.catalog.searches(self._owner, unanswered=view == "unanswered", limit=limit, cursor=cursor)
        return {"items": [shown.searched(one) for one in page.items], "next_cursor": page.next_cursor}

    def opened(self, search_id: int, item_id: str, start_s: float) -> None:
        """A hit was opened. Raises NotFound."""
        self._parts.catalog.opened(self._owner, search_id, item_id, start_s)

    def forget(self) -> Json:
        """The owner's history goes, out of the catalog's files too; how many searches it had."""
        count = self._parts.catalog.forget_searches(self._owner)
        self._parts.catalog.scrub()
        return {"count": count}

    def similar(self, item: Item, limit: int, by: By, cursor: str | None = None) -> Json:
        """Items that share sound with one, or that say the like of it: of a copy, the like of its first.

        Raises BadInput for a cursor of another listing.
        """
        after, catalog = None if cursor is None else _opened(by, cursor), self._parts.catalog
        if by == "sound":
            related, more = _page(catalog.related(item.id, None), limit, after)
            others = catalog.find([one.other_id for one in related])
            told = [shown.similar(one, others[one.other_id]) for one in related if one.other_id in others]
            last = related[-1].rank if more else None
        else:
            first = item.duplicate_of or item.id
            near, more = _page(self._parts.archive.near(first, owner=item.owner), limit, after)
            others = catalog.find([one.item_id for one in near])
            told = [shown.near(one, others[one.item_id]) for one in near if one.item_id in others]
            last = near[-1].rank if more else None
        return {"items": told, "next_cursor": None if last is None else _cursor(by, last)}


Rank = tuple[int, float, str]
R = TypeVar("R", Related, Near)


def _page(ranked: Sequence[R], limit: int, after: Rank | None) -> tuple[Sequence[R], bool]:
    """Those behind a place in the list, and whether there are more."""
    behind = [one for one in ranked if after is None or one.rank > after]
    return behind[:limit], len(behind) > limit


def _cursor(by: By, last: Rank) -> str:
    """Which place the last one of a page has: what comes or goes meanwhile moves nothing."""
    return base64.urlsafe_b64encode(json.dumps([by, *last]).encode()).decode()


def _opened(by: By, cursor: str) -> Rank:
    try:
        of, kind, much, item_id = json.loads(base64.urlsafe_b64decode(cursor))
        rank = int(kind), float(much), str(item_id)
    except (ValueError, TypeError, OverflowError) as error:  # binascii's error is a ValueError
        raise BadInput("this cursor is none: begin without one") from error
    if of != by:
        raise BadInput("this cursor is of a listing in another order: begin without one")
    return rank

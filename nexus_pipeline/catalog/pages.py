"""Listings of items: newest first or by title, a page at a time, each on an index.

A cursor names the last item of a page, so what is added meanwhile moves nothing. Where several states are wanted each
is listed on its own and the lists are merged: one listing of several would be sorted by the database.
"""

import base64
import heapq
import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from nexus_pipeline.catalog.rows import title_key
from nexus_pipeline.catalog.store import Store
from nexus_pipeline.catalog.tables import EPOCH, FILTERS, item_steps, item_tags, items
from nexus_pipeline.domain.errors import BadInput
from nexus_pipeline.domain.listing import ItemQuery, Page
from nexus_pipeline.domain.states import ItemState, State

ID_LENGTH = 16
"""Characters of a whole id (domain.items.item_id)."""
LONGEST = 1000
"""Items on a page at most."""
_TICK = timedelta(microseconds=1)


class Pages(Store):
    """Listings."""

    def page(self, query: ItemQuery) -> Page:
        """A page of items: by `created_at` the newest first, by `title` from a to z without regard to case.

        `q` is any part of the title's first 200 characters, without regard to case; it is looked for along the
        listing's own order. `limit` is at most 1,000.

        Raises BadInput for an unknown order or a cursor of another listing.
        """
        if query.sort not in {"created_at", "title"}:
            raise BadInput(f"items are not listed by {query.sort}: by created_at or title")
        after = None if query.cursor is None else _opened(query)
        limit = min(max(query.limit, 1), LONGEST)
        with self.reading() as r:
            lists = [r.db.execute(told.limit(limit + 1)).all() for told in selects(query, after)]
            descending = query.sort == "created_at"
            keys: list[Any] = list(heapq.merge(*lists, key=tuple, reverse=descending))[: limit + 1]
            found = r.items([key[1] for key in keys[:limit]])
        more = len(keys) > limit
        return Page(tuple(found.values()), _cursor(query.sort, keys[limit - 1]) if more else None)


def selects(query: ItemQuery, after: tuple[Any, str] | None) -> list[sa.Select[Any]]:
    """The statements that a page is merged from: sort key and id, in order, without limit."""
    # an exhausted item is a failed one: along that index there are few
    wanted = query.states or ((ItemState.FAILED,) if query.exhausted else ())
    states: Sequence[Any] = tuple(dict.fromkeys(wanted)) or (None,)
    return [_select(query, None if state is None else str(state), after) for state in states]


def _select(query: ItemQuery, state: str | None, after: tuple[Any, str] | None) -> sa.Select[Any]:
    by_tag = query.tag is not None and query.sort == "created_at"
    key: sa.ColumnElement[Any] = items.c.title_key if query.sort == "title" else items.c.created_at
    item_id: sa.ColumnElement[str] = items.c.id
    if by_tag:  # the tags' own index has the order
        key, item_id = item_tags.c.created_at, item_tags.c.item_id
    told = sa.select(key, item_id)
    if by_tag:
        told = told.join(items, items.c.id == item_tags.c.item_id).where(item_tags.c.tag == query.tag)
    elif query.tag is not None:
        told = told.where(sa.exists().where(item_tags.c.item_id == items.c.id, item_tags.c.tag == query.tag))
    owner = item_tags.c.owner if by_tag else items.c.owner
    told = told.where(items.c.deleted_at.is_(None))
    if query.owner is not None:
        told = told.where(owner == query.owner)
    for name in FILTERS:
        wanted = state if name == "state" else getattr(query, name)
        if wanted is not None:
            told = told.where(items.c[name] == str(wanted))
    told = told.where(*_narrowed(query))
    ascending = query.sort == "title"
    told = told.order_by(key, item_id) if ascending else told.order_by(key.desc(), item_id.desc())
    if after is None:
        return told
    here, there = sa.tuple_(key, item_id), sa.tuple_(sa.literal(after[0], key.type), sa.literal(after[1], sa.Text()))
    return told.where(here > there if ascending else here < there)


def _narrowed(query: ItemQuery) -> Iterator[sa.ColumnElement[bool]]:
    """What no index answers: looked at along the listing's own order."""
    if query.ids:
        whole = [told.lower() for told in query.ids if len(told) >= ID_LENGTH]
        begun = [told.lower() for told in query.ids if len(told) < ID_LENGTH]
        spans = (sa.and_(items.c.id >= told, items.c.id < told + "~") for told in begun)  # "~" comes after base32
        yield sa.or_(items.c.id.in_(whole), *spans)
    if query.exhausted is not None:
        dead = sa.exists().where(
            item_steps.c.item_id == items.c.id,
            item_steps.c.state == State.FAILED.value,
            item_steps.c.retryable.is_(True),
            item_steps.c.next_attempt_at.is_(None),
        )
        yield dead if query.exhausted else ~dead
    if query.q:
        yield items.c.title_key.contains(title_key(query.q), autoescape=True)


def _cursor(sort: str, key: Sequence[Any]) -> str:
    told = key[0] if sort == "title" else (key[0] - EPOCH) // _TICK
    return base64.urlsafe_b64encode(json.dumps([sort, told, key[1]]).encode()).decode()


def _opened(query: ItemQuery) -> tuple[Any, str]:
    try:
        sort, told, item_id = json.loads(base64.urlsafe_b64decode(query.cursor or ""))
        key = str(told) if sort == "title" else EPOCH + timedelta(microseconds=told)
    except (ValueError, TypeError, OverflowError) as error:  # binascii's error is a ValueError
        raise BadInput("this cursor is none: begin without one") from error
    if sort != query.sort:
        raise BadInput("this cursor is of a listing in another order: begin without one")
    return key, str(item_id)

"""What people have searched for, for themselves alone: kept where they want it, for a while, forgotten at a word."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from nexus_pipeline.catalog.finding_tables import opened_hits, searches
from nexus_pipeline.catalog.rows import title_key
from nexus_pipeline.catalog.store import Reading, Store, Writing
from nexus_pipeline.domain.errors import BadInput, NotFound
from nexus_pipeline.domain.history import Frequent, Opened, Searched, Searches

KEPT = 10_000
"""Searches of an owner at most."""
KEPT_FOR = timedelta(days=90)
LOOKED_EVERY = 100
"""What is too old or too much goes with every hundredth search."""
TYPED_ON = timedelta(seconds=10)
"""A search whose text goes on from the one before, within so long, takes its place: it was still being typed."""
LONGEST = 1000
"""Searches on a page at most."""

_s = searches.c
_TOLD = (_s.id, _s.query, _s.mode, _s.filters, _s.hits, _s.took_ms, _s.opened.label("opened_count"), _s.at)


class History(Store):
    """Each owner sees and forgets their own."""

    def remember(
        self, owner: str, query: str, *, mode: str, filters: Mapping[str, Any], hits: int, took_ms: float
    ) -> int:
        """Keep a search; the number by which its hits are opened later."""
        values: dict[str, Any] = {"query": query, "query_key": title_key(query), "mode": mode, "filters": dict(filters)}
        values |= {"hits": hits, "took_ms": took_ms}
        with self.writing() as w:
            values["at"] = w.at
            last = w.db.execute(
                sa.select(_s.id, _s.query_key, _s.opened, _s.at)
                .where(_s.owner == owner)
                .order_by(_s.id.desc())
                .limit(1)
            ).one_or_none()
            if last is not None and _goes_on(last, values):
                w.db.execute(searches.update().where(_s.id == last.id).values(**values))
                return int(last.id)
            made = w.db.execute(searches.insert().values(owner=owner, opened=0, **values).returning(_s.id))
            number = int(made.scalar_one())
            if number % LOOKED_EVERY == 0:
                _prune(w, owner)
            return number

    def opened(self, owner: str, search_id: int, item_id: str, start_s: float) -> None:
        """A hit of it was opened; twice is once. Raises NotFound for somebody else's search as for none."""
        with self.writing() as w:
            there = sa.select(_s.id).where(_s.id == search_id, _s.owner == owner)
            if w.db.execute(there).one_or_none() is None:
                raise NotFound(f"no search {search_id}: it is not kept, or forgotten by now")
            if w.all_of([item_id])[item_id].owner != owner:
                raise NotFound(f"no item {item_id}: see `nexus ls` for those that are there")
            c = opened_hits.c
            mark = (c.search_id == search_id, c.item_id == item_id, c.start_s == start_s)
            if w.db.execute(sa.select(c.at).where(*mark)).one_or_none() is None:
                told = {"search_id": search_id, "item_id": item_id, "start_s": start_s, "at": w.at}
                w.db.execute(opened_hits.insert(), told)
                w.db.execute(searches.update().where(_s.id == search_id).values(opened=_s.opened + 1))

    def searches(self, owner: str, *, unanswered: bool = False, limit: int = 50, cursor: str | None = None) -> Searches:
        """The owner's searches, the newest first; `unanswered`: those of which no hit was opened."""
        limit = min(max(limit, 1), LONGEST)
        with self.reading() as r:
            rows = r.db.execute(select(owner, _number(cursor), unanswered=unanswered).limit(limit + 1)).all()
            opened = _opened(r, [row.id for row in rows[:limit]])
        found = tuple(Searched(**row._asdict(), opened=tuple(opened.get(row.id, ()))) for row in rows[:limit])
        return Searches(found, str(rows[limit - 1].id) if len(rows) > limit else None)

    def frequent(self, owner: str, limit: int = 50) -> list[Frequent]:
        """What the owner has searched for more than once, the most frequent first."""
        times, last = sa.func.count(), sa.func.max(_s.id)
        told = (
            sa.select(last.label("id"), times.label("times"), sa.func.sum(_s.opened).label("opened"))
            .where(_s.owner == owner)
            .group_by(_s.query_key)
            .having(times > 1)
            .order_by(times.desc(), last.desc())
            .limit(min(max(limit, 1), LONGEST))
            .subquery()
        )
        query = sa.select(_s.query, told.c.times, told.c.opened, _s.hits, _s.at).join(told, told.c.id == _s.id)
        with self.reading() as r:
            rows = r.db.execute(query.order_by(told.c.times.desc(), told.c.id.desc())).all()
        return [Frequent(query, times, int(opened), hits, at) for query, times, opened, hits, at in rows]

    def forget_searches(self, owner: str) -> int:
        """All of the owner's; how many."""
        with self.writing() as w:
            return _forget(w, _s.owner == owner)


def select(owner: str, before: int | None, *, unanswered: bool) -> sa.Select[Any]:
    """The statement of a listing: in order, without limit."""
    told = sa.select(*_TOLD).where(_s.owner == owner).order_by(_s.id.desc())
    if unanswered:
        told = told.where(_s.opened == sa.literal_column("0"))  # as its index says it
    return told if before is None else told.where(_s.id < before)


def _goes_on(last: Any, new: Mapping[str, Any]) -> bool:
    typed_on = new["query_key"].startswith(last.query_key) and new["at"] - last.at <= TYPED_ON
    return bool(typed_on and not last.opened)


def _prune(w: Writing, owner: str) -> None:
    beyond = sa.select(_s.id).where(_s.owner == owner).order_by(_s.id.desc()).offset(KEPT).limit(1)
    oldest = w.db.execute(beyond).scalar_one_or_none()
    if oldest is not None:
        _forget(w, (_s.owner == owner) & (_s.id <= oldest))
    _forget(w, (_s.owner == owner) & (_s.at < w.at - KEPT_FOR))


def _forget(w: Writing, which: sa.ColumnElement[bool]) -> int:
    w.db.execute(opened_hits.delete().where(opened_hits.c.search_id.in_(sa.select(_s.id).where(which))))
    return w.db.execute(searches.delete().where(which)).rowcount


def _opened(r: Reading, search_ids: Sequence[int]) -> dict[int, list[Opened]]:
    found: dict[int, list[Opened]] = {}
    c = opened_hits.c
    told = sa.select(c.search_id, c.item_id, c.start_s, c.at).where(c.search_id.in_(search_ids)).order_by(c.at)
    for search_id, *rest in r.db.execute(told):
        found.setdefault(search_id, []).append(Opened(*rest))
    return found


def _number(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):  # noqa: PLR2004 - what a database counts to
        raise BadInput("this cursor is none: begin without one")
    return int(cursor)

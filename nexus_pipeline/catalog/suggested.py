"""Titles, tags and speakers as one types, and titles by their words.

Rows come with what they are of (a title when it is set, speakers and a model's tags when an item is embedded) and go
with their item when it is buried.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from nexus_pipeline.catalog.by_word import words_of
from nexus_pipeline.catalog.finding_tables import suggestions
from nexus_pipeline.catalog.store import Store
from nexus_pipeline.catalog.tables import storable
from nexus_pipeline.domain.history import Suggestion

LOOKS, ROWS = 8, 60
"""An answer is made of so many reads of so many rows at most."""
LONGEST = 50
"""Suggestions in one answer at most."""
TITLES = 30
"""Titles of one word at most: a word of more of them hardly says which item is meant."""
SHOWN = {"title": "title", "tag": "tag", "inferred": "tag", "speaker": "speaker"}
"""Kinds as they are kept, and as people see them."""


class Suggested(Store):
    """Reading; `store.Writing.suggest` writes."""

    def suggest(self, owner: str, begin: str, limit: int = 10) -> list[Suggestion]:
        """Titles, tags and speakers of the owner's items in which every word stands, the last one as a beginning.

        What begins with all that was typed comes first, then in the order of the words found.
        """
        typed = words_of(begin)
        if not typed:
            return []
        key = storable(begin).casefold().strip()
        found: dict[tuple[str, str], Suggestion] = {}
        with self.reading() as r:
            for row in _rows(r.db, owner, typed):
                kind = SHOWN[row.kind]
                if _fits(typed, row.text):
                    found.setdefault((kind, row.text.casefold()), Suggestion(kind, row.text, row.item_id))
        ordered = sorted(found.values(), key=lambda one: not one.text.casefold().startswith(key))
        return ordered[: min(max(limit, 1), LONGEST)]

    def titles(self, owner: str, words: str) -> dict[str, str]:
        """Titles of the owner's items in which any of the words stands, by the item; of each word the first 30."""
        wanted = [select(owner, word, None, whole=True, kind="title").limit(TITLES) for word in words_of(words)]
        if not wanted:
            return {}
        each = (sa.select(one.c.item_id, one.c.text) for one in (some.subquery() for some in wanted))
        with self.reading() as r:
            return {row.item_id: row.text for row in r.db.execute(sa.union(*each))}


def select(
    owner: str, word: str, after: tuple[str, str, str] | None, *, whole: bool, kind: str | None = None
) -> sa.Select[Any]:
    """The statement of one read: rows whose word is this one or begins so, behind a word, kind and text; in order."""
    c = suggestions.c
    key = (c.word, c.kind, c.text)
    told = sa.select(*key, c.item_id).where(c.owner == owner).order_by(*key, c.item_id)
    if whole:
        told = told.where(c.word == word)
    elif after is None:
        told = told.where(c.word >= word)
    if not whole:
        told = told.where(c.word < word + "\U0010ffff")
    if kind is not None:
        told = told.where(c.kind == kind)
    if after is None:
        return told
    first = 1 if whole else 0  # of one word, the order is that of the rest
    there = (sa.literal(value, one.type) for value, one in zip(after[first:], key[first:], strict=True))
    return told.where(sa.tuple_(*key[first:]) > sa.tuple_(*there))


def _rows(db: sa.Connection, owner: str, typed: list[str]) -> Iterator[Any]:
    """Along the longest word that was typed; the same text of many items is skipped."""
    word = max(typed, key=len)
    whole = word != typed[-1]
    after: tuple[str, str, str] | None = None
    for _ in range(LOOKS):
        some = db.execute(select(owner, word, after, whole=whole).limit(ROWS)).all()
        yield from some
        if len(some) < ROWS:
            return
        after = (some[-1].word, some[-1].kind, some[-1].text)


def _fits(typed: list[str], text: str) -> bool:
    there = words_of(text)
    return set(typed[:-1]) <= set(there) and any(word.startswith(typed[-1]) for word in there)

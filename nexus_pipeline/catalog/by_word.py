"""Titles, tags and speakers as rows of `suggestions`: one for each word in them, so one index finds them by any."""

import re
from collections.abc import Iterable
from typing import Any

from nexus_pipeline.catalog.rows import TITLE_KEY
from nexus_pipeline.catalog.tables import storable

WORDS, LETTERS = 20, 40
"""Words of one title, tag or name that it is found by, and letters of each."""

_WORD = re.compile(r"[^\W_]+")


def words_of(text: str) -> list[str]:
    """The words by which it is found: without case, cut."""
    words = _WORD.findall(storable(text).casefold())
    return list(dict.fromkeys(word[:LETTERS] for word in words))[:WORDS]


def rows(owner: str, item_id: str, kind: str, texts: Iterable[str]) -> list[dict[str, Any]]:
    """All rows of an item's titles, tags or speakers. An address that stands for a title is none."""
    told = dict.fromkeys(storable(text).strip()[:TITLE_KEY] for text in texts)
    return [
        {"owner": owner, "word": word, "kind": kind, "text": text, "item_id": item_id}
        for text in told
        if not text.startswith(("http://", "https://"))
        for word in words_of(text)
    ]

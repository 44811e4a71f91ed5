"""The catalog's tables for finding: what one may be offered while one types, and what was searched for."""

import sqlalchemy as sa

from nexus_pipeline.catalog.tables import Instant, Words, metadata

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # sorted by code points everywhere


def _item_id() -> sa.Column[str]:
    return sa.Column("item_id", sa.Text, sa.ForeignKey("items.id"), primary_key=True, nullable=False)


suggestions = sa.Table(  # a row for each word by which a title, tag or speaker may be found
    "suggestions",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("word", _KEY, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),  # title, tag, speaker, or inferred: a tag that a model gave
    sa.Column("text", _KEY, primary_key=True),
    _item_id(),
    sa.Index("suggestions_by_item", "item_id", "kind"),
    sqlite_with_rowid=False,
)

searches = sa.Table(
    "searches",
    metadata,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("query", Words, nullable=False),
    sa.Column("query_key", _KEY, nullable=False),  # without case, cut: by it the same searches are counted together
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("filters", sa.JSON, nullable=False),
    sa.Column("hits", sa.Integer, nullable=False),
    sa.Column("took_ms", sa.Double, nullable=False),
    sa.Column("opened", sa.Integer, nullable=False),  # hits, also of items that are erased since
    sa.Column("at", Instant, nullable=False),
    sqlite_autoincrement=True,  # a search that was forgotten leaves its id to no other
)

opened_hits = sa.Table(
    "opened_hits",
    metadata,
    sa.Column("search_id", _NUMBER, sa.ForeignKey("searches.id"), primary_key=True, autoincrement=False),
    _item_id(),
    sa.Column("start_s", sa.Double, primary_key=True),
    sa.Column("at", Instant, nullable=False),
    sa.Index("opened_hits_by_item", "item_id"),
    sqlite_with_rowid=False,
)

sa.Index("searches_by_owner", searches.c.owner, searches.c.id)
sa.Index("searches_by_query", searches.c.owner, searches.c.query_key)
_UNOPENED = sa.text("opened = 0")
sa.Index("searches_unopened", searches.c.owner, searches.c.id, sqlite_where=_UNOPENED, postgresql_where=_UNOPENED)

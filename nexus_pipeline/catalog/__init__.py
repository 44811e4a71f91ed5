"""What we know of items, in SQL: `SqlCatalog` is the port `Catalog` on SQLite and on PostgreSQL."""

from nexus_pipeline.catalog.asks import Asks
from nexus_pipeline.catalog.chats import Conversations
from nexus_pipeline.catalog.edits import Edited
from nexus_pipeline.catalog.erasing import Erasing
from nexus_pipeline.catalog.events import Events
from nexus_pipeline.catalog.history import History
from nexus_pipeline.catalog.identity import Identity
from nexus_pipeline.catalog.items import Items
from nexus_pipeline.catalog.leases import Leases
from nexus_pipeline.catalog.pages import Pages
from nexus_pipeline.catalog.posts import Posts
from nexus_pipeline.catalog.promises import Promised
from nexus_pipeline.catalog.related import Relations
from nexus_pipeline.catalog.standing import Standings
from nexus_pipeline.catalog.steps import Steps
from nexus_pipeline.catalog.suggested import Suggested
from nexus_pipeline.catalog.uploads import Uploads

__all__ = ["SqlCatalog"]


class SqlCatalog(
    Items,
    Pages,
    Leases,
    Steps,
    Asks,
    Identity,
    Erasing,
    Events,
    Standings,
    Relations,
    Promised,
    Edited,
    Suggested,
    History,
    Uploads,
    Posts,
    Conversations,
):
    """The catalog behind an SQLAlchemy URL; one is enough for all threads of a process.

    `SqlCatalog.open(url, steps)` brings the tables up to date first; `steps` are the chain's names in order.
    """

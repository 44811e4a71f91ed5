"""Where items come from: platforms by address, the most specific first, the general web last.

Adding one is one file and one line here.
"""

from nexus_pipeline.ports import Source
from nexus_pipeline.sources.facebook import Facebook
from nexus_pipeline.sources.instagram import Instagram
from nexus_pipeline.sources.podcast import Podcast
from nexus_pipeline.sources.tiktok import TikTok
from nexus_pipeline.sources.web import Web, split_address
from nexus_pipeline.sources.x import X
from nexus_pipeline.sources.youtube import YouTube

SOURCES: tuple[Source, ...] = (YouTube(), Instagram(), TikTok(), Facebook(), X(), Podcast(), Web())


def source_for(url: str) -> Source:
    """The first source that claims an address. Raises BadAddress for what is no http(s) address."""
    split_address(url)
    return next(source for source in SOURCES if source.claims(url))

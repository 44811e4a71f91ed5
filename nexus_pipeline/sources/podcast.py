"""Episodes of podcasts: Apple's directory, and hosts that serve nothing else; files elsewhere are the web's."""

import re
from typing import ClassVar
from urllib.parse import SplitResult, parse_qs

from nexus_pipeline.sources.web import Web, found

_SHOW = re.compile(r".*/id(\d+)$")
_EPISODE = re.compile(r"(\d+)$")


class Podcast(Web):
    """podcasts.apple.com and hosts of podcasts."""

    name = "podcast"
    hosts: ClassVar[tuple[str, ...]] = (
        *("podcasts.apple.com", "overcast.fm", "pca.st", "castbox.fm", "podbean.com", "libsyn.com", "simplecast.com"),
        *("buzzsprout.com", "transistor.fm", "acast.com", "spreaker.com", "captivate.fm", "megaphone.fm", "art19.com"),
    )

    def one_form(self, split: SplitResult) -> str | None:
        """`https://podcasts.apple.com/podcast/idSHOW?i=EPISODE`, whatever the country and the title in the address."""
        if split.hostname != "podcasts.apple.com":
            return None
        show = found(_SHOW, split.path)
        episode = found(_EPISODE, parse_qs(split.query).get("i", [""])[0])
        return f"https://podcasts.apple.com/podcast/id{show}?i={episode}" if show and episode else None

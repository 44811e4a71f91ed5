"""Episodes of podcasts in Apple's directory; the file of an episode elsewhere is the general web's."""

import re
from typing import ClassVar
from urllib.parse import SplitResult, parse_qs

from nexus_pipeline.sources.web import Web, found

_SHOW = re.compile(r".*/id(\d+)$")
_EPISODE = re.compile(r"(\d+)$")


class Podcast(Web):
    """podcasts.apple.com."""

    name = "podcast"
    hosts: ClassVar[tuple[str, ...]] = ("podcasts.apple.com",)

    def one_form(self, split: SplitResult) -> str | None:
        """`https://podcasts.apple.com/podcast/idSHOW?i=EPISODE`, whatever the country and the title in the address."""
        show = found(_SHOW, split.path)
        episode = found(_EPISODE, parse_qs(split.query).get("i", [""])[0])
        return f"https://podcasts.apple.com/podcast/id{show}?i={episode}" if show and episode else None

"""YouTube: one form for watch pages, short links, shorts, live streams and embedded players."""

import re
from typing import ClassVar
from urllib.parse import SplitResult, parse_qs

from nexus_pipeline.sources.web import Web, found

_ID = re.compile(r"([\w-]{11})(?![\w-])")
_PATH = re.compile(r"/(?:shorts|embed|live|v|e)/([\w-]{11})(?![\w-])")


class YouTube(Web):
    """youtube.com and youtu.be."""

    name = "youtube"
    hosts: ClassVar[tuple[str, ...]] = ("youtube.com", "youtu.be", "youtube-nocookie.com")
    merges: ClassVar[bool] = True

    def one_form(self, split: SplitResult) -> str | None:
        """`https://www.youtube.com/watch?v=ID`; channels and lists keep their general form."""
        if (split.hostname or "").endswith("youtu.be"):
            video = found(_ID, split.path.lstrip("/"))
        elif split.path == "/watch":
            video = found(_ID, parse_qs(split.query).get("v", [""])[0])
        else:
            video = found(_PATH, split.path)
        return f"https://www.youtube.com/watch?v={video}" if video else None

"""TikTok: videos under one form; short links keep theirs."""

import re
from typing import ClassVar
from urllib.parse import SplitResult

from nexus_pipeline.sources.web import Web

_PATH = re.compile(r"/(@[\w.-]+)/(?:video|photo)/(\d+)")


class TikTok(Web):
    """tiktok.com."""

    name = "tiktok"
    hosts: ClassVar[tuple[str, ...]] = ("tiktok.com",)
    merges: ClassVar[bool] = True

    def one_form(self, split: SplitResult) -> str | None:
        """`https://www.tiktok.com/@user/video/ID`."""
        match = _PATH.match(split.path)
        return f"https://www.tiktok.com/{match[1].lower()}/video/{match[2]}" if match else None

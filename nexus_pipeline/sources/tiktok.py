"""TikTok: videos under one form, by their number alone; short links are followed."""

import re
from typing import ClassVar
from urllib.parse import SplitResult

from nexus_pipeline.sources.web import Web, found

_PATH = re.compile(r"/(?:@[\w.-]*|share|embed(?:/v2)?)/?(?:(?:video|photo)/)?(\d{6,})")


class TikTok(Web):
    """tiktok.com."""

    name = "tiktok"
    hosts: ClassVar[tuple[str, ...]] = ("tiktok.com",)
    merges: ClassVar[bool] = True
    shorts: ClassVar[re.Pattern[str]] = re.compile(r"v[mt]\.tiktok\.com/.|(?:(?:www|m)\.)?tiktok\.com/t/.")

    def one_form(self, split: SplitResult) -> str | None:
        """`https://www.tiktok.com/@_/video/ID`: short links leave the name out, and people change theirs."""
        video = found(_PATH, split.path)
        return f"https://www.tiktok.com/@_/video/{video}" if video else None

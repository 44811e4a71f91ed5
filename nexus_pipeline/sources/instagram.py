"""Instagram: posts and reels under one form; shared links are followed."""

import re
from typing import ClassVar
from urllib.parse import SplitResult

from nexus_pipeline.sources.web import Web, found

_PATH = re.compile(r"/(?!share/)(?:[\w.]+/)?(?:p|reels?|tv)/([\w-]{5,})")


class Instagram(Web):
    """instagram.com."""

    name = "instagram"
    hosts: ClassVar[tuple[str, ...]] = ("instagram.com", "instagr.am")
    merges: ClassVar[bool] = True
    shorts: ClassVar[re.Pattern[str]] = re.compile(r"(?:www\.)?instagram\.com/share/.")

    def one_form(self, split: SplitResult) -> str | None:
        """`https://www.instagram.com/p/CODE/`: a reel's code opens as a post, too."""
        code = found(_PATH, split.path)
        return f"https://www.instagram.com/p/{code}/" if code else None

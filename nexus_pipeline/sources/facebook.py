"""Facebook: videos and reels under one form; short links are followed."""

import re
from typing import ClassVar
from urllib.parse import SplitResult, parse_qs

from nexus_pipeline.sources.web import Web, found

_ID = re.compile(r"(\d+)$")
_PATH = re.compile(r"/(?:[^/]+/videos/(?:[^/]+/)?|reel/)(\d+)")


class Facebook(Web):
    """facebook.com and fb.watch."""

    name = "facebook"
    hosts: ClassVar[tuple[str, ...]] = ("facebook.com", "fb.watch", "fb.com", "fb.me", "fb.gg")
    merges: ClassVar[bool] = True
    shorts: ClassVar[re.Pattern[str]] = re.compile(r"fb\.(?:watch|me|gg)/.|(?:\w+\.)?facebook\.com/share/.")

    def one_form(self, split: SplitResult) -> str | None:
        """`https://www.facebook.com/watch/?v=ID`: a reel's number opens there, too."""
        if split.path.rstrip("/") in ("/watch", "/video.php"):
            video = found(_ID, parse_qs(split.query).get("v", [""])[0])
        else:
            video = found(_PATH, split.path)
        return f"https://www.facebook.com/watch/?v={video}" if video else None

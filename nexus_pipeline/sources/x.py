"""X, once Twitter: posts under one form."""

import re
from typing import ClassVar
from urllib.parse import SplitResult

from nexus_pipeline.sources.web import Web, found

_PATH = re.compile(r"/(?:i/web|\w+)/status(?:es)?/(\d+)")


class X(Web):
    """x.com and twitter.com."""

    name = "x"
    hosts: ClassVar[tuple[str, ...]] = ("x.com", "twitter.com")
    merges: ClassVar[bool] = True

    def one_form(self, split: SplitResult) -> str | None:
        """`https://x.com/i/status/ID`: the number alone names the post, whatever its author is called now."""
        post = found(_PATH, split.path)
        return f"https://x.com/i/status/{post}" if post else None

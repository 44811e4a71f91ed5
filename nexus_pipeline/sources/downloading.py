"""The child process of `fetching`: yt-dlp behind the guard, and where short links lead; speaks JSON lines."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nexus_pipeline.domain import errors
from nexus_pipeline.sources.described import STEM, described, from_page, subtitles
from nexus_pipeline.sources.failures import LIVE, NOT_YET, understood
from nexus_pipeline.sources.guard import Guard

SHORTEST_STEP = 0.01
"""Progress is said again when it has grown by so much."""
LONGEST_SEARCH_S = 180.0
"""To find out what an address plays; YouTube takes up to 30 s on a slow machine."""
LONGEST_SILENCE_S = 20.0
"""Without a byte; then the connection is given up."""
BLOCK_BYTES = 1 << 16
_WEB = ("http://", "https://")
Say = Callable[[Mapping[str, Any]], None]


def main() -> None:
    """One request on stdin, answers on stdout: `{"progress"}`..., then `{"done"}` or `{"error", "message"}`."""
    request = json.load(sys.stdin)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # whatever else is printed is no answer

        def say(answer: Mapping[str, Any]) -> None:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

        guard = Guard(request["allow_hosts"])
        sys.addaudithook(guard)
        try:
            say({"done": _leads_to(request, guard) if request["follow"] else download(request, say, guard)})
        except errors.NexusError as error:
            say({"error": error.code, "message": str(error), "retry_after_s": error.retry_after_s})


def _leads_to(request: Mapping[str, Any], guard: Guard) -> Mapping[str, Any]:
    from nexus_pipeline.sources.following import followed

    try:
        return {"url": followed(request["url"])}
    except OSError as error:
        raise understood(error, refused=guard.refused) from error


def download(request: Mapping[str, Any], say: Say, guard: Guard) -> Mapping[str, Any]:
    """Fetch what the request asks for. Raises BadAddress, SourceError, TooLarge, TooLong, StoreFull."""
    sys.modules["curl_cffi"] = None  # type: ignore[assignment]  # it would connect by itself, unseen by the guard
    from yt_dlp.utils import YoutubeDLError

    from nexus_pipeline.sources.transfers import Transfers

    bounds = _Bounds(request, say)
    try:
        with Transfers(_options(request, bounds)) as ydl:
            with _at_most(min(LONGEST_SEARCH_S, request["timeout_s"] / 2)):
                info = _one(ydl, request["url"])
            info.update(from_page(ydl, info))
            _refuse_too_much(info, request, endless=ydl.endless)
            _only_web(info)
            ydl.finding = False
            ydl.params.update(subtitles(info))
            info = ydl.process_ie_result(info, download=True)
            return {**described(info, Path(request["folder"])), "without_subtitles": ydl.without_subtitles}
    except (YoutubeDLError, OSError) as error:
        raise bounds.passed or understood(error, refused=guard.refused) from error


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raises SourceBusy after this time, whatever is being waited for: a page may come one byte at a time."""

    def late(*_: object) -> None:
        raise errors.SourceBusy(f"the site took longer than {seconds:.0f} s to say what it plays; it is tried again")

    signal.signal(signal.SIGALRM, late)
    # again and again: somebody may catch everything
    signal.setitimer(signal.ITIMER_REAL, seconds, 5.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class _Bounds:
    """yt-dlp's progress hook: says how far it is and stops what grows too large."""

    def __init__(self, request: Mapping[str, Any], say: Say) -> None:
        self.max_bytes = request["max_bytes"]
        self.say = say
        self.told = -1.0
        self.sizes: dict[str, int] = {}
        self.passed: errors.TooLarge | None = None

    def __call__(self, now: Mapping[str, Any]) -> None:
        """Called by yt-dlp for each block."""
        from yt_dlp.utils import DownloadCancelled

        total = now.get("total_bytes") or 0
        self.sizes[str(now.get("filename"))] = max(int(now.get("downloaded_bytes") or 0), int(total))
        if sum(self.sizes.values()) > self.max_bytes:
            self.passed = errors.TooLarge(f"it has more than the {self.max_bytes} bytes of NEXUS_MAX_BYTES")
            raise DownloadCancelled
        done = _fraction(now)
        if done - self.told >= SHORTEST_STEP:
            self.told = done
            self.say({"progress": done})


def _fraction(now: Mapping[str, Any]) -> float:
    pairs = (("fragment_index", "fragment_count"), ("downloaded_bytes", "total_bytes"))
    for part, whole in (*pairs, ("downloaded_bytes", "total_bytes_estimate")):
        if now.get(whole):
            return float(min((now.get(part) or 0) / now[whole], 1.0))
    return 0.0


class _Silent:
    """yt-dlp's words name titles and addresses; what matters comes as an exception."""

    def debug(self, message: str) -> None:
        """Not kept."""

    info = warning = error = debug


def _options(request: Mapping[str, Any], bounds: _Bounds) -> dict[str, Any]:
    deno = Path(sys.executable).with_name("deno")
    return {
        "paths": {"home": request["folder"]},
        "outtmpl": {"default": f"{STEM}.%(ext)s"},
        "format": "bv*+ba/b/ba/bv" if request["merges"] else "b/ba/bv",
        # what browsers play as it is comes first; more than 1080 lines serve nobody here
        "format_sort": ["res:1080", "vcodec:h264", "acodec:aac"],
        "ffmpeg_location": None if request["merges"] else os.devnull,
        "fixup": "never",
        "hls_prefer_native": True,
        "external_downloader": {"default": "native"},
        "js_runtimes": {"deno": {"path": str(deno)} if deno.exists() else {}},
        "skip_unavailable_fragments": False,
        "continuedl": True,
        "retries": 5,
        # when a connection breaks, what was read of a block is lost: yt-dlp would let blocks grow to 4 MiB
        "buffersize": BLOCK_BYTES,
        "noresizebuffer": True,
        "fragment_retries": 3,
        "extractor_retries": 1,
        "socket_timeout": min(LONGEST_SILENCE_S, request["timeout_s"] / 10),
        "proxy": "",
        "cachedir": False,
        "noplaylist": True,
        "extract_flat": "in_playlist",
        "playlist_items": "1:2",
        "allow_unplayable_formats": False,
        "updatetime": False,
        "noprogress": True,
        "quiet": True,
        "logger": _Silent(),
        "progress_hooks": [bounds],
    }


def _one(ydl: Any, url: str) -> dict[str, Any]:
    """What the address names, if it is one piece."""
    for _ in range(3):  # a list of one, which names a page, which embeds a player
        info = ydl.extract_info(url, download=False)
        if info is None:
            break
        if info.get("_type", "video") == "video":
            return dict(info)
        entries = [entry for entry in info.get("entries") or () if entry]
        if len(entries) > 1:
            raise errors.SourceRefused("the address is a list of several pieces; add them one by one")
        if not entries:
            break
        if entries[0].get("_type", "video") == "video":
            return dict(entries[0])
        url = entries[0]["url"]
    raise errors.SourceRefused("no media was found at this address; give the page or file that plays it")


def _refuse_too_much(info: Mapping[str, Any], request: Mapping[str, Any], *, endless: bool) -> None:
    if info.get("live_status") == "is_upcoming":
        raise errors.SourceRefused(NOT_YET)
    if endless or info.get("is_live") or info.get("live_status") == "is_live":
        raise errors.SourceRefused(LIVE)
    longest = request["max_duration_s"]
    if (info.get("duration") or 0) > longest:
        raise errors.TooLong(f"it lasts longer than the {longest:.0f} s of NEXUS_MAX_DURATION_S")
    largest = request["max_bytes"]
    if (info.get("filesize") or 0) > largest:
        raise errors.TooLarge(f"it has more than the {largest} bytes of NEXUS_MAX_BYTES")


def _only_web(info: dict[str, Any]) -> None:
    """Leave out what is not played by http(s). Raises SourceRefused where nothing is left."""
    told = info.get("formats") or [info]
    ours = [one for one in told if str(one.get("url") or one.get("fragment_base_url")).startswith(_WEB)]
    if not ours:
        raise errors.SourceRefused(
            "it is not played over http(s), and nothing else is fetched; fetch it yourself and add the file"
        )
    if "formats" in info:
        info["formats"] = ours


if __name__ == "__main__":
    main()

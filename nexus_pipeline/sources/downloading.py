"""The child process of `fetching`: yt-dlp behind a guard that refuses private addresses; speaks JSON lines.

The guard is an audit hook below yt-dlp: it sees every connection after names are resolved and redirects followed. It
does not see connections of other programs, so yt-dlp must download by itself: no ffmpeg given an address, no curl.
"""

import ipaddress
import json
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nexus_pipeline.domain import errors
from nexus_pipeline.sources.failures import understood

STEM = "media"
SHORTEST_STEP = 0.01
"""Progress is said again when it has grown by so much."""
_EDITED = ("vtt", "srt")
Say = Callable[[Mapping[str, Any]], None]


class Guard:
    """Refuses connections to what is not public, but for the allowed hosts; programs but deno and a local ffmpeg."""

    def __init__(self, allow_hosts: Sequence[str]) -> None:
        self.refused = False
        self.names = frozenset(host.lower() for host in allow_hosts)
        self.addresses = {address for host in allow_hosts for address in _resolved(host)}

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """The audit hook (sys.addaudithook)."""
        if event in {"socket.connect", "socket.sendto", "socket.sendmsg"} and args[1] is not None:
            self._connects(args[1])
        elif event == "subprocess.Popen":
            self._starts(args[1])

    def _connects(self, address: object) -> None:
        host = str(address[0]).partition("%")[0] if isinstance(address, tuple) else ""
        if host.lower() in self.names or host in self.addresses or (host and _is_public(host)):
            return
        self.refused = True
        raise PermissionError("a private address is not fetched")

    def _starts(self, command: object) -> None:
        told = [os.fsdecode(c) for c in command] if isinstance(command, (list, tuple)) else [str(command)]
        name = Path(told[0]).name
        if name == "deno" or (name in {"ffmpeg", "ffprobe"} and not any("://" in part for part in told)):
            return
        raise PermissionError(f"{name} is not started while fetching")


def main() -> None:
    """One request on stdin, answers on stdout: `{"progress"}`..., then `{"done"}` or `{"error", "message"}`."""
    request = json.load(sys.stdin)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # whatever else is printed is no answer

        def say(answer: Mapping[str, Any]) -> None:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

        try:
            say({"done": download(request, say)})
        except errors.NexusError as error:
            say({"error": error.code, "message": str(error)})


def download(request: Mapping[str, Any], say: Say) -> Mapping[str, Any]:
    """Fetch what the request asks for. Raises BadAddress, SourceError, TooLarge, TooLong, StoreFull."""
    sys.modules["curl_cffi"] = None  # type: ignore[assignment]  # it would connect by itself, unseen by the guard
    from yt_dlp import YoutubeDL
    from yt_dlp.utils import YoutubeDLError

    guard = Guard(request["allow_hosts"])
    sys.addaudithook(guard)
    bounds = _Bounds(request, say)
    try:
        with YoutubeDL(_options(request, bounds)) as ydl:
            info = _one(ydl, request["url"])
            _refuse_too_much(info, request)
            ydl.params.update(_subtitles(info))
            info = ydl.process_ie_result(info, download=True)
            return _told(info, Path(request["folder"]))
    except (YoutubeDLError, OSError) as error:
        raise bounds.passed or understood(error, refused=guard.refused) from error


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
        "retries": 3,
        "fragment_retries": 3,
        "extractor_retries": 1,
        "socket_timeout": 20,
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


def _refuse_too_much(info: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    if info.get("is_live") or info.get("live_status") in {"is_live", "is_upcoming"}:
        raise errors.SourceRefused("it is live or has not begun; add it when it has ended")
    longest = request["max_duration_s"]
    if (info.get("duration") or 0) > longest:
        raise errors.TooLong(f"it lasts longer than the {longest:.0f} s of NEXUS_MAX_DURATION_S")
    largest = request["max_bytes"]
    if (info.get("filesize") or 0) > largest:
        raise errors.TooLarge(f"it has more than the {largest} bytes of NEXUS_MAX_BYTES")


def _subtitles(info: Mapping[str, Any]) -> dict[str, Any]:
    """Fetch the transcript that people wrote in the spoken language: the only one, or the one of that language."""
    written = {
        language: tracks
        for language, tracks in (info.get("subtitles") or {}).items()
        if any(track.get("ext") in _EDITED for track in tracks)
    }
    spoken = str(info.get("language") or "").partition("-")[0]
    own = [language for language in written if spoken and language.partition("-")[0] == spoken]
    chosen = own[:1] or (list(written) if len(written) == 1 and not spoken else [])
    return {"writesubtitles": bool(chosen), "subtitleslangs": chosen, "subtitlesformat": "/".join(_EDITED)}


def _told(info: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    downloads = info.get("requested_downloads") or [info]
    path = Path(str(downloads[0].get("filepath") or ""))
    if path.parent != folder:
        raise errors.SourceRefused("nothing was fetched from this address; open it in a browser and see what it plays")
    title = " ".join(str(info.get("title") or "").split())[:500] or None
    if title and info.get("extractor") in {"generic", "html5"}:
        title = title.removesuffix(" (1)")  # yt-dlp numbers the players of a page, a single one too
    description = str(info.get("description") or "")[:20_000]
    sidecars = [p.name for suffix in _EDITED for p in sorted(folder.glob(f"{STEM}.*.{suffix}"))]
    return {
        "file": path.name,
        "filename": f"{(title or STEM).replace('/', '_')[:120]}{path.suffix}",
        "title": title,
        "author": info.get("uploader") or info.get("channel") or info.get("creator"),
        "description": description or None,
        "published_at": _published(info),
        "tags": _tags(info, description),
        "chapters": list(_chapters(info)),
        "sidecar": sidecars[0] if sidecars else None,
    }


def _published(info: Mapping[str, Any]) -> float | None:
    if info.get("timestamp") is not None:
        return float(info["timestamp"])
    with suppress(ValueError):
        return datetime.strptime(str(info.get("upload_date")), "%Y%m%d").replace(tzinfo=UTC).timestamp()
    return None


def _tags(info: Mapping[str, Any], description: str) -> list[str]:
    told = [str(tag) for tag in info.get("tags") or ()] + re.findall(r"(?<!\w)#(\w{2,60})", description)
    cleaned = (" ".join(tag.split()).strip("#").lower() for tag in told)
    return list(dict.fromkeys(tag for tag in cleaned if tag))[:50]


def _chapters(info: Mapping[str, Any]) -> Iterator[tuple[float, float, str]]:
    for chapter in (info.get("chapters") or ())[:10_000]:
        start_s, end_s = chapter.get("start_time"), chapter.get("end_time")
        if start_s is not None and end_s is not None:
            yield float(start_s), float(end_s), str(chapter.get("title") or "").strip()


def _resolved(host: str) -> set[str]:
    with suppress(OSError):
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    return set()


def _is_public(host: str) -> bool:
    """Whether an address is public, however it is written: mapped, 6to4, NAT64 forms by what is inside."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False  # a name: only resolved addresses are judged
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour or (address.teredo or (None,))[0]
        if inside is None and address in _NAT64:
            inside = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inside is not None:
            return inside.is_global and not inside.is_multicast
    return address.is_global and not address.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")

if __name__ == "__main__":
    main()

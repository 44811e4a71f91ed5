"""What yt-dlp says of a piece of media, as Nexus keeps it: words, date, hashtags, chapters, which subtitles."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nexus_pipeline.domain import errors

STEM = "media"
"""What is fetched lies under this name: titles stay out of file names."""
_AUTHORS = ("uploader", "channel", "creator", "artist", "series")
_SAID = ("description", "uploader", "timestamp", "tags", "chapters", "duration")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_EDITED = ("vtt", "srt")


def subtitles(info: Mapping[str, Any]) -> dict[str, Any]:
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


def from_page(ydl: Any, info: Mapping[str, Any]) -> dict[str, Any]:
    """What a page's JSON-LD says of the player in it: all that is not known of it, and the title.

    yt-dlp takes either the one or the other; of platforms it knows more than their pages say.
    """
    if not ydl.page or info.get("extractor") not in {"generic", "html5"}:
        return {}
    said = ydl.get_info_extractor("Generic")._search_json_ld(ydl.page, "page", default={})  # noqa: SLF001 - for extractors
    title = {"title": said["title"]} if said.get("title") else {}
    return title | {name: said[name] for name in _SAID if said.get(name) and not info.get(name)}


def described(info: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What is said of the file that was fetched into `folder`. Raises SourceRefused when none was."""
    downloads = info.get("requested_downloads") or [info]
    path = Path(str(downloads[0].get("filepath") or ""))
    if path.parent != folder:
        raise errors.SourceRefused("nothing was fetched from this address; open it in a browser and see what it plays")
    title = _words(info.get("title")) or None
    if title and info.get("extractor") in {"generic", "html5"}:
        title = title.removesuffix(" (1)")  # yt-dlp numbers the players of a page, a single one too
    description = _storable(str(info.get("description") or ""))[:20_000].strip()
    sidecars = [p.name for suffix in _EDITED for p in sorted(folder.glob(f"{STEM}.*.{suffix}"))]
    return {
        "file": path.name,
        "filename": f"{(title or STEM).replace('/', '_')[:120]}{path.suffix}",
        "title": title,
        "author": _words(next((info[name] for name in _AUTHORS if info.get(name)), "")) or None,
        "description": description or None,
        "published_at": _published(info),
        "tags": _tags(info, description),
        "chapters": list(_chapters(info)),
        "sidecar": sidecars[0] if sidecars else None,
    }


def _words(told: object) -> str:
    """One line of at most 500 characters."""
    return " ".join(_storable(str(told or "")).split())[:500]


def _storable(text: str) -> str:
    """Without what no database keeps: halves of characters, and control characters but line ends and tabs."""
    return _CONTROL.sub(" ", text.encode("utf-8", "replace").decode())


def _published(info: Mapping[str, Any]) -> float | None:
    if info.get("timestamp") is not None:
        return float(info["timestamp"])
    with suppress(ValueError):
        return datetime.strptime(str(info.get("upload_date")), "%Y%m%d").replace(tzinfo=UTC).timestamp()
    return None


def _tags(info: Mapping[str, Any], description: str) -> list[str]:
    told = [str(tag) for tag in info.get("tags") or ()] + re.findall(r"(?<!\w)#(\w{2,60})", description)
    cleaned = (_words(tag).strip("#").lower() for tag in told)
    return list(dict.fromkeys(tag for tag in cleaned if tag))[:50]


def _chapters(info: Mapping[str, Any]) -> Iterator[tuple[float, float, str]]:
    for chapter in (info.get("chapters") or ())[:10_000]:
        start_s, end_s = chapter.get("start_time"), chapter.get("end_time")
        if start_s is not None and end_s is not None:
            yield float(start_s), float(end_s), _words(chapter.get("title"))

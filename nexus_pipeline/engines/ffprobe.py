"""What a media file is, as ffprobe tells it, and the guards under which any ffmpeg program opens one.

The file is given as standard input and opened again through /proc/self/fd/0: its name and suffix are never seen, so
they can neither mislead ffmpeg nor come back in its messages.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from nexus_pipeline import children
from nexus_pipeline.children import Bounds, ChildFailed
from nexus_pipeline.domain.errors import DamagedMedia, EmptyInput, EngineFailed, TooLarge, UnsupportedMedia
from nexus_pipeline.domain.items import Kind, MediaFacts
from nexus_pipeline.domain.timeline import Chapter

INPUT = "file:/proc/self/fd/0"
IMAGES = ("jpeg_pipe", "png_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe", "jpegxl_pipe", "gif", "apng", "ico")
DEMUXERS = (
    *(
        "mov",
        "matroska",
        "mp3",
        "wav",
        "w64",
        "flac",
        "ogg",
        "aac",
        "aiff",
        "avi",
        "asf",
        "mpegts",
        "mpeg",
        "mpegvideo",
    ),
    *("flv", "amr", "amrnb", "amrwb", "caf", "au", "ac3", "eac3", "dts", "ape", "wv", "tta", "mpc", "mpc8", "h264"),
    *("hevc", "rm", "mxf", "dv", "ivf", "m4v", "obu", "nut", "voc"),
    *IMAGES,
)
"""Those that read one file and nothing else: no hls, concat, dash, image2 or other that opens what a file names."""
GUARDS: Mapping[str, str | int] = {
    "protocol_whitelist": "file,pipe",
    "format_whitelist": ",".join(DEMUXERS),
    "max_pixels": 40_000_000,
    "threads": 1,
}
PROBING = Bounds(wall_s=120, cpu_s=30, file_bytes=1 << 20, memory_bytes=2 << 30)
READ_BYTES_S = 20_000_000
"""Reading all packets of a file may take its time: a busy disk gives so much a second, and it costs a tenth of CPU."""
_GUESSED = frozenset({"aac", "ac3", "eac3", "dts", "amr", "amrnb", "amrwb", "mpeg", "mpegvideo", "h264", "hevc", "m4v"})
"""Formats that say no duration: ffprobe guesses it from the bit rate, wrong by factors where that varies."""
_MEDIA = re.compile(
    rb"(....ftyp|....moov|RIFF|RF64|OggS|fLaC|\x1aE\xdf\xa3|ID3|\xff[\xe2-\xff]|FLV\x01|\x30\x26\xb2\x75|FORM|caff|\.snd"
    rb"|\x89PNG|GIF8|\xff\xd8\xff|MAC |wvpk|#!AMR|\x00\x00\x01[\xb3\xba])",
    re.DOTALL,
)
"""First bytes by which a file claims to be media."""
_ARCHIVES = (b"PK\x03\x04", b"%PDF", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
"""ZIP, PDF, gzip, 7z, RAR, xz, zstd: ffmpeg would find the MP3 that lies uncompressed in one."""
MOST_SAMPLES = 768_000
"""A second, of sound: the most that converters know. Resampling from 1.6 GHz, as one broken header said, takes 45 s of
CPU for nothing."""
_STILL_BRANDS = frozenset({"avif", "avis", "heic", "heix", "mif1", "msf1"})


@dataclass(frozen=True, slots=True)
class Probed:
    """One file: its facts, and what converting it needs. Indexes are ffmpeg's, over all streams."""

    facts: MediaFacts
    audio: int | None
    video: int | None
    cover: int | None
    pixel_format: str | None
    audio_s: float | None
    """What the sound's own stream declares; None where only the container says something."""
    brand: str
    webm: bool
    chapters: tuple[Chapter, ...]


def probe(path: Path) -> Probed:
    """Look at a file. Raises EmptyInput, UnsupportedMedia, DamagedMedia."""
    with path.open("rb") as file:
        head = file.read(65_536)
    if not head:
        raise EmptyInput("the file is empty (0 bytes); copy or download it again")
    if head.startswith(_ARCHIVES) or head[257:262] == b"ustar":
        raise UnsupportedMedia("the file is an archive or a document; unpack it and give the media itself")
    told = _told(path, head)
    container = str(told.get("format", {}).get("format_name", ""))
    streams = [s for s in told.get("streams", []) if s.get("codec_name") not in (None, "unknown", "none")]
    audio = next((s for s in streams if s.get("codec_type") == "audio" and s.get("channels")), None)
    pictures = [s for s in streams if s.get("codec_type") == "video" and s.get("width")]
    cover = next((s for s in pictures if s.get("disposition", {}).get("attached_pic")), None)
    video = next((s for s in pictures if not s.get("disposition", {}).get("attached_pic")), None)
    if audio is not None and not 0 < (_number(audio.get("sample_rate")) or 0) <= MOST_SAMPLES:
        raise DamagedMedia(
            f"the sound claims to have {audio.get('sample_rate')} samples a second; is the copy complete?"
        )
    kind = _kind(told, container, audio, video)
    if kind is None:
        raise UnsupportedMedia(
            "the file has no sound and no picture (of at most 40 megapixels) that can be read; give audio or video"
        )
    return Probed(
        facts=_facts(
            kind, told, audio, video, _duration(told, path, head, next(s["index"] for s in (audio, video) if s))
        ),
        audio=audio["index"] if audio else None,
        video=video["index"] if video else None,
        cover=cover["index"] if cover else None,
        pixel_format=video.get("pix_fmt") if video else None,
        audio_s=_declared(audio) if audio else None,
        brand=_brand(told),
        webm=b"webm" in head[:64],
        chapters=_chapters(told.get("chapters", [])),
    )


def _told(path: Path, head: bytes) -> dict[str, Any]:
    flags = [part for name, value in GUARDS.items() for part in (f"-{name}", str(value))]
    shown = ["-v", "error", "-show_format", "-show_streams", "-show_chapters", "-of", "json"]
    try:
        answer = children.run([children.program("ffprobe", "ffmpeg"), *flags, *shown, INPUT], PROBING, stdin=path)
        told = json.loads(answer.decode(errors="replace"))
    except ChildFailed as error:
        if "whitelist" in error.said or not _MEDIA.match(head):
            raise UnsupportedMedia(
                "the file is no audio, video or picture (a document, an archive or a playlist?); give the media itself"
            ) from error
        raise DamagedMedia("the file begins like media and cannot be read on; is the copy complete?") from error
    except (EngineFailed, TooLarge, ValueError) as error:
        raise DamagedMedia("the file cannot be examined within the limits; convert it to MP4 or FLAC") from error
    return told if isinstance(told, dict) else {}


def _kind(told: Mapping[str, Any], container: str, audio: Any, video: Any) -> Kind | None:
    if video is not None and (container.split(",", maxsplit=1)[0] in IMAGES or _brand(told) in _STILL_BRANDS):
        return Kind.IMAGE
    if video is not None:
        return Kind.VIDEO
    return Kind.AUDIO if audio is not None else None


def _facts(kind: Kind, told: Mapping[str, Any], audio: Any, video: Any, duration_s: float | None) -> MediaFacts:
    width, height = (video["width"], video["height"]) if video else (None, None)
    if video and _turned(video):
        width, height = height, width
    rate = _rate(video.get("avg_frame_rate")) if video and kind is Kind.VIDEO else None
    return MediaFacts(
        kind=kind,
        duration_s=None if kind is Kind.IMAGE else duration_s,
        width=width,
        height=height,
        fps=rate,
        channels=int(audio["channels"]) if audio else None,
        audio_codec=audio["codec_name"] if audio else None,
        video_codec=video["codec_name"] if video else None,
        container=str(told["format"]["format_name"]),
    )


def _duration(told: Mapping[str, Any], path: Path, head: bytes, stream: int) -> float | None:
    """Declared, or measured by reading all packets where nothing is declared or it would be a guess."""
    container = str(told["format"]["format_name"])
    guessed = container.split(",", maxsplit=1)[0] in _GUESSED or (container == "mp3" and not _counts_frames(path, head))
    declared = [d for d in (_number(told["format"].get("duration")), *map(_declared, told["streams"])) if d]
    if declared and not guessed:
        return max(declared)
    return _measured(path, stream) or max(declared, default=None)


def _measured(path: Path, stream: int) -> float | None:
    """Seconds of packets, without decoding them."""
    flags = [part for name, value in GUARDS.items() for part in (f"-{name}", str(value))]
    command = [children.program("ffmpeg", "ffmpeg"), "-nostdin", "-v", "error", *flags, "-i", INPUT]
    command += ["-map", f"0:{stream}", "-c", "copy", "-f", "null", "-progress", "pipe:1", "-"]
    reading_s = path.stat().st_size / READ_BYTES_S
    bounds = replace(PROBING, wall_s=PROBING.wall_s + reading_s, cpu_s=PROBING.cpu_s + reading_s / 10)
    try:
        return seconds_done(children.run(command, bounds, stdin=path).split(b"\n"))
    except (ChildFailed, EngineFailed) as error:
        raise DamagedMedia("the file cannot be read to its end; is the copy complete?") from error


def seconds_done(progress: Sequence[bytes]) -> float | None:
    """The last `out_time_us` of ffmpeg's -progress, in seconds; None when there is none."""
    for line in reversed(progress):
        name, _, value = line.partition(b"=")
        if name == b"out_time_us" and value.strip().isdigit():
            return int(value) / 1e6
    return None


def _counts_frames(path: Path, head: bytes) -> bool:
    """Whether an MP3 says how many frames it has (Xing, Info, VBRI): after its ID3 tag, which may hold a picture."""
    at = 0
    if re.match(rb"ID3.{7}", head, re.DOTALL):
        # four bytes of seven bits: id3.org, ID3v2.4.0, section 3.1
        at = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    with path.open("rb") as file:
        file.seek(at)
        frame = file.read(4_096)
    return any(mark in frame for mark in (b"Xing", b"Info", b"VBRI"))


def _declared(stream: Mapping[str, Any]) -> float | None:
    told = _number(stream.get("duration"))
    if told:
        return told
    # Matroska: a tag of each stream, 00:00:04.023000000
    parts = str(stream.get("tags", {}).get("DURATION", "")).split(":")
    numbers = [_number(p) for p in parts]
    if len(numbers) != len(("h", "m", "s")) or None in numbers:
        return None
    return sum((n or 0.0) * unit for n, unit in zip(numbers, (3600, 60, 1), strict=True))


def _number(told: object) -> float | None:
    try:
        number = float(str(told))
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _rate(told: object) -> float | None:
    try:
        rate = float(Fraction(str(told)))
    except (ValueError, ZeroDivisionError):
        return None
    return round(rate, 3) or None


def _turned(video: Mapping[str, Any]) -> bool:
    """Whether a player shows it on its side."""
    turns = [_number(str(d.get("rotation", 0)).lstrip("-")) for d in video.get("side_data_list", [])]
    return any(t is not None and round(t) % 180 == 90 for t in turns)  # noqa: PLR2004 - degrees


def _brand(told: Mapping[str, Any]) -> str:
    return str(told.get("format", {}).get("tags", {}).get("major_brand", "")).strip()


def _chapters(told: Sequence[Mapping[str, Any]]) -> tuple[Chapter, ...]:
    chapters = []
    for n, chapter in enumerate(told[:10_000], 1):
        start_s, end_s = _number(chapter.get("start_time")), _number(chapter.get("end_time"))
        if start_s is not None and end_s is not None:
            title = str(chapter.get("tags", {}).get("title", "")).strip()
            chapters.append(Chapter(start_s, max(start_s, end_s), title or f"Chapter {n}"))
    return tuple(chapters)

"""Media by ffmpeg: probing, 16 kHz speech, what a browser plays, thumbnails, samples.

Starting ffmpeg costs about 60 ms of CPU, so a file is probed once and nothing is started that does not make something.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import ffmpeg

from nexus_pipeline import children
from nexus_pipeline.children import Bounds, ChildFailed
from nexus_pipeline.domain.errors import DamagedMedia, EngineFailed, StoreFull, TooLarge, TooLong
from nexus_pipeline.domain.items import Kind, MediaFacts
from nexus_pipeline.domain.timeline import Chapter
from nexus_pipeline.engines.ffprobe import GUARDS, INPUT, Probed, probe
from nexus_pipeline.ports import Cancelled, Progress

log = logging.getLogger(__name__)

MEMORY_BYTES = 4 << 30
"""Address space of one ffmpeg: decoding 40 megapixels and encoding 1080p stay under 2 GB."""
ENOUGH = 0.9
"""Less of the declared sound than this, and more than a second missing: the file is cut off."""
FILLED, FILLED_S = 1.2, 60.0
"""Speech may be longer than the file says by this share and these seconds before its times count as wrong."""
SPEECH_RATE = 16_000
ALL_CHANNELS = {"lfe_mix_level": 0.707}
"""What ffmpeg takes for a subwoofer's channel it leaves out. Of three channels of a call, or six of unknown places,
that is somebody's voice: it counts like a side channel."""
THUMBNAIL_WIDTH = 640
THUMBNAIL_FRAMES = 24
"""Frames among which the `thumbnail` filter chooses the most typical: a second, so that a cut or a flash loses."""
THUMBNAIL_BYTES = 8 << 20
LONGEST_SIDE = 1920
_FULL = re.compile(r"no space left|disk quota exceeded|read-only file system|file too large", re.IGNORECASE)
"""What ffmpeg says of a disk; when only the file's last bytes do not fit it says so and ends well."""

_Plays = Mapping[str, frozenset[str]]
_MP4_VIDEO = frozenset({"h264", "vp9", "av1"})
_MP4_AUDIO = frozenset({"aac", "mp3", "opus", "flac"})
# What Chrome, Firefox and Safari all play from a file, by ffprobe's name of the container (developer.mozilla.org,
# "Media container formats", read 2026-11).
_AUDIO_PLAYS: _Plays = {
    "mp3": frozenset({"mp3"}),
    "mov": frozenset({"aac", "mp3", "flac"}),
    "wav": frozenset({"pcm_s16le", "pcm_u8"}),
    "flac": frozenset({"flac"}),
    "ogg": frozenset({"opus", "vorbis"}),
    "matroska": frozenset({"opus", "vorbis"}),
}
_PLANAR = frozenset({"yuv420p", "yuvj420p"})


class FFmpeg:
    """Every call is one guarded child process; `threads` are for encoding one file."""

    def __init__(
        self, *, max_duration_s: float, max_bytes: int, cpu_seconds: float = 6 * 3600, threads: int = 1
    ) -> None:
        self._max_duration_s = max_duration_s
        self._max_bytes = max_bytes
        self._threads = threads
        # four times the CPU: on a busy machine a child waits for its turn
        self._bounds = Bounds(4 * cpu_seconds, cpu_seconds, max_bytes, MEMORY_BYTES)
        # by what tells one file from another: probe, chapters, speech, rendition and thumbnail ask for the same one
        self._probed = lru_cache(maxsize=64)(lambda path, _stamp: probe(path))

    def probe(self, path: Path) -> MediaFacts:
        """Kind, duration, size. Raises EmptyInput, UnsupportedMedia, DamagedMedia, TooLarge, TooLong."""
        size = path.stat().st_size
        if size > self._max_bytes:
            raise TooLarge(f"the file has {size} bytes, more than the {self._max_bytes} of NEXUS_MAX_BYTES")
        facts = self._look(path).facts
        if facts.duration_s is not None and facts.duration_s > self._max_duration_s:
            raise TooLong(
                f"it lasts {facts.duration_s:.0f} s, longer than the {self._max_duration_s:.0f} s of "
                "NEXUS_MAX_DURATION_S"
            )
        return facts

    def chapters(self, path: Path) -> tuple[Chapter, ...]:
        """Chapters that the file itself carries."""
        return self._look(path).chapters

    def speech(self, path: Path, to: Path, facts: MediaFacts, progress: Progress, cancelled: Cancelled) -> float:
        """16 kHz mono FLAC of the first sound; seconds decoded. Raises DamagedMedia when far less than declared.

        A stream that begins late, or has gaps, is filled with silence: times stay those of the item. Where that makes
        it far longer than the file is, its times are wrong, and only what is there is decoded.
        """
        probed = self._look(path)
        if probed.audio is None:
            raise DamagedMedia("there is no sound in the file")
        whole_s = self._max_duration_s
        filled_s = min(whole_s, FILLED * facts.duration_s + FILLED_S) if facts.duration_s else whole_s
        how = (facts.duration_s, progress, cancelled)
        sound = self._input()[str(probed.audio)]
        timed = sound.filter("aresample", SPEECH_RATE, **{"async": 1, "first_pts": 0}, **ALL_CHANNELS)
        counted = sound.filter("asetpts", "N/SR/TB").filter("aresample", SPEECH_RATE, **ALL_CHANNELS)
        try:
            decoded_s, said = self._make(path, _speech(timed, to, filled_s), *how)
            if filled_s - 1.0 <= decoded_s and filled_s < whole_s:
                decoded_s, said = self._make(path, _speech(counted, to, whole_s), *how)
        except ChildFailed as error:
            raise DamagedMedia(f"the sound cannot be decoded ({error.said}); is the copy complete?") from error
        _refuse_if_cut_off(decoded_s, probed, said)
        return decoded_s

    def cut(self, path: Path, to: Path, start_s: float, end_s: float, cancelled: Cancelled) -> None:
        """A span of the first sound as a FLAC like that of `speech`. Raises DamagedMedia."""
        sound = self._input(ss=start_s)["a:0"].filter("aresample", SPEECH_RATE, **ALL_CHANNELS)
        try:
            self._make(path, _speech(sound, to, end_s - start_s), None, lambda _: None, cancelled)
        except ChildFailed as error:
            raise DamagedMedia(f"the sound cannot be decoded ({error.said}); is the copy complete?") from error

    def rendition(
        self, path: Path, folder: Path, facts: MediaFacts, progress: Progress, cancelled: Cancelled
    ) -> Path | None:
        """What a browser can play (`play.mp4` or `play.m4a`), or None when it plays the file as it is.

        Streams that a browser plays are copied, only the others are encoded. Raises DamagedMedia.
        """
        probed = self._look(path)
        if facts.kind is Kind.IMAGE or _plays(probed):
            return None
        to = folder / ("play.mp4" if probed.video is not None else "play.m4a")
        copies = _copies(probed)
        try:
            if any(copies.values()):
                with suppress(ChildFailed):  # a stream that MP4 does not take as it is: encode it
                    self._make(path, self._played(probed, to, copies), facts.duration_s, progress, cancelled)
                    return to
            self._make(path, self._played(probed, to, {}), facts.duration_s, progress, cancelled)
        except ChildFailed as error:
            raise DamagedMedia(f"the file cannot be decoded ({error.said}); is the copy complete?") from error
        return to

    def thumbnail(self, path: Path, to: Path, facts: MediaFacts) -> bool:
        """A WebP at most 640 pixels wide: a typical frame a tenth in, the picture, or the cover of a recording.

        False where there is none. Raises DamagedMedia for a picture that cannot be decoded.
        """
        probed = self._look(path)
        stream = probed.video if probed.video is not None else probed.cover
        if stream is None:
            return False
        moving = facts.kind is Kind.VIDEO and probed.video is not None
        starts = [round((facts.duration_s or 0.0) / 10, 3), 0.0] if moving else [0.0]
        for start_s in dict.fromkeys(starts):  # seeking past the last frame succeeds, and gives nothing
            picture = self._picture(path, stream, start_s, moving=moving)
            if picture:
                to.write_bytes(picture)
                return True
        if facts.kind is Kind.IMAGE:
            raise DamagedMedia("the picture cannot be decoded, or has more than 40 megapixels")
        log.warning("no thumbnail could be made kind=%s codec=%s", facts.kind, facts.video_codec)
        return False

    def pcm(self, path: Path, rate: int, start_s: float = 0.0, duration_s: float | None = None) -> Iterator[bytes]:
        """Mono 16-bit little-endian samples, in chunks of whole samples. Raises DamagedMedia."""
        length_s = self._max_duration_s if duration_s is None else min(duration_s, self._max_duration_s)
        made = self._input(**({"ss": start_s} if start_s else {}))["a:0"].output(
            "pipe:1", f="s16le", acodec="pcm_s16le", ac=1, ar=rate, t=length_s, **ALL_CHANNELS
        )
        odd = b""
        try:
            for chunk in children.output(_command(made), self._bounds, stdin=path):
                samples = odd + chunk
                odd = samples[len(samples) & ~1 :]
                yield samples[: len(samples) & ~1]
        except ChildFailed as error:
            raise DamagedMedia(f"the sound cannot be decoded ({error.said}); is the copy complete?") from error

    def channels(self, path: Path, rate: int, count: int, cancelled: Cancelled) -> Iterator[bytes]:
        """All channels of the first sound: 16-bit little-endian samples, one of each channel after the other.

        Times are those of `speech`. Raises DamagedMedia, Cancelled.
        """
        sound = self._input()[str(self._look(path).audio)].filter("aresample", rate, **{"async": 1, "first_pts": 0})
        told = {"f": "s16le", "acodec": "pcm_s16le", "ac": count, "ar": rate, "t": self._max_duration_s}
        try:
            yield from children.output(_command(sound.output("pipe:1", **told)), self._bounds, cancelled, stdin=path)
        except ChildFailed as error:
            raise DamagedMedia(f"the sound cannot be decoded ({error.said}); is the copy complete?") from error

    def _look(self, path: Path) -> Probed:
        found = path.stat()
        return self._probed(path, (found.st_size, found.st_mtime_ns, found.st_ino))

    def _input(self, **more: Any) -> Any:
        return ffmpeg.input(INPUT, **GUARDS, **more)

    def _make(
        self, path: Path, made: Any, duration_s: float | None, progress: Progress, cancelled: Cancelled
    ) -> tuple[float, str]:
        """Run one conversion; seconds of what came out, and the end of what ffmpeg said. Raises StoreFull."""
        done_s = 0.0
        said: list[str] = []
        command = _command(made.global_args("-progress", "pipe:1"))
        chunks = children.output(command, self._bounds, cancelled, stdin=path, tail=said.append)
        try:
            for line in children.lines(chunks):
                name, _, value = line.partition(b"=")
                if name == b"out_time_us" and value.strip().isdigit():
                    done_s = int(value) / 1e6
                    if duration_s:
                        progress(min(done_s / duration_s, 1.0))
        except ChildFailed as error:
            _refuse_if_full(error.said, error)
            raise
        _refuse_if_full(" ".join(said))
        return done_s, " ".join(said)

    def _played(self, probed: Probed, to: Path, copies: Mapping[str, bool]) -> Any:
        """First picture and first sound into MP4, its index in front so that playing starts before all is loaded."""
        source, streams = self._input(), []
        told: dict[str, Any] = {"f": "mp4", "movflags": "+faststart", "map_metadata": -1, "t": self._max_duration_s}
        if probed.video is not None:
            streams.append(source[str(probed.video)])
            told |= {"c:v": "copy"} if copies.get("video") else self._encoded_picture()
        if probed.audio is not None:
            streams.append(source[str(probed.audio)])
            encoded = {"c:a": "aac", "b:a": "128k", "ac": min(probed.facts.channels or 2, 2), **ALL_CHANNELS}
            told |= {"c:a": "copy"} if copies.get("audio") else encoded
        return ffmpeg.output(*streams, _to(to), **told)

    def _encoded_picture(self) -> dict[str, Any]:
        side = f"min(1\\,{LONGEST_SIDE}/max(iw\\,ih))"
        return {
            "c:v": "libx264",
            "preset": "veryfast",
            "crf": 24,
            "pix_fmt": "yuv420p",
            "vf": f"scale=trunc(iw*{side}/2)*2:trunc(ih*{side}/2)*2",
            "threads": self._threads,
        }

    def _picture(self, path: Path, stream: int, start_s: float, *, moving: bool) -> bytes:
        """A WebP, or nothing."""
        # from the key frame before it: nothing is decoded only to be thrown away
        seek = {"ss": start_s, "noaccurate_seek": None} if start_s else {}
        picture = self._input(**seek)[str(stream)]
        if moving:
            picture = picture.filter("thumbnail", THUMBNAIL_FRAMES)
        picture = picture.filter("scale", f"min({THUMBNAIL_WIDTH},iw)", -1)
        made = picture.output("pipe:1", f="image2pipe", vcodec="libwebp", vframes=1, quality=75)
        try:
            return children.run(_command(made), self._bounds, stdin=path, at_most=THUMBNAIL_BYTES)
        except (ChildFailed, EngineFailed, TooLarge) as error:
            log.info("a picture could not be decoded why=%s", error)
            return b""


def _to(path: Path) -> str:
    return f"file:{path.absolute()}"


def _command(made: Any) -> list[str]:
    program = children.program("ffmpeg", "ffmpeg")
    told = made.global_args("-nostdin", "-v", "error").overwrite_output().compile(cmd=program)
    return [str(part) for part in told]


def _speech(sound: Any, to: Path, longest_s: float) -> Any:
    # what the file says of itself may be no text at all
    bare = {"map_metadata": "-1", "map_chapters": "-1"}
    return sound.output(_to(to), acodec="flac", ac=1, ar=SPEECH_RATE, f="flac", t=longest_s, **bare)


def _refuse_if_full(said: str, why: Exception | None = None) -> None:
    """The disk is at fault then, and not the file."""
    if _FULL.search(said):
        raise StoreFull("there is no room for what is made of the file: free space or quota below NEXUS_HOME") from why


def _refuse_if_cut_off(decoded_s: float, probed: Probed, said: str) -> None:
    """The end of a truncated file is silently missing: ffmpeg ends well, even with -xerror."""
    # A container's duration is its longest stream's: with pictures, sound may rightly end before. Then ffmpeg's own
    # words decide.
    cut = "partial file" in said or "prematurely" in said
    own = probed.audio_s or (probed.facts.duration_s if probed.video is None or cut else None)
    if own is not None and decoded_s < ENOUGH * own and own - decoded_s > 1.0:
        raise DamagedMedia(
            f"only {decoded_s:.0f} of {own:.0f} s of sound are there: the file is cut off; copy or download it again"
        )


def _container(probed: Probed) -> str:
    return (probed.facts.container or "").split(",")[0]


def _plays(probed: Probed) -> bool:
    """Whether every usual browser plays the file as it is."""
    facts, container = probed.facts, _container(probed)
    if container == "matroska" and not probed.webm:
        return False
    if container == "mov" and probed.brand == "qt":
        return False
    if probed.video is None:
        return facts.audio_codec in _AUDIO_PLAYS.get(container, frozenset())
    if container == "mov":
        return all(_copies(probed).values()) and facts.audio_codec in (None, "aac", "mp3")
    return container == "matroska" and facts.video_codec in ("vp8", "vp9", "av1")


def _copies(probed: Probed) -> dict[str, bool]:
    """Which streams can go into an MP4 as they are and be played there."""
    copies = {}
    if probed.video is not None:
        copies["video"] = probed.facts.video_codec in _MP4_VIDEO and probed.pixel_format in _PLANAR
    if probed.audio is not None:
        copies["audio"] = probed.facts.audio_codec in _MP4_AUDIO
    return copies

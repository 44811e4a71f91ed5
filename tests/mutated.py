"""Files mutated by a seed from small valid ones: the same seed makes the same file on the same ffmpeg."""

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.running import srt
from tests.speech import ffmpeg, speak

_PICTURE = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=4:d=1")
_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-shortest")
_SOUNDS = {
    "a.mp3": ("-b:a", "16k"),
    "a.m4a": ("-b:a", "24k"),
    "a.wav": ("-ar", "8000"),
    "a.flac": ("-ar", "8000"),
    "a.opus": ("-b:a", "12k"),
    "a.ogg": ("-c:a", "libvorbis", "-ar", "16000"),
}
_VIDEOS = {
    "v.mp4": (*_H264, "-c:a", "aac", "-b:a", "24k", "-movflags", "+faststart"),
    "w.mp4": (*_H264, "-c:a", "aac", "-b:a", "24k"),
    "v.webm": ("-c:v", "libvpx", "-b:v", "50k", "-c:a", "libopus", "-b:a", "12k", "-shortest"),
    "v.mkv": (*_H264, "-c:a", "libmp3lame", "-b:a", "16k"),
    "v.avi": ("-c:v", "mpeg4", "-c:a", "libmp3lame", "-b:a", "16k", "-shortest"),
}
_IMAGES = {"p.gif": (), "p.png": (), "p.webp": (), "p.jpg": ()}
_LARGE = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00", b"\x00\x00\x00\x01")
_FIELDS = (b"moov", b"mdat", b"stsz", b"stco", b"stts", b"ctts", b"stsc", b"elst", b"trak", b"mdhd", b"data", b"fmt ")
_JSON = b'{"language": "en", "segments": [{"start": 0.0, "end": 1.5, "text": "The moon was near."}]}'
_VTT = b"WEBVTT\n\n00:00.000 --> 00:01.500\n<v Anna>The moon was near.\n"
LARGEST = 20_000


def seeds(folder: Path) -> dict[str, bytes]:
    """Small valid files of every kind, at most 20 kB each, by name."""
    word = speak(folder / "word.wav", ["The moon."], pause_s=0.1)
    for name, told in _SOUNDS.items():
        ffmpeg("-i", word, "-ac", "1", *told, folder / name)
    for name, told in _VIDEOS.items():
        ffmpeg(*_PICTURE, "-i", word, "-ac", "1", *told, folder / name)
    for name, told in _IMAGES.items():
        ffmpeg(*_PICTURE, "-frames:v", "1", *told, folder / name)
    made = {name: (folder / name).read_bytes() for name in (*_SOUNDS, *_VIDEOS, *_IMAGES)}
    assert {name: len(data) for name, data in made.items() if len(data) > LARGEST} == {}
    return made | {"t.srt": srt("The moon was near.", "It is cold."), "t.vtt": _VTT, "t.json": _JSON}


def flipped(data: bytearray, draw: random.Random, _other: bytes) -> bytearray:
    """Some bits."""
    for _ in range(draw.choice((1, 4, 30, 300))):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return data


def cut(data: bytearray, draw: random.Random, _other: bytes) -> bytearray:
    """Its end, or its beginning."""
    at = draw.randrange(len(data))
    return data[:at] if draw.random() < 0.8 else data[at:]


def spliced(data: bytearray, draw: random.Random, other: bytes) -> bytearray:
    """The beginning of one and the end of another."""
    return data[: draw.randrange(1, len(data))] + other[draw.randrange(len(other)) :]


def swapped(data: bytearray, draw: random.Random, other: bytes) -> bytearray:
    """Another's first bytes."""
    n = draw.choice((4, 8, 16, 64, 512))
    return bytearray(other[:n]) + data[n:]


def swollen(data: bytearray, draw: random.Random, _other: bytes) -> bytearray:
    """Sizes and counts that are declared huge, or nothing."""
    places = [at + shift for field in _FIELDS for at in [data.find(field)] if at > 0 for shift in (-4, 4, 8, 12)]
    for _ in range(draw.choice((1, 1, 3))):
        at = draw.choice(places) if places and draw.random() < 0.7 else draw.randrange(max(1, min(len(data), 400)))
        data[at : at + 4] = draw.choice(_LARGE)
    return data


def stuffed(data: bytearray, draw: random.Random, _other: bytes) -> bytearray:
    """A stretch of it doubled, zeroed or removed."""
    a = draw.randrange(len(data))
    b = min(len(data), a + draw.choice((1, 16, 256, 4096)))
    new = draw.choice((data[a:b] * 3, bytearray(b - a), bytearray()))
    return data[:a] + new + data[b:]


def renumbered(data: bytearray, draw: random.Random, _other: bytes) -> bytearray:
    """Numbers of four bytes set to any others."""
    for _ in range(draw.choice((1, 5, 20))):
        struct.pack_into(draw.choice((">I", "<I")), data, draw.randrange(max(1, len(data) - 4)), draw.getrandbits(32))
    return data


MUTATIONS: tuple[Callable[[bytearray, random.Random, bytes], bytearray], ...] = (
    flipped,
    cut,
    spliced,
    swapped,
    swollen,
    stuffed,
    renumbered,
)


def mutated(made: dict[str, bytes], first: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of `count` files, the `first` one's seed being its number."""
    names = sorted(made)
    for n in range(first, first + count):
        draw = random.Random(n)
        name = draw.choice(names)
        data = bytearray(made[name])
        for _ in range(draw.choice((1, 1, 2))):
            if len(data) > 8:
                data = draw.choice(MUTATIONS)(data, draw, made[draw.choice(names)])
        yield f"{n}-{name}", bytes(data[: 2 * LARGEST])

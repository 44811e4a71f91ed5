"""Media that are none, are hostile or damaged: each is refused with an error that says so, and nothing else happens."""

import os
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from nexus_pipeline.domain.errors import DamagedMedia, EmptyInput, UnsupportedMedia
from nexus_pipeline.engines.ffmpeg import FFmpeg
from tests.contracts.media_parts import make, speech


def _png_bomb() -> bytes:
    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = part(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + part(b"IDAT", zlib.compress(bytes(10**6))) + part(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("talk.mp3", b"only words, renamed " * 50),
        ("talk.mp4", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + os.urandom(50_000)),
        ("talk.wav", os.urandom(200_000)),
        ("talk.m4a", b"<html><body>404</body></html>"),
        ("list.mp3", b"ffconcat version 1.0\nfile 'secret.wav'\n"),
        ("bomb.png", _png_bomb()),
        ("x.mp3", b"\0" * 100_000),
    ],
)
def test_what_is_no_media_is_unsupported_whatever_its_name(
    media: FFmpeg, tmp_path: Path, name: str, data: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UnsupportedMedia) as refused:
        media.probe(path)
    assert name not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


def test_an_archive_is_unsupported(media: FFmpeg, files: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.mp4", "w") as archive:
        archive.write(files / "a.mp3")
    with pytest.raises(UnsupportedMedia):
        media.probe(tmp_path / "z.mp4")


@pytest.mark.parametrize(
    "form", ["#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile:{0}\n#EXT-X-ENDLIST\n", "#EXTM3U\n{0}\n"]
)
def test_a_playlist_renamed_does_not_read_other_files(media: FFmpeg, files: Path, tmp_path: Path, form: str) -> None:
    path = tmp_path / "list.mp3"
    path.write_text(form.format(files / "speech.wav"))
    with pytest.raises(UnsupportedMedia):
        media.probe(path)
    with pytest.raises(DamagedMedia):
        b"".join(media.pcm(path, 16_000))


def test_nothing_in_it_is_said(media: FFmpeg, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(EmptyInput, match="0 bytes"):
        media.probe(tmp_path / "empty.mp4")


def test_a_file_cut_off_before_its_index_is_damaged(media: FFmpeg, files: Path, tmp_path: Path) -> None:
    whole = make(tmp_path / "late-index.mp4", "-i", str(files / "v.mp4"), "-c", "copy")
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[:20_000])
    with pytest.raises(DamagedMedia, match="complete"):
        media.probe(tmp_path / "cut.mp4")


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mp3", "wav"])
def test_a_file_cut_off_in_its_middle_is_damaged_when_heard(
    media: FFmpeg, files: Path, tmp_path: Path, suffix: str
) -> None:
    whole = tmp_path / f"whole.{suffix}"
    told = {"mp4": ("-c", "copy", "-movflags", "+faststart"), "mkv": ("-c", "copy"), "mp3": ("-vn",), "wav": ("-vn",)}
    make(whole, "-i", str(files / "v.mp4"), *told[suffix])
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    if suffix == "wav":  # a player reads what is there: its length is that of the file
        assert speech(media, cut, tmp_path / "s.flac")[0] == pytest.approx(3, abs=0.1)
        return
    with pytest.raises(DamagedMedia, match="cut off"):
        speech(media, cut, tmp_path / "s.flac")

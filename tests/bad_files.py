"""Files that are none, are hostile or damaged, and some that only look so, by their names in docs/bad-input.md."""

import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.speech import SENTENCES, ffmpeg, silence, speak

SECRET = "A quiet song for the client."
"""What the local file says that a playlist wants to have read."""


def png_bomb() -> bytes:
    """A picture of 2.5 gigapixels in a few kilobytes."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = part(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + part(b"IDAT", zlib.compress(bytes(10**6))) + part(b"IEND", b"")


class Files:
    """Makes them in a folder; what several are made from is made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.talk = speak(folder / "whole.wav", SENTENCES[:4])

    def _whole(self, name: str, *told: str) -> bytes:
        to = self.folder / name
        ffmpeg("-i", self.talk, *told, to)
        return to.read_bytes()

    def _video(self, name: str, *told: str) -> bytes:
        to = self.folder / name
        picture = ("-f", "lavfi", "-i", "testsrc=s=160x120:r=5", "-c:v", "libx264", "-preset", "ultrafast", "-shortest")
        ffmpeg(*picture[:4], "-i", self.talk, *picture[4:], "-pix_fmt", "yuv420p", *told, to)
        return to.read_bytes()

    def a_file_of_0_bytes(self) -> tuple[str, bytes]:
        return "nothing.mp3", b""

    def text(self) -> tuple[str, bytes]:
        return "text.mp3", b"only words, renamed\n" * 50

    def a_zip(self) -> tuple[str, bytes]:
        (self.folder / "in.mp3").write_bytes(self._whole("in-zip.mp3"))
        with zipfile.ZipFile(self.folder / "z.zip", "w") as archive:
            archive.write(self.folder / "in.mp3", "in.mp3")
        return "zip.mp4", (self.folder / "z.zip").read_bytes()

    def a_pdf(self) -> tuple[str, bytes]:
        return "pdf.mp4", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)) * 40

    def a_png_bomb(self) -> tuple[str, bytes]:
        return "bomb.png", png_bomb()

    def a_playlist(self) -> tuple[str, bytes]:
        secret = speak(self.folder / "secret.wav", [SECRET])
        head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n"
        return "list.mp3", f"{head}file:{secret}\n#EXT-X-ENDLIST\n".encode()

    def a_list_of_files(self) -> tuple[str, bytes]:
        return "concat.mp3", f"ffconcat version 1.0\nfile '{self.folder}/secret.wav'\n".encode()

    def an_mp4_without_its_end(self) -> tuple[str, bytes]:
        whole = self._video("index-last.mp4")
        return "no-index.mp4", whole[: len(whole) // 2]

    def an_mp4_cut_in_its_middle(self) -> tuple[str, bytes]:
        whole = self._video("index-first.mp4", "-movflags", "+faststart")
        return "half.mp4", whole[: len(whole) // 2]

    def an_mp3_cut_in_its_middle(self) -> tuple[str, bytes]:
        whole = self._whole("whole.mp3")
        return "half.mp3", whole[: len(whole) // 2]

    def a_video_without_sound(self) -> tuple[str, bytes]:
        to = self.folder / "mute.mp4"
        ffmpeg("-f", "lavfi", "-i", "testsrc=s=160x120:d=2", "-pix_fmt", "yuv420p", to)
        return "mute.mp4", to.read_bytes()

    def a_fifth_of_a_second(self) -> tuple[str, bytes]:
        to = self.folder / "short.wav"
        ffmpeg("-ss", "0.3", "-t", "0.2", "-i", self.talk, to)
        return "short.wav", to.read_bytes()

    def silence(self) -> tuple[str, bytes]:
        return "silent.wav", silence(self.folder / "silent.wav").read_bytes()

    def many_channels(self) -> tuple[str, bytes]:
        to = self.folder / "wide.flac"
        ffmpeg("-i", speak(self.folder / "wide.wav", SENTENCES[6:]), "-ar", "192000", "-ac", "8", to)
        return "wide.flac", to.read_bytes()

    def damaged_frames(self) -> tuple[str, bytes]:
        """Between the second and the third of four sentences; the first and the last are whole."""
        data = bytearray(self._whole("torn.mp3", "-b:a", "64k"))
        middle = len(data) // 2
        data[middle : middle + 4000] = bytes((n * 37) % 256 for n in range(4000))
        return "torn.mp3", bytes(data)

    def a_wrong_suffix(self) -> tuple[str, bytes]:
        speak(self.folder / "suffix.wav", SENTENCES[4:6])
        ffmpeg("-i", self.folder / "suffix.wav", self.folder / "suffix.ogg")
        return "song.mp4", (self.folder / "suffix.ogg").read_bytes()

    def too_many_samples(self) -> tuple[str, bytes]:
        """Resampling it would take most of a minute and give nothing."""
        data = bytearray(self.talk.read_bytes())
        data[24:28] = (1_634_435_136).to_bytes(4, "little")
        return "rate.wav", bytes(data)

    def no_transcript(self) -> tuple[str, bytes]:
        return "talk.srt", bytes(range(256)) * 8


FILES: dict[str, Callable[[Files], tuple[str, bytes]]] = {
    "0 bytes": Files.a_file_of_0_bytes,
    "text named `.mp3`": Files.text,
    "a ZIP with an MP3 in it, named `.mp4`": Files.a_zip,
    "a PDF named `.mp4`": Files.a_pdf,
    "a PNG of 2.5 gigapixels in 4 kB": Files.a_png_bomb,
    "a playlist (HLS) of a local file, named `.mp3`": Files.a_playlist,
    "a list (ffconcat) of local files, named `.mp3`": Files.a_list_of_files,
    "an MP4 whose end, and with it the index, is missing": Files.an_mp4_without_its_end,
    "an MP4 with its index first, cut in the middle": Files.an_mp4_cut_in_its_middle,
    "an MP3 cut in the middle": Files.an_mp3_cut_in_its_middle,
    "a video without sound": Files.a_video_without_sound,
    "0.2 s of sound": Files.a_fifth_of_a_second,
    "silence": Files.silence,
    "192 kHz and 8 channels": Files.many_channels,
    "an MP3 with damaged frames in its middle": Files.damaged_frames,
    "an Ogg named `.mp4`": Files.a_wrong_suffix,
    "a WAV that claims 1.6 GHz": Files.too_many_samples,
    "bytes that are no text, named `.srt`": Files.no_transcript,
}

"""Media: a real ffmpeg on files made here, hostile ones among them."""

import os
import shutil
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path

import pytest

from nexus_pipeline import children
from nexus_pipeline.children import Bounds, ChildFailed
from nexus_pipeline.domain.errors import (
    Cancelled,
    DamagedMedia,
    EmptyInput,
    EngineFailed,
    EngineKilled,
    TooLarge,
    TooLong,
    UnsupportedMedia,
)
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.engines.ffmpeg import FFmpeg

AUDIO = ("-f", "lavfi", "-i", "sine=440:d=6:r=44100")
VIDEO = ("-f", "lavfi", "-i", "testsrc=s=320x240:d=6:r=25")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def make(path: Path, *told: str) -> Path:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *told, str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make(folder / "v.mp4", *VIDEO, *AUDIO, *H264, "-c:a", "aac", "-shortest", "-movflags", "+faststart")
    make(folder / "a.mp3", *AUDIO, "-b:a", "64k")
    subprocess.run(
        ["espeak-ng", "-w", folder / "speech.wav", "Good morning, this is a short talk about bread."], check=True
    )
    make(folder / "picture.jpg", *VIDEO, "-frames:v", "1")
    return folder


@pytest.fixture
def media() -> FFmpeg:
    return FFmpeg(max_duration_s=3600, max_bytes=10**9)


def speech(media: FFmpeg, path: Path, to: Path, cancelled=lambda: False) -> tuple[float, list[float]]:
    told: list[float] = []
    return media.speech(path, to, media.probe(path), told.append, cancelled), told


def rendition(media: FFmpeg, path: Path, folder: Path) -> Path | None:
    return media.rendition(path, folder, media.probe(path), lambda _: None, lambda: False)


# ------------------------------------------------------------ probing


def test_a_video_has_size_rate_sound_and_length(media: FFmpeg, files: Path) -> None:
    facts = media.probe(files / "v.mp4")
    assert (facts.kind, facts.width, facts.height, facts.fps, facts.channels) == (Kind.VIDEO, 320, 240, 25.0, 1)
    assert (facts.audio_codec, facts.video_codec) == ("aac", "h264")
    assert facts.duration_s == pytest.approx(6, abs=0.1)


def test_a_wrong_suffix_misleads_nobody(media: FFmpeg, files: Path, tmp_path: Path) -> None:
    for name, kind in (("v.mp4", Kind.VIDEO), ("a.mp3", Kind.AUDIO), ("picture.jpg", Kind.IMAGE)):
        path = shutil.copy(files / name, tmp_path / f"{name}.txt%03d '\"-- é.flac")
        assert media.probe(path).kind is kind


def test_a_cover_is_no_video_and_becomes_the_thumbnail(media: FFmpeg, files: Path, tmp_path: Path) -> None:
    told = ("-i", str(files / "a.mp3"), "-i", str(files / "picture.jpg"), "-map", "0", "-map", "1", "-c", "copy")
    path = make(tmp_path / "cover.mp3", *told, "-disposition:v", "attached_pic")
    facts = media.probe(path)
    assert (facts.kind, facts.width) == (Kind.AUDIO, None)
    assert media.thumbnail(path, tmp_path / "t.webp", facts)
    assert (tmp_path / "t.webp").read_bytes()[8:12] == b"WEBP"
    assert not media.thumbnail(files / "a.mp3", tmp_path / "no.webp", media.probe(files / "a.mp3"))
    assert not (tmp_path / "no.webp").exists()


def test_a_video_on_its_side_has_the_size_that_people_see(media: FFmpeg, files: Path, tmp_path: Path) -> None:
    path = (
        make(tmp_path / "side.mp4", "-display_rotation", "90", "-i", str(files / "v.mp4"), "-c", "copy")
        if (
            "display_rotation"
            in subprocess.run(["ffmpeg", "-h", "full"], capture_output=True, text=True, check=True).stdout
        )
        else make(tmp_path / "side.mp4", "-i", str(files / "v.mp4"), "-c", "copy", "-metadata:s:v:0", "rotate=90")
    )
    assert (media.probe(path).width, media.probe(path).height) == (240, 320)


def test_a_length_that_would_be_a_guess_is_measured(media: FFmpeg, tmp_path: Path) -> None:
    quiet_then_loud = ("-f", "lavfi", "-i", "sine=440:d=20,volume='if(lt(t,18),0,1)':eval=frame")
    path = make(tmp_path / "a.aac", *quiet_then_loud, "-c:a", "aac", "-b:a", "128k")
    assert media.probe(path).duration_s == pytest.approx(20, abs=0.3)


def test_a_recording_without_a_length_gets_one(media: FFmpeg, tmp_path: Path) -> None:
    with (tmp_path / "mic.webm").open("wb") as out:  # a pipe cannot be sought: the length is never written
        subprocess.run(["ffmpeg", "-v", "error", *AUDIO, "-c:a", "libopus", "-f", "webm", "-"], stdout=out, check=True)
    assert media.probe(tmp_path / "mic.webm").duration_s == pytest.approx(6, abs=0.1)


def test_chapters_are_those_of_the_file(media: FFmpeg, files: Path, tmp_path: Path) -> None:
    told = ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=2500\ntitle=Bread\n"
    (tmp_path / "meta").write_text(told + "[CHAPTER]\nTIMEBASE=1/1000\nSTART=2500\nEND=6000\n")
    sources = ("-i", str(files / "v.mp4"), "-i", str(tmp_path / "meta"), "-map_chapters", "1", "-c", "copy")
    chapters = media.chapters(make(tmp_path / "c.mkv", *sources))
    assert [(c.start_s, c.end_s, c.title) for c in chapters] == [(0.0, 2.5, "Bread"), (2.5, 6.0, "Chapter 2")]
    assert media.chapters(files / "v.mp4") == ()


def test_too_large_and_too_long_name_the_setting(files: Path) -> None:
    with pytest.raises(TooLarge, match="NEXUS_MAX_BYTES"):
        FFmpeg(max_duration_s=3600, max_bytes=1000).probe(files / "v.mp4")
    with pytest.raises(TooLong, match="NEXUS_MAX_DURATION_S"):
        FFmpeg(max_duration_s=2, max_bytes=10**9).probe(files / "v.mp4")


# ------------------------------------------------------------ hostile files


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


# ------------------------------------------------------------ speech and samples


def test_speech_is_16_khz_mono_flac_with_progress(media: FFmpeg, files: Path, tmp_path: Path) -> None:
    seconds, told = speech(media, files / "v.mp4", tmp_path / "s.flac")
    assert seconds == pytest.approx(6, abs=0.1)
    assert told[-1] == pytest.approx(1, abs=0.02)
    assert told == sorted(told)
    facts = media.probe(tmp_path / "s.flac")
    assert (facts.audio_codec, facts.channels) == ("flac", 1)
    assert facts.duration_s == pytest.approx(seconds, abs=0.01)


def test_a_fifth_of_a_second_is_heard(media: FFmpeg, files: Path, tmp_path: Path) -> None:
    path = make(tmp_path / "short.mp3", "-i", str(files / "speech.wav"), "-t", "0.2")
    assert speech(media, path, tmp_path / "s.flac")[0] == pytest.approx(0.2, abs=0.05)


def test_sound_that_begins_late_keeps_its_times(media: FFmpeg, files: Path, tmp_path: Path) -> None:
    path = make(tmp_path / "late.mp4", "-itsoffset", "2", *AUDIO, *VIDEO, *H264, "-c:a", "aac")
    assert speech(media, path, tmp_path / "s.flac")[0] == pytest.approx(8, abs=0.1)
    first = b"".join(media.pcm(tmp_path / "s.flac", 16_000, 0, 1.9))
    after = b"".join(media.pcm(tmp_path / "s.flac", 16_000, 2.5, 1))
    assert not any(first)
    assert any(after)


def test_sound_that_ends_before_the_picture_is_not_damaged(media: FFmpeg, tmp_path: Path) -> None:
    for suffix in ("mp4", "mkv"):
        path = make(tmp_path / f"s.{suffix}", "-f", "lavfi", "-i", "sine=d=2", *VIDEO, *H264, "-c:a", "aac")
        assert speech(media, path, tmp_path / "s.flac")[0] == pytest.approx(2, abs=0.1)


def test_samples_come_whole_at_the_rate_and_place_asked_for(media: FFmpeg, files: Path) -> None:
    chunks = list(media.pcm(files / "a.mp3", 11_025, start_s=1.0, duration_s=2.0))
    assert all(len(chunk) % 2 == 0 for chunk in chunks)
    assert sum(map(len, chunks)) == pytest.approx(2 * 2 * 11_025, abs=4)


def test_cancelling_stops_within_a_second(media: FFmpeg, tmp_path: Path) -> None:
    path = make(tmp_path / "long.wav", "-f", "lavfi", "-i", "sine=d=3000")
    facts, began = media.probe(path), time.monotonic()
    with pytest.raises(Cancelled):
        media.speech(path, tmp_path / "s.flac", facts, lambda _: None, lambda: time.monotonic() - began > 0.3)
    assert time.monotonic() - began < 1.5


# ------------------------------------------------------------ renditions and thumbnails


PLAYS = {
    "plain.mp3": ("-c:a", "libmp3lame"),
    "plain.m4a": ("-c:a", "aac"),
    "plain.ogg": ("-c:a", "libvorbis"),
    "plain.opus": ("-c:a", "libopus"),
    "plain.flac": (),
    "plain.wav": (),
    "plain.webm": ("-c:a", "libopus"),
}


@pytest.mark.parametrize("name", PLAYS)
def test_sound_that_browsers_play_is_left_as_it_is(media: FFmpeg, tmp_path: Path, name: str) -> None:
    assert rendition(media, make(tmp_path / name, *AUDIO, *PLAYS[name]), tmp_path) is None


@pytest.mark.parametrize("name", ["a.wma", "a.aiff", "a.aac", "a24.wav", "a.mka"])
def test_other_sound_becomes_m4a(media: FFmpeg, tmp_path: Path, name: str) -> None:
    told = ("-c:a", "pcm_s24le") if name == "a24.wav" else ("-c:a", "libopus") if name == "a.mka" else ()
    path = make(tmp_path / name, *AUDIO, *told)
    played = rendition(media, path, tmp_path)
    assert played == tmp_path / "play.m4a"
    assert media.probe(played).duration_s == pytest.approx(6, abs=0.2)
    assert media.probe(played).audio_codec == ("opus" if name == "a.mka" else "aac")


def test_video_that_browsers_play_is_left_as_it_is(media: FFmpeg, files: Path, tmp_path: Path) -> None:
    assert rendition(media, files / "v.mp4", tmp_path) is None
    webm = make(tmp_path / "v.webm", *VIDEO, *AUDIO, "-c:v", "libvpx", "-b:v", "200k", "-deadline", "realtime")
    assert rendition(media, webm, tmp_path) is None
    assert rendition(media, files / "picture.jpg", tmp_path) is None


def test_a_video_in_another_container_is_copied_into_mp4_not_encoded(
    media: FFmpeg, files: Path, tmp_path: Path
) -> None:
    mkv = make(tmp_path / "v.mkv", "-i", str(files / "v.mp4"), "-c", "copy")
    played = rendition(media, mkv, tmp_path)
    assert played == tmp_path / "play.mp4"
    assert _packets(played) == _packets(files / "v.mp4")
    assert played.read_bytes().index(b"moov") < played.read_bytes().index(b"mdat")


def test_only_the_stream_that_does_not_play_is_encoded(media: FFmpeg, files: Path, tmp_path: Path) -> None:
    mkv = make(tmp_path / "v.mkv", "-i", str(files / "v.mp4"), "-c:v", "copy", "-c:a", "ac3")
    played = rendition(media, mkv, tmp_path)
    assert played is not None
    assert media.probe(played).audio_codec == "aac"
    assert _packets(played) == _packets(files / "v.mp4")


def test_an_old_video_of_odd_size_is_encoded(media: FFmpeg, tmp_path: Path) -> None:
    path = make(
        tmp_path / "v.avi", "-f", "lavfi", "-i", "testsrc=s=321x241:d=2", *AUDIO, "-c:v", "mpeg4", "-c:a", "mp3"
    )
    played = rendition(media, path, tmp_path)
    assert played is not None
    facts = media.probe(played)
    assert (facts.video_codec, facts.width, facts.height, facts.audio_codec) == ("h264", 320, 240, "mp3")


def _packets(path: Path) -> list[str]:
    """Sizes of the pictures' packets, without what the container adds."""
    told = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        "v",
        "-show_entries",
        "packet=size",
        "-of",
        "csv=p=0",
        str(path),
    ]
    return subprocess.run(told, capture_output=True, text=True, check=True).stdout.split()


def test_thumbnails_are_at_most_640_wide_and_come_from_short_videos_too(media: FFmpeg, tmp_path: Path) -> None:
    wide = make(tmp_path / "wide.mp4", "-f", "lavfi", "-i", "testsrc=s=1280x720:d=3", *H264)
    one = make(tmp_path / "one.mp4", "-f", "lavfi", "-i", "testsrc=s=200x100:d=0.04:r=25", *H264)
    for path, size in ((wide, (640, 360)), (one, (200, 100))):
        to = tmp_path / f"{path.stem}.webp"
        assert media.thumbnail(path, to, media.probe(path))
        facts = media.probe(to)
        assert (facts.kind, facts.width, facts.height) == (Kind.IMAGE, *size)


def test_a_picture_that_cannot_be_decoded_is_damaged(media: FFmpeg, files: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    make(path, "-i", str(files / "picture.jpg"))
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises((DamagedMedia, UnsupportedMedia)):
        media.thumbnail(path, tmp_path / "t.webp", media.probe(path))


def test_a_file_is_probed_once_and_again_when_it_changes(media: FFmpeg, files: Path, tmp_path: Path) -> None:
    path = shutil.copy(files / "v.mp4", tmp_path / "x")
    assert media.probe(path).kind is Kind.VIDEO
    began = time.process_time() + time.monotonic()
    for _ in range(100):
        media.probe(path)
    assert time.process_time() + time.monotonic() - began < 1
    shutil.copy(files / "a.mp3", path)
    assert media.probe(path).kind is Kind.AUDIO


# ------------------------------------------------------------ children


BOUNDS = Bounds(wall_s=20, cpu_s=10, file_bytes=1 << 20, memory_bytes=1 << 30)


def python(code: str, bounds: Bounds = BOUNDS, **told) -> bytes:
    return children.run([sys.executable, "-Ic", code], bounds, **told)


def test_a_child_is_bounded_in_time_cpu_memory_and_files(tmp_path: Path) -> None:
    with pytest.raises(EngineKilled, match="time limit"):
        python("import time; time.sleep(60)", Bounds(0.5, 10, 1 << 20))
    with pytest.raises(EngineFailed, match="computing"):
        python("while True: pass", Bounds(20, 0.5, 1 << 20))
    with pytest.raises(ChildFailed, match="MemoryError"):
        python("bytearray(2 << 30)")
    # Python ignores the signal and says so itself; ffmpeg dies of it
    with pytest.raises(ChildFailed, match="File too large"):
        python(f"open({str(tmp_path / 'f')!r}, 'wb').write(bytes(2 << 20))")
    noise = make(tmp_path / "n.ogg", "-f", "lavfi", "-i", "anoisesrc=d=20", "-b:a", "64k")
    small = FFmpeg(max_duration_s=99, max_bytes=300_000)
    facts = small.probe(noise)
    with pytest.raises(TooLarge):
        small.speech(noise, tmp_path / "n.flac", facts, lambda _: None, lambda: False)
    with pytest.raises(TooLarge):
        python("print('x' * 10_000_000)", at_most=1000)


def test_what_a_child_says_last_is_kept_without_paths() -> None:
    with pytest.raises(ChildFailed) as failed:
        python(
            "import sys; print('x' * 100_000, file=sys.stderr); sys.exit('no such file: /home/anna/talk.mp3, sorry')"
        )
    assert failed.value.said.endswith("no such file: (file), sorry")
    assert len(failed.value.said) <= 400


def test_a_child_knows_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_GEMINI_API_KEY", "secret")
    assert python("import os; print(sorted(os.environ))").decode().strip() == "['LC_ALL', 'PATH']"


def test_closing_the_output_ends_the_child_and_its_children() -> None:
    code = (
        "import subprocess,os; c = subprocess.Popen(['sleep', '60']); print(os.getpid(), c.pid, flush=True); c.wait()"
    )
    chunks = children.output([sys.executable, "-Ic", code], BOUNDS)
    pids = [int(p) for p in next(chunks).split()]
    chunks.close()
    assert _all_gone(pids)


def test_children_die_with_their_parent_and_outlive_the_thread_that_asked(tmp_path: Path) -> None:
    code = f"""
import sys, threading, time, os
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from nexus_pipeline import children
chunks = children.output([sys.executable, "-Ic", "import os,time; print(os.getpid(), flush=True); time.sleep(60)"],
                         children.Bounds(60, 60, 1 << 20))
pids = []
t = threading.Thread(target=lambda: pids.append(next(chunks))); t.start(); t.join()
time.sleep(0.3)
os.kill(int(pids[0]), 0)
print(pids[0].decode(), flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
        parent.wait()
    assert _all_gone([pid])


def _all_gone(pids: list[int]) -> bool:
    for _ in range(100):
        if not any(_alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_lines_are_whole_however_they_come() -> None:
    text = b"a=1\nbb=22\n\nccc"
    for size in range(1, len(text)):
        chunks = iter([text[i:j] for i, j in pairwise([*range(0, len(text), size), len(text)])])
        assert list(children.lines(chunks)) == [b"a=1", b"bb=22", b"", b"ccc"]

"""Media: a real ffmpeg on files made here: what they are, what is heard in them, what browsers play."""

import shutil
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from nexus_pipeline.domain.errors import (
    Cancelled,
    DamagedMedia,
    TooLarge,
    TooLong,
    UnsupportedMedia,
)
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.engines.ffmpeg import FFmpeg
from nexus_pipeline.engines.voices import stretches
from tests.contracts.media_parts import AUDIO, H264, VIDEO, make, speech


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


# ------------------------------------------------------------ speech and samples


def test_speech_is_16_khz_mono_flac_with_progress(media: FFmpeg, files: Path, tmp_path: Path) -> None:
    seconds, told = speech(media, files / "v.mp4", tmp_path / "s.flac")
    assert seconds == pytest.approx(6, abs=0.1)
    assert told[-1] == pytest.approx(1, abs=0.02)
    assert told == sorted(told)
    facts = media.probe(tmp_path / "s.flac")
    assert (facts.audio_codec, facts.channels) == ("flac", 1)
    assert facts.duration_s == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize("count", [2, 3, 6, 8])
def test_whoever_has_a_channel_is_heard_and_played(media: FFmpeg, tmp_path: Path, count: int) -> None:
    """Of three channels ffmpeg takes the third for a subwoofer's, of six the fourth, and leaves it out."""
    for speaker in range(count):
        told = "|".join("0.5*sin(440*2*PI*t)" if n == speaker else "0" for n in range(count))
        path = make(tmp_path / "call.aiff", "-f", "lavfi", "-i", f"aevalsrc='{told}':d=1:s=16000")
        speech_of_it = tmp_path / "speech.flac"
        media.speech(path, speech_of_it, media.probe(path), lambda _: None, lambda: False)
        media.cut(path, tmp_path / "cut.flac", 0.0, 1.0, lambda: False)
        played = rendition(media, path, tmp_path)
        assert played is not None
        for made in (speech_of_it, tmp_path / "cut.flac", played):
            assert loudness(b"".join(media.pcm(made, 16_000))) > 0.02
        assert loudness(b"".join(media.pcm(path, 16_000))) > 0.02


def loudness(samples: bytes) -> float:
    """Root of the mean square, of 1."""
    values = np.frombuffer(samples, "<i2") / 32768
    return float(np.sqrt((values**2).mean()))


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


# ------------------------------------------------------------ what a file says of itself


def test_what_is_said_in_a_file_is_no_part_of_its_speech_even_if_it_is_no_text(
    media: FFmpeg, files: Path, tmp_path: Path
) -> None:
    path = make(tmp_path / "said.flac", "-i", str(files / "a.mp3"), "-metadata", "title=PLANTED")
    path.write_bytes(path.read_bytes().replace(b"PLANTED", b"\xff\xfe\xfd ANY"))
    assert list(stretches(path, limit_s=30, first_s=30, cancelled=lambda: False))
    heard = tmp_path / "speech.flac"
    media.speech(path, heard, media.probe(path), lambda _: None, lambda: False)
    assert b"ANY" not in heard.read_bytes()
    assert list(stretches(heard, limit_s=30, first_s=30, cancelled=lambda: False))


# ------------------------------------------------------------ times that jump


def test_times_that_jump_by_hours_do_not_become_hours_of_silence(media: FFmpeg, tmp_path: Path) -> None:
    later = "asetpts='if(gt(T,3),PTS+36000/TB,PTS)'"
    path = make(tmp_path / "jump.mkv", *AUDIO, "-af", later, "-c:a", "libmp3lame")
    data = path.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # Matroska's Duration, in milliseconds
    lies = data[:at] + struct.pack(">d", 6000.0) + data[at + 8 :]
    path.write_bytes(lies.replace(b"10:00:0", b"00:00:0"))  # and what its sound says of itself
    assert media.probe(path).duration_s == pytest.approx(6, abs=0.1)
    decoded_s, _ = speech(media, path, tmp_path / "speech.flac")
    assert decoded_s == pytest.approx(6, abs=0.5)

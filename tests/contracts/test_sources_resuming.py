"""Sources: a broken download goes on where it stopped, and is never made of two versions."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_pipeline.domain.errors import Cancelled
from nexus_pipeline.ports import Limits
from nexus_pipeline.sources import source_for
from nexus_pipeline.sources.versions import Unfinished, Version, listed
from tests.contracts.site_parts import Site, serving, stream, tone

WHOLE = "mp3 https"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, type[Site]]]:
    (tmp_path / "site").mkdir()
    with serving(tmp_path / "site") as serves:
        yield serves


def fetch(url: str, folder: Path, until: float = 2.0) -> bytes:
    """What is fetched; killed in the middle when it has come so far."""
    folder.mkdir(exist_ok=True)
    limits = Limits(10**8, 3600.0, 60.0, ("127.0.0.1",))
    seen = [0.0]
    return source_for(url).fetch(url, folder, limits, seen.append, lambda: seen[-1] > until).path.read_bytes()


def killed(site: type[Site], url: str, folder: Path, until: float = 0.4) -> None:
    """A download whose child is killed in the middle."""
    site.pace_s = 0.05
    with pytest.raises(Cancelled):
        fetch(url, folder, until)
    site.pace_s = 0.0
    site.served.clear()


def ranged(site: type[Site]) -> list[int]:
    """Bytes of the answers to ranges."""
    return [size for _, asked, size in site.served if asked]


def test_a_killed_download_goes_on_and_the_site_serves_only_what_is_missing(site, tmp_path: Path) -> None:
    url, handler = site
    handler.validators = ("Last-Modified",)
    killed(handler, f"{url}/talk.mp3", tmp_path / "to")
    [part] = (tmp_path / "to").glob("*.part")
    there = part.stat().st_size
    whole = (handler.folder / "talk.mp3").read_bytes()
    assert 0 < there < len(whole)
    assert fetch(f"{url}/talk.mp3", tmp_path / "to") == whole
    assert ranged(handler) == [len(whole) - there]
    assert sorted(p.name for p in (tmp_path / "to").iterdir()) == ["media.mp3"]


def test_a_file_that_was_changed_is_fetched_anew_however_the_site_answers(site, tmp_path: Path) -> None:
    url, handler = site
    killed(handler, f"{url}/talk.mp3", tmp_path / "to")
    path = handler.folder / "talk.mp3"
    changed = path.read_bytes()[::-1]  # as long as before
    path.write_bytes(changed)
    answers = {
        "whole, as it is asked to": (True, True),
        "with the rest of the new one": (False, True),
        "knowing no ranges": (True, False),
    }
    for n, (handler.honours, handler.ranges) in enumerate(answers.values()):
        shutil.copytree(tmp_path / "to", tmp_path / str(n))
        assert fetch(f"{url}/talk.mp3", tmp_path / str(n)) == changed


def test_a_connection_that_breaks_again_and_again_is_taken_up_each_time(site, tmp_path: Path) -> None:
    url, handler = site
    whole = tone(handler.folder / "long.mp3", 60).read_bytes()
    handler.break_at = 150_000
    assert fetch(f"{url}/long.mp3", tmp_path / "to") == whole
    kept = 2 * 65_536  # of 150,000 bytes: whole blocks
    assert ranged(handler) == [150_000, 150_000, len(whole) - 3 * kept]


def test_a_stream_goes_on_after_its_last_whole_piece_if_its_list_is_the_same(site, tmp_path: Path) -> None:
    url, handler = site
    stream(handler.folder, seconds=12)
    killed(handler, f"{url}/list.m3u8", tmp_path / "to")
    shutil.copytree(tmp_path / "to", tmp_path / "again")
    pieces = sorted(handler.folder.glob("list*.ts"))
    assert fetch(f"{url}/list.m3u8?signed=now", tmp_path / "to") == b"".join(p.read_bytes() for p in pieces)
    served = [path for path, _, _ in handler.served if path.endswith(".ts")]
    assert 0 < len(served) < len(pieces)
    assert served == [f"/{p.name}" for p in pieces[-len(served) :]]
    stream(handler.folder, seconds=14)
    handler.served.clear()
    whole = b"".join(p.read_bytes() for p in sorted(handler.folder.glob("list*.ts")))
    assert fetch(f"{url}/list.m3u8", tmp_path / "again") == whole


# ------------------------------------------------------------ what lies on the disk


def unfinished(folder: Path, data: bytes, **note) -> Unfinished:
    folder.mkdir(exist_ok=True)
    (folder / "media.mp3.part").write_bytes(data)
    (folder / "media.mp3.version").write_text(json.dumps({"form": WHOLE, **note}))
    return Unfinished(folder / "media.mp3", WHOLE)


def test_what_is_there_goes_on_only_as_a_part_of_a_known_version_of_the_same_file(tmp_path: Path) -> None:
    said = {"validator": '"a"', "total": 10}
    assert unfinished(tmp_path, b"123", **said).version() == Version('"a"', 10)
    for other in ({"validator": None, "total": 10}, {"validator": '"a"', "total": 2}, {"form": "mp4 https", **said}):
        there = unfinished(tmp_path, b"123", **other)
        assert there.version() is None
        assert not any(tmp_path.iterdir())
    there = unfinished(tmp_path, b"123", **said)
    there._note.write_bytes(b'{"form": "mp3')  # cut off by a crash
    assert there.version() is None


def test_a_file_that_was_whole_when_its_run_was_killed_is_taken_as_it_is(tmp_path: Path) -> None:
    there = unfinished(tmp_path, b"1234567890", validator='"a"', total=10)
    there.version()
    assert (tmp_path / "media.mp3").read_bytes() == b"1234567890"


@pytest.mark.parametrize(
    ("index", "noted", "size", "left"),
    [
        (2, [2, 6], 6, 6),  # killed while piece 3 came
        (2, [2, 6], 8, 6),  # killed while piece 3 was appended: what came of it is cut off
        (3, [2, 6], 9, 9),  # killed after it was counted
        (2, [1, 3], 6, 6),
        (0, [0, 0], 2, None),  # killed while the first was appended
        (4, [2, 6], 9, None),  # they disagree
        (2, [2, 6], 5, None),
        (2, None, 6, None),
        ("", [2, 6], 9, 6),  # killed while it was counted
        ("", [0, 0], 2, None),
    ],
)
def test_a_stream_is_cut_after_its_last_whole_piece(tmp_path: Path, index, noted, size, left) -> None:
    there = unfinished(tmp_path, b"x" * size, listed="same")
    counted = json.dumps({"downloader": {"current_fragment": {"index": index}}})
    there._index.write_text(index if index == "" else counted)
    if noted is not None:
        there._pieces.write_text(json.dumps(noted))
    there.pieces_of("same")
    assert (there.part.stat().st_size if there.part.exists() else None) == left


def test_a_list_is_the_same_but_for_what_is_signed_and_none_of_ranges_is(tmp_path: Path) -> None:
    one = Version('"a"', None)
    assert listed(["a.ts?token=1", "b.ts"], one) == listed(["a.ts?token=2", "b.ts"], one)
    assert listed(["a.ts", "b.ts"], one) != listed(["a.ts", "c.ts"], one)
    assert listed(["a.ts"], one) != listed(["a.ts"], Version('"b"', None))
    assert listed(["#EXT-X-BYTERANGE:100@0", "a.ts"], one) is None
    there = unfinished(tmp_path, b"123", listed=None)
    there.pieces_of(None)
    assert not there.part.exists()


@pytest.mark.parametrize(
    ("status", "headers", "version"),
    [
        (200, {"ETag": '"a"', "Content-Length": "5"}, Version('"a"', 5)),
        (200, {"ETag": 'W/"a"', "Last-Modified": "then"}, Version("then", None)),
        (200, {"ETag": '"a"', "Content-Encoding": "gzip", "Content-Length": "5"}, Version(None, None)),
        (206, {"ETag": '"a"', "Content-Range": "bytes 3-4/5", "Content-Length": "2"}, Version('"a"', 5)),
        (206, {"Content-Range": "bytes 3-4/*"}, Version("then", None)),
    ],
)
def test_a_version_is_what_a_site_vouches_for(status: int, headers: dict[str, str], version: Version) -> None:
    assert Version.told(status, headers, Version("then", None)) == version


def test_a_part_without_the_etag_that_was_asked_for_is_of_no_version() -> None:
    before = Version('"a"', 5)
    assert not Version.told(206, {"Content-Range": "bytes 3-4/5"}, before).is_part_of(before)
    assert not Version('"a"', 6).is_part_of(before)

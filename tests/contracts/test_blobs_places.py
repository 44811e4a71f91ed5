"""What is particular to blobs in a folder, on S3, and to their addresses."""

import os
import resource
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from nexus_pipeline.blobs import FolderBlobs, ObjectBlobs, open_blobs
from nexus_pipeline.blobs.objects import s3_store
from nexus_pipeline.domain.errors import BadInput, NotFound, StoreError, StoreFull
from tests.contracts.blob_parts import MIB, NAMES, keys, open_s3
from tests.contracts.s3_server import BUCKET


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "store"
    return FolderBlobs(root), root


# ---------------------------------------------------------------- folders


def test_a_folder_that_is_not_there_yet_is_empty_and_is_made_by_a_put(folder):
    blobs, root = folder
    assert keys(blobs) == []
    assert not root.exists()
    blobs.put("a/b", b"x")
    assert (root / "a" / "b").read_bytes() == b"x"


NOT_TEXT = [b"latin \xe9\xff.mp3", b"new\nline", b"\x7f\x01", "\uf7e9".encode()]


@pytest.mark.parametrize("name", [*(os.fsencode(n) for n in NAMES), *NOT_TEXT])
def test_files_dropped_by_hand_are_listed_read_and_moved(folder, name):
    blobs, root = folder
    path = root / "sub folder" / os.fsdecode(name)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"dropped")
    [info] = blobs.under()
    info.key.encode()  # a key is text that any database takes
    assert blobs.read(info.key) == b"dropped"
    assert blobs.info(info.key) == info
    with blobs.local(info.key) as local:
        assert local == path
    found = path.stat()
    assert info.version == f"7-{found.st_mtime_ns}-{found.st_ino}"
    blobs.move(info.key, "items/raw")
    assert not path.exists()
    assert blobs.read("items/raw") == b"dropped"
    blobs.move("items/raw", info.key)
    assert path.exists()
    assert blobs.delete(info.key) == 1


def test_links_pipes_and_folders_are_no_blobs(folder, tmp_path):
    blobs, root = folder
    (root / "empty").mkdir(parents=True)
    (tmp_path / "passwords").write_text("secret")
    (root / "link").symlink_to(tmp_path / "passwords")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe")
    assert keys(blobs) == []
    for key in ("link", "pipe", "empty"):
        with pytest.raises(NotFound):
            blobs.read(key)
        with pytest.raises(NotFound):
            blobs.local(key).__enter__()
        with pytest.raises(NotFound):
            blobs.move(key, "stolen")


def test_deleting_a_prefix_leaves_what_a_link_points_to(folder, tmp_path):
    blobs, root = folder
    blobs.put("a/k", b"x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("x")
    (root / "a" / "link").symlink_to(tmp_path / "other")
    assert blobs.delete("a/") == 1
    assert not (root / "a").exists()
    assert (tmp_path / "other" / "file").exists()


def test_a_file_with_an_impossible_time_does_not_stop_the_listing(folder):
    blobs, root = folder
    blobs.put("old", b"x")
    blobs.put("new", b"x")
    os.utime(root / "old", ns=(0, -(10**18) * 9))
    assert keys(blobs) == ["new", "old"]


def test_what_a_killed_put_left_is_swept_when_the_folder_is_opened(folder):
    _, root = folder
    code = (
        "import pathlib, sys, time\nfrom nexus_pipeline.blobs.folder import FolderBlobs\n"
        "def slowly():\n    yield b'half'\n    print('half', flush=True)\n    time.sleep(60)\n"
        "FolderBlobs(pathlib.Path(sys.argv[1])).put('k', slowly())"
    )
    with subprocess.Popen([sys.executable, "-c", code, root], stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"half\n"
        assert FolderBlobs(root).sweep() == 0, "its writer lives"
        assert len(list((root / ".nexus-parts").iterdir())) == 1
        writer.kill()
    assert keys(FolderBlobs(root)) == []
    assert list((root / ".nexus-parts").iterdir()) == []


def test_parts_can_be_neither_listed_nor_named(folder):
    blobs, root = folder
    blobs.put("inbox/k", b"x")
    (root / "inbox" / ".nexus-parts").mkdir()
    (root / "inbox" / ".nexus-parts" / ".nexus-1.part").write_bytes(b"growing")
    assert keys(blobs) == ["inbox/k"]
    with pytest.raises(BadInput):
        blobs.read(".nexus-parts/.nexus-1.part")


def test_puts_and_deletes_of_one_folder_do_not_disturb_each_other(folder):
    blobs, _ = folder
    stop = threading.Event()

    def clear():
        while not stop.wait(0.001):
            blobs.delete("a/")

    clearing = threading.Thread(target=clear)
    clearing.start()
    try:
        for n in range(100):
            blobs.put(f"a/{n % 3}/k", b"x")
    finally:
        stop.set()
        clearing.join()


def test_a_folder_where_nothing_may_be_written_says_so():
    with pytest.raises(StoreFull, match="let Nexus write"):
        FolderBlobs(Path("/sys/nexus")).put("k", b"x")


def test_no_space_left_is_said_and_nothing_stays(folder):
    blobs, root = folder
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        with pytest.raises(StoreFull, match="free space"):
            blobs.put("k", iter([bytes(MIB)] * 3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert keys(blobs) == []
    assert list((root / ".nexus-parts").iterdir()) == []


def test_names_that_are_too_long_are_refused(folder):
    blobs, _ = folder
    with pytest.raises(BadInput, match="255 bytes"):
        blobs.put("ö" * 128, b"x")
    with pytest.raises(NotFound):
        blobs.read("ö" * 128)


def test_a_file_in_a_folders_place_is_said(folder):
    blobs, _ = folder
    blobs.put("a", b"x")
    with pytest.raises(StoreError, match="its name taken"):
        blobs.put("a/b", b"x")


# ---------------------------------------------------------------- S3


def test_the_empty_object_by_which_consoles_show_a_folder_is_not_listed(s3):
    prefix = uuid.uuid4().hex
    client = s3.client()
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/new folder/", Body=b"")
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/new folder/file", Body=b"")
    client.close()
    assert keys(open_s3(s3, prefix)) == ["new folder/file"]


def test_a_key_that_a_foreign_client_made_is_said(s3):
    prefix = uuid.uuid4().hex
    client = s3.client()
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/a//b", Body=b"")
    client.close()
    with pytest.raises(StoreError):
        keys(open_s3(s3, prefix))


def test_an_upload_that_failed_is_aborted(s3):
    def chunks():
        yield bytes(20 * MIB)
        raise ConnectionError

    blobs = open_s3(s3, uuid.uuid4().hex)
    client = s3.client()
    before = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    with pytest.raises(ConnectionError):
        blobs.put("k", chunks())
    assert client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == before
    client.close()


def test_objects_that_s3_does_not_copy_are_streamed(s3):
    store = s3_store(BUCKET, uuid.uuid4().hex, endpoint=s3.endpoint, options=s3.options)
    blobs = ObjectBlobs(store, copy_limit_bytes=3)
    blobs.put("from", b"1234")
    blobs.move("from", "to")
    assert keys(blobs) == ["to"]
    assert blobs.read("to") == b"1234"


def test_a_bucket_that_is_not_there_is_said(s3):
    blobs = open_blobs("s3://nowhere/x", s3_endpoint=s3.endpoint, s3_options=s3.options)
    with pytest.raises(StoreError):
        blobs.put("k", b"x")


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "url", ["", "/plain/path", "file://relative", "s3://", "s3://key:secret@bucket", "http://x", "gs://bucket"]
)
def test_other_addresses_are_refused_without_repeating_them(url):
    with pytest.raises(BadInput) as raised:
        open_blobs(url)
    assert "secret" not in str(raised.value)


def test_the_address_of_a_folder_is_percent_encoded(tmp_path):
    root = tmp_path / "ä folder #1"
    open_blobs(root.as_uri() + "/inbox").put("k", b"x")
    assert (root / "inbox" / "k").exists()

"""Uploads in parts, request by request: tus 1.0.0 as docs/uploads.md says it, and what is refused."""

import os
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from nexus_api.app import create_app
from nexus_api.local import Local
from nexus_api.receiving import Passing
from nexus_api.resuming import Resuming, sweep
from nexus_pipeline.catalog.tables import uploads
from nexus_pipeline.domain.errors import NotFound
from tests.api.conftest import Site, settings
from tests.api.tus import BYTES, TUS, begin, checksum, go_on, growing, metadata, process, stands, whole
from tests.running import srt

DATA = bytes(range(256)) * 40


def waits(site):
    """Keys in the inbox, and items."""
    return [info.key for info in site.parts.inbox.under()], site.client.get("/api/media").json()["items"]


def row(site, where):
    with site.parts.catalog.reading() as r:
        return r.db.execute(sa.select(uploads).where(uploads.c.id == where.rpartition("/")[2])).one_or_none()


def change(site, where, **values):
    """As time or a crash would."""
    with site.parts.catalog.writing() as w:
        w.db.execute(uploads.update().where(uploads.c.id == where.rpartition("/")[2]).values(values))


def test_the_server_says_what_it_can(site):
    for path in ("/api/uploads", "/api/uploads/abc"):
        answer = site.client.options(path)
        assert (answer.status_code, answer.headers["tus-version"]) == (204, "1.0.0")
        assert answer.headers["tus-extension"].split(",") == [
            "creation", "creation-with-upload", "creation-defer-length", "expiration", "checksum", "termination",
        ]  # fmt: skip
        assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256,md5"
        assert answer.headers["tus-max-size"] == str(site.parts.settings.max_bytes)


def test_an_upload_in_parts_becomes_an_item_when_it_is_asked_for(site):
    begun = begin(site, len(DATA), filename="talk.wav", title="Said at first", tags="work, pianos")
    where = begun.headers["location"]
    assert (begun.status_code, begun.headers["tus-resumable"]) == (201, "1.0.0")
    assert go_on(site, where, 0, DATA[:5000]).headers["upload-offset"] == "5000"
    there = stands(site, where)
    assert (there.headers["upload-offset"], there.headers["upload-length"]) == ("5000", str(len(DATA)))
    assert there.headers["upload-metadata"] == row(site, where).metadata
    assert there.headers["cache-control"] == "no-store"
    assert "GMT" in there.headers["upload-expires"]
    assert process(site, where).json()["code"] == "upload_unfinished"
    assert go_on(site, where, 5000, DATA[5000:]).status_code == 204
    assert waits(site) == ([], [])
    answer = process(site, where, title="Said at last", language="en")
    item = answer.json()
    assert (answer.status_code, item["source"], item["filename"]) == (202, "upload", "talk.wav")
    assert (item["title"], item["tags"], item["language"]) == ("Said at last", ["work", "pianos"], "en")
    assert site.parts.inbox.read(f".uploads/{item['id']}/talk.wav") == DATA
    again = process(site, where, title="Too late")
    assert (again.status_code, again.json()) == (200, item)
    assert growing(site.parts) == []
    assert row(site, where).metadata == ""
    assert stands(site, where).headers["nexus-item"] == item["id"]


def test_an_upload_that_asks_for_it_is_an_item_with_its_last_byte(site):
    where = begin(site, len(DATA), filename="talk.wav", tags="work", process="now").headers["location"]
    assert "nexus-item" not in go_on(site, where, 0, DATA[:10]).headers
    last = go_on(site, where, 10, DATA[10:])
    [item] = waits(site)[1]
    assert last.headers["nexus-item"] == item["id"]
    assert item["tags"] == ["work"]
    assert process(site, where).status_code == 200


def test_a_recording_says_that_it_is_one(site):
    item = process(site, whole(site, DATA, filetype="audio/webm;codecs=opus"), source="mic").json()
    assert (item["source"], item["filename"]) == ("mic", "recording.webm")
    [arrival] = site.parts.arrivals.arrivals()
    assert arrival.new_item().source == "mic"
    now = begin(site, 3, b"abc", source="mic", process="now", filename="memo.webm").headers["nexus-item"]
    assert site.client.get(f"/api/media/{now}").json()["source"] == "mic"


def test_the_same_bytes_are_the_same_item_however_they_come(site, spoken):
    sent = site.send(spoken[0]).json()["id"]
    where = whole(site, spoken[0].read_bytes(), filename="other.wav")
    again = process(site, where)
    assert (again.status_code, again.json()["id"]) == (200, sent)
    assert growing(site.parts) == []


def test_a_file_with_the_transcript_beside_it(site, spoken):
    beside = whole(site, srt("A zebra was written beside the file."), filename="talk.SRT")
    where = whole(site, spoken[0].read_bytes(), filename="talk.wav")
    told = {"transcript": beside.rpartition("/")[2]}
    item = process(site, where, **told).json()
    assert process(site, where, **told).json()["id"] == item["id"]
    [done] = site.work(item["id"])
    assert done.state == "done"
    assert "zebra" in site.client.get(f"/api/media/{item['id']}/transcript?format=txt").text
    assert process(site, beside).json()["id"] == item["id"]
    other = whole(site, b"other", filename="b.wav")
    assert process(site, other, **told).json()["code"] == "upload_taken"
    assert process(site, other, transcript=other.rpartition("/")[2]).status_code == 422


def test_the_first_bytes_may_come_with_the_creation(site):
    begun = begin(site, len(DATA), DATA[:100])
    assert (begun.status_code, begun.headers["upload-offset"]) == (201, "100")
    assert go_on(site, begun.headers["location"], 100, DATA[100:]).status_code == 204


def test_a_length_may_be_said_later_and_once(site):
    headers = {**TUS, "Upload-Defer-Length": "1"}
    where = site.client.post("/api/uploads", headers=headers).headers["location"]
    assert go_on(site, where, 0, b"abc").status_code == 204
    assert stands(site, where).headers["upload-defer-length"] == "1"
    assert process(site, where).json()["code"] == "upload_unfinished"
    assert go_on(site, where, 3, b"", Upload_Length="2").status_code == 422
    assert go_on(site, where, 3, b"de", Upload_Length="5").status_code == 204
    assert go_on(site, where, 5, b"", Upload_Length="6").status_code == 422
    assert stands(site, where).headers["upload-length"] == "5"
    assert process(site, where).status_code == 202


def test_an_empty_upload_is_an_item_that_will_say_so(site):
    where = begin(site, 0, filename="empty.wav").headers["location"]
    item = process(site, where).json()
    [failed] = site.work(item["id"])
    assert failed.step("raw").error_code == "empty_input"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_bytes_with_a_checksum_are_all_there_or_none(site, algorithm):
    where = begin(site, 6, b"abc").headers["location"]
    wrong = go_on(site, where, 3, b"dXf", Upload_Checksum=checksum(algorithm, b"def"))
    assert (wrong.status_code, wrong.json()["code"]) == (460, "checksum_mismatch")
    assert wrong.headers["tus-resumable"] == "1.0.0"
    assert stands(site, where).headers["upload-offset"] == "3"
    assert go_on(site, where, 3, b"def", Upload_Checksum=checksum(algorithm, b"def")).status_code == 204
    item = process(site, where).json()
    assert site.parts.inbox.read(f".uploads/{item['id']}/file") == b"abcdef"


@pytest.mark.parametrize("told", ["crc32 AAAA", "sha1", "sha1 %%%", "sha1 AAAA"])
def test_a_checksum_that_is_none_is_refused(site, told):
    where = begin(site, 6).headers["location"]
    answer = go_on(site, where, 0, b"abc", Upload_Checksum=told)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_request")
    assert stands(site, where).headers["upload-offset"] == "0"


def test_bytes_for_another_place_are_refused(site):
    where = begin(site, 6, b"abc").headers["location"]
    for offset in (0, 2, 4, 6):
        answer = go_on(site, where, offset, b"x")
        assert (answer.status_code, answer.json()["code"]) == (409, "offset_mismatch")
    assert stands(site, where).headers["upload-offset"] == "3"


def test_more_bytes_than_were_declared_are_refused_whether_or_not_they_are_counted(site):
    where = begin(site, 6, b"abc").headers["location"]
    counted = go_on(site, where, 3, b"defg")
    uncounted = go_on(site, where, 3, iter([b"de", b"fg"]))
    for answer in (counted, uncounted):
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert stands(site, where).headers["upload-offset"] == "3"
    assert go_on(site, where, 3, b"def").status_code == 204
    assert go_on(site, where, 6, b"g").status_code == 413


def test_a_wrong_digest_is_refused_and_nothing_is_left(site):
    where = whole(site, b"bytes", digest="sha256:" + "0" * 64)
    answer = process(site, where)
    assert (answer.status_code, answer.json()["code"]) == (422, "digest_mismatch")
    assert waits(site) == ([], [])
    assert growing(site.parts) == []
    assert process(site, where).status_code == 404
    now = begin(site, 5, b"bytes", digest="0" * 64, process="now")
    assert (now.status_code, now.json()["code"]) == (422, "digest_mismatch")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 412, "tus_version"),
        ({"Tus-Resumable": "0.2.2", "Upload-Length": "1"}, 412, "tus_version"),
        (TUS, 422, "bad_request"),
        ({**TUS, "Upload-Length": "-1"}, 422, "bad_request"),
        ({**TUS, "Upload-Length": "a"}, 422, "bad_request"),
        ({**TUS, "Upload-Length": "1", "Upload-Defer-Length": "1"}, 422, "bad_request"),
        ({**TUS, "Upload-Length": "60000000000"}, 413, "too_large"),
        ({**TUS, "Upload-Length": "1", "Upload-Metadata": "filename %%"}, 422, "bad_request"),
        ({**TUS, "Upload-Length": "1", "Upload-Metadata": "filename YQ==,filename YQ=="}, 422, "bad_request"),
        ({**TUS, "Upload-Length": "1", "Upload-Metadata": metadata(priority="urgent")}, 422, "bad_request"),
        ({**TUS, "Upload-Length": "1", "Upload-Metadata": metadata(digest="abc")}, 422, "bad_request"),
        ({**TUS, "Upload-Length": "1", "Upload-Metadata": metadata(process="later")}, 422, "bad_request"),
        ({**TUS, "Upload-Length": "1", "Upload-Metadata": metadata(engines='{"raw": "x"}')}, 422, "bad_input"),
    ],
)  # fmt: skip
def test_a_creation_that_is_wrong_says_so_and_makes_nothing(site, headers, status, code):
    answer = site.client.post("/api/uploads", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["tus-version"] == "1.0.0"
    assert site.parts.catalog.open_uploads() == []


def test_fields_of_other_clients_are_left_alone(site):
    where = whole(site, b"abc", name="from uppy.mp4", type="video/mp4", relativePath="null")
    assert process(site, where).json()["filename"] == "from uppy.mp4"


def test_a_name_is_kept_as_far_as_it_is_a_name(site):
    item = process(site, whole(site, b"abc", filename="../../etc/pass\nwd")).json()
    assert item["filename"] == "passwd"


def test_a_body_that_is_no_bytes_of_an_upload_is_refused(site):
    where = begin(site, 6).headers["location"]
    headers = {**TUS, "Upload-Offset": "0", "Content-Type": "application/json"}
    answer = site.client.patch(where, headers=headers, content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (415, "wrong_content_type")
    body = {"headers": {**TUS, "Upload-Length": "6"}, "json": {"a": 1}}
    assert site.client.post("/api/uploads", **body).status_code == 415


def test_an_upload_that_is_ended_is_gone(site):
    where = begin(site, 6, b"abc").headers["location"]
    assert site.client.delete(where, headers=TUS).status_code == 204
    assert stands(site, where).status_code == 404
    assert go_on(site, where, 3, b"def").status_code == 404
    assert growing(site.parts) == []
    taken = whole(site, b"abc")
    process(site, taken)
    assert site.client.delete(taken, headers=TUS).json()["code"] == "upload_taken"
    assert go_on(site, taken, 3, b"").json()["code"] == "upload_taken"


def test_a_post_may_stand_for_what_a_proxy_lets_not_pass(site):
    where = begin(site, 3).headers["location"]
    headers = {**TUS, **BYTES, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert site.client.post(where, headers=headers, content=b"abc").status_code == 204
    assert site.client.post(where, headers={**TUS, "X-HTTP-Method-Override": "DELETE"}).status_code == 204
    assert site.client.post(where, headers=TUS).status_code == 405


def test_somebody_elses_upload_is_none(site):
    where = whole(site, b"abc")
    theirs = Resuming(Local(site.parts.settings, parts=site.parts, owner="other"), Passing())
    with pytest.raises(NotFound):
        theirs.find(where.rpartition("/")[2])


def test_an_erased_item_takes_its_upload_along(site):
    where = whole(site, b"abc")
    item = process(site, where).json()["id"]
    site.client.delete(f"/api/media/{item}")
    assert process(site, where).status_code == 404
    assert row(site, where) is None


def test_what_nobody_goes_on_with_is_swept(site):
    old, young = begin(site, 6, b"abc").headers["location"], begin(site, 6, b"abc").headers["location"]
    change(site, old, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert stands(site, old).status_code == 404
    orphan = site.parts.growing.path("0rphan")
    orphan.write_bytes(b"x")
    fresh = site.parts.growing.path("fre5h")
    fresh.write_bytes(b"x")
    os.utime(orphan, (time.time() - 7200,) * 2)
    assert sweep(site.parts, Passing()) == 1
    assert growing(site.parts) == sorted([young.rpartition("/")[2], "fre5h"])
    assert row(site, old) is None


def test_what_was_to_be_an_item_at_once_becomes_one_after_a_crash(site):
    where = whole(site, b"abc", filename="a.wav")
    change(site, where, at_once=True)
    sweep(site.parts, Passing())
    assert [item["filename"] for item in waits(site)[1]] == ["a.wav"]


def test_one_who_was_killed_after_the_file_had_moved_left_an_item(site):
    where = whole(site, b"abc", filename="a.wav")
    item = process(site, where).json()["id"]
    change(site, where, settled=False)
    again = process(site, where)
    assert (again.status_code, again.json()["id"]) == (200, item)


def test_bytes_that_are_not_sure_are_cut_off_and_lost_ones_are_sent_again(site):
    where = begin(site, 6, b"abc").headers["location"]
    path = site.parts.growing.path(where.rpartition("/")[2])
    path.write_bytes(b"abcXX")
    assert go_on(site, where, 3, b"de").status_code == 204
    assert path.read_bytes() == b"abcde"
    path.write_bytes(b"a")
    assert go_on(site, where, 5, b"f").json()["code"] == "offset_mismatch"
    assert stands(site, where).headers["upload-offset"] == "1"
    assert go_on(site, where, 1, b"bcdef").status_code == 204
    item = process(site, where).json()
    assert site.parts.inbox.read(f".uploads/{item['id']}/file") == b"abcdef"


def test_an_inbox_that_is_no_folder_says_that_it_cannot(tmp_path):
    with TestClient(create_app(settings(tmp_path / "home", inbox="memory://"))) as client:
        site = Site(client, client.app.state.parts)
        for answer in (begin(site, 3), process(site, "/abc"), go_on(site, "/api/uploads/abc", 0, b"")):
            assert (answer.status_code, answer.json()["code"]) == (501, "no_resumable_uploads")


def test_an_upload_is_bounded_where_its_length_is_said_later(tmp_path):
    with TestClient(create_app(settings(tmp_path / "home", max_bytes=1000))) as client:
        site = Site(client, client.app.state.parts)
        where = client.post("/api/uploads", headers={**TUS, "Upload-Defer-Length": "1"}).headers["location"]
        assert go_on(site, where, 0, b"x" * 900).status_code == 204
        assert go_on(site, where, 900, iter([b"x" * 101])).json()["code"] == "too_large"
        assert go_on(site, where, 900, b"", Upload_Length="1001").json()["code"] == "too_large"

"""What was found in an item, and its bytes: transcripts in every form, ranges, ETags, search."""

import pysubs2
import pytest

from tests.api.conftest import Site


@pytest.fixture
def item(full):
    return next(i for i in full.client.get("/api/media").json()["items"] if i["filename"] == "talk 0.wav")


def get(full: Site, item, path, **headers):
    return full.client.get(f"/api/media/{item['id']}{path}", headers=headers)


def test_a_transcript_comes_in_every_form(full, item):
    told = get(full, item, "/transcript").json()
    assert told["item_id"] == item["id"]
    assert "piano" in told["segments"][0]["text"]
    forms = {form: get(full, item, f"/transcript?format={form}") for form in ("json", "srt", "vtt", "txt", "md")}
    assert {form: answer.headers["content-type"].split(";")[0] for form, answer in forms.items()} == {
        "json": "application/json",
        "srt": "application/x-subrip",
        "vtt": "text/vtt",
        "txt": "text/plain",
        "md": "text/markdown",
    }
    for form in ("srt", "vtt"):
        cues = pysubs2.SSAFile.from_string(forms[form].text, format_=form)
        assert [cue.plaintext.strip() for cue in cues] == [s["text"].strip() for s in told["segments"]]
    assert get(full, item, "/transcript?format=docx").status_code == 422
    assert get(full, item, "/transcript?language=en").json() == told
    assert get(full, item, "/transcript?language=fr").status_code == 404


def test_what_is_not_there_yet_says_why(full):
    asked = full.client.post("/api/media/process", json={"source": "url", "data": "https://example.com/later.mp3"})
    try:
        for path in ("transcript", "enrichment", "waveform", "play", "file", "thumbnail"):
            answer = full.client.get(f"/api/media/{asked.json()['id']}/{path}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        assert "waiting" in full.client.get(f"/api/media/{asked.json()['id']}/transcript").json()["detail"]
    finally:
        full.client.delete(f"/api/media/{asked.json()['id']}")


def test_an_enrichment_is_the_contracts(full, item):
    told = get(full, item, "/enrichment").json()
    assert "piano" in told["summary"]
    assert {"topics", "tags", "category", "sentiment", "chapters", "action_items", "entities", "engine"} <= set(told)


def test_a_waveform_has_as_many_points_as_are_drawn(full, item):
    told = get(full, item, "/waveform?points=50").json()
    assert len(told["peaks"]) == 50
    assert all(0 <= peak <= 1 for peak in told["peaks"])
    assert max(told["peaks"]) > 0.3
    assert told["duration_s"] == pytest.approx(item["duration_s"])
    fine = get(full, item, "/waveform?points=20000").json()["peaks"]
    assert len(fine) == pytest.approx(item["duration_s"] * 20, abs=2)
    assert max(fine) == max(told["peaks"])
    assert get(full, item, "/waveform?points=0").status_code == 422


def test_bytes_come_whole_and_in_ranges(full, item, spoken):
    data = spoken[0].read_bytes()
    for path in ("/play", "/file"):
        whole = get(full, item, path)
        assert (whole.status_code, whole.content) == (200, data)
        assert whole.headers["accept-ranges"] == "bytes"
        part = get(full, item, path, range="bytes=1000-1999")
        assert (part.status_code, part.content) == (206, data[1000:2000])
        assert part.headers["content-range"] == f"bytes 1000-1999/{len(data)}"
        assert get(full, item, path, range="bytes=-10").content == data[-10:]
        assert get(full, item, path, range=f"bytes={len(data)}-").status_code == 416
        same = get(full, item, path, range="bytes=0-9", if_range=whole.headers["etag"])
        assert (same.status_code, same.content) == (206, data[:10])
        other = full.client.get(
            f"/api/media/{item['id']}{path}", headers={"range": "bytes=0-9", "if-range": '"another"'}
        )
        assert (other.status_code, other.content) == (200, data)


def test_a_client_that_has_the_bytes_is_told_so(full, item):
    etag = get(full, item, "/play").headers["etag"]
    for told in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        answer = full.client.get(f"/api/media/{item['id']}/play", headers={"if-none-match": told})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert full.client.get(f"/api/media/{item['id']}/play", headers={"if-none-match": '"x"'}).status_code == 200
    head = full.client.head(f"/api/media/{item['id']}/play")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == item["bytes"]


def test_speech_is_flac_and_original_is_kept_by_name(full, item):
    speech = get(full, item, "/file?which=speech")
    assert speech.content[:4] == b"fLaC"
    assert speech.headers["content-type"] == "audio/flac"
    original = get(full, item, "/file")
    assert original.headers["content-disposition"] == "attachment; filename*=UTF-8''talk%200.wav"
    assert get(full, item, "/play").headers["content-disposition"].startswith("inline")
    assert get(full, item, "/thumbnail").status_code == 404


def test_what_a_browser_might_run_is_only_bytes(site, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<script>alert(1)</script>")
    item = site.send(page).json()["id"]
    site.work(item)  # fails: it is no media; raw keeps nothing that could be served
    answer = site.client.get(f"/api/media/{item}/file")
    assert answer.status_code == 404


def test_a_search_finds_the_second_and_where_it_plays(full, item):
    told = full.client.post("/api/search", json={"query": "old piano behind the door"}).json()
    best = told["hits"][0]
    assert best["item_id"] == item["id"]
    assert 0 <= best["start_s"] < best["end_s"] <= item["duration_s"]
    assert best["play_url"].startswith(f"http://testserver/api/media/{item['id']}/play#t=")
    lit = [best["text"][a:b].lower() for a, b in best["highlights"]]
    assert "piano" in lit
    assert told["total"] >= 1
    assert told["facets"]["kind"] == {"speech": told["total"]}


def test_search_pages_and_filters(full, item):
    def ids(**told):
        return [h["item_id"] for h in full.client.post("/api/search", json={"query": "the", **told}).json()["hits"]]

    everything = ids(limit=10)
    assert len(everything) == 3
    assert [*ids(limit=1), *ids(limit=2, offset=1)] == everything
    assert ids(filters={"item_id": item["id"]}) == [item["id"]]
    assert ids(filters={"tags": ["talks"], "language": ["en", "fr"]}) == everything
    assert ids(filters={"item_created_at": {"lt": "2020-01-01T00:00:00Z"}}) == []


@pytest.mark.parametrize(
    "told",
    [
        {"query": ""},
        {"query": "x", "limit": 0},
        {"query": "x", "limit": 1000},
        {"query": "x", "mode": "magic"},
        {"query": "x", "filters": {"nothing": 1}},
        {"query": "x", "filters": {"item_created_at": "yesterday"}},
        {"query": "x", "filtres": {}},
        {},
    ],
)
def test_a_search_that_is_none_is_a_problem(full, told):
    answer = full.client.post("/api/search", json=told)
    assert answer.status_code == 422
    assert answer.json()["code"] in {"bad_request", "bad_input"}


def test_the_owner_cannot_be_chosen_by_a_filter(full):
    told = full.client.post("/api/search", json={"query": "piano", "filters": {"owner": "ann"}})
    assert (told.status_code, told.json()["code"]) == (422, "bad_input")

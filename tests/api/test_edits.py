"""A person's word on what was said and by whom, through the API: every form, refusals, events, history."""

import json

import pytest

from tests.running import srt

TALK = ("The old piano stands behind a door.", "Sara bought a yellow rogue.", "The train leaves at nine.")


@pytest.fixture
def talk(site, tmp_path):
    (tmp_path / "talk.srt").write_bytes(srt(*TALK))
    item = site.send(tmp_path / "talk.srt").json()["id"]
    site.work(item)
    return item


def patch(site, item, *segments, **more):
    return site.client.patch(f"/api/media/{item}", json={"segments": list(segments), **more})


def transcript(site, item, form="json"):
    return site.client.get(f"/api/media/{item}/transcript?format={form}")


def find(site, words):
    # a summary says what was heard, until a person has it written anew
    told = {"query": words, "mode": "words", "filters": {"kind": "speech"}}
    hits = site.client.post("/api/search", json=told).json()["hits"]
    return [(hit["item_id"], hit["text"]) for hit in hits]


def answer(site, item):
    """What the asks want."""
    site.parts.catalog.answered([ask.id for ask in site.parts.catalog.asks()])
    site.work(item)


def test_the_words_of_a_person_stand_in_every_form_and_are_found(site, talk):
    told = patch(site, talk, {"id": 1, "text": " Sara bought a yellow  rose. ", "speaker": "Ann"})
    assert (told.status_code, told.json()["id"]) == (200, talk)
    segments = transcript(site, talk).json()["segments"]
    assert [(s["id"], s["text"], s["speaker"], s["edited"]) for s in segments] == [
        (0, TALK[0], None, False),
        (1, "Sara bought a yellow rose.", "Ann", True),
        (2, TALK[2], None, False),
    ]
    for form in ("srt", "vtt", "txt", "md"):
        text = transcript(site, talk, form).text
        assert "yellow rose" in text
        assert "rogue" not in text
        assert "Ann" in text
    answer(site, talk)
    assert find(site, "rogue") == []
    [(item, text)] = find(site, "rose")
    assert item == talk
    assert "yellow rose" in text
    page = site.client.get(f"/items/{talk}").text
    assert "yellow rose" in page


def test_an_emptied_segment_is_in_the_json_alone_and_comes_back(site, talk):
    assert patch(site, talk, {"id": 1, "text": ""}).status_code == 200
    told = transcript(site, talk).json()["segments"][1]
    assert (told["id"], told["text"], told["words"], told["edited"]) == (1, "", [], True)
    assert "2\n" in transcript(site, talk, "srt").text
    assert "3\n00" not in transcript(site, talk, "srt").text
    answer(site, talk)
    assert find(site, "sara") == []
    assert patch(site, talk, {"id": 1, "text": None}).status_code == 200
    assert [s["text"] for s in transcript(site, talk).json()["segments"]] == list(TALK)
    answer(site, talk)
    assert len(find(site, "sara")) == 1


@pytest.mark.parametrize(
    ("segments", "code", "says"),
    [
        ([{"id": 9, "text": "x"}], "bad_input", "those of 0 to 2"),
        ([{"id": 0, "text": "x"}, {"id": 9, "speaker": None}], "bad_input", "no segment 9"),
        ([{"id": 0, "speaker": "S7"}], "bad_input", "who is new has a name"),
        ([{"id": 0}], "bad_request", "text, speaker or both"),
        ([{"id": -1, "text": "x"}], "bad_request", ""),
        ([{"id": 0, "speaker": ""}], "bad_request", ""),
        ([{"id": 0, "text": "x" * 20_001}], "bad_request", ""),
        ([{"id": 0, "text": "x", "start_s": 1}], "bad_request", ""),
        ([{"id": 0, "text": 5}], "bad_request", ""),
        ([{"id": 0, "text": "x"}] * 201, "bad_request", ""),
    ],
)
def test_what_cannot_be_written_is_a_problem_and_changes_nothing(site, talk, segments, code, says):
    told = patch(site, talk, *segments)
    assert (told.status_code, told.json()["code"]) == (422, code)
    assert says in json.dumps(told.json())
    assert [s["edited"] for s in transcript(site, talk).json()["segments"]] == [False] * 3
    assert site.parts.catalog.asks() == []


def test_without_a_transcript_there_is_nothing_to_write_over(site, tmp_path):
    (tmp_path / "late.srt").write_bytes(srt("Later."))
    item = site.send(tmp_path / "late.srt").json()["id"]
    told = patch(site, item, {"id": 0, "text": "x"})
    assert (told.status_code, told.json()["code"]) == (404, "not_found")


def test_a_speaker_is_meant_by_label_or_by_name(site, tmp_path):
    (tmp_path / "two.srt").write_bytes(srt("Ann: The piano is here.", "Ben: It is red.", "Ann: So it is.", "Ben: Yes."))
    item = site.send(tmp_path / "two.srt").json()["id"]
    site.work(item)
    assert patch(site, item, speakers={"Ann": "Dr Bell"}).status_code == 200
    assert patch(site, item, {"id": 1, "speaker": "dr bell"}, {"id": 3, "speaker": "Mia"}).status_code == 200
    told = transcript(site, item).json()
    assert [s["speaker"] for s in told["segments"]] == ["Ann", "Ann", "Ann", "Mia"]
    assert told["speakers"] == {"Ann": "Dr Bell", "Mia": "Mia"}
    assert patch(site, item, {"id": 1, "speaker": None}, {"id": 3, "speaker": "Ben"}).status_code == 200
    assert [s["speaker"] for s in transcript(site, item).json()["segments"]] == ["Ann", "Ben", "Ann", "Ben"]
    assert site.client.get(f"/api/media/{item}/edits").json()["items"] == []


def test_clients_hear_of_it_as_of_a_changed_item(site, talk):
    before = site.parts.catalog.changes_span()[1]
    patch(site, talk, {"id": 1, "text": "Sara."})
    lines = [(c.kind, c.state) for c in site.parts.catalog.changes(before, item_id=talk)]
    assert ("item", "changed") in lines


def test_a_history_has_pages_in_the_order_in_which_it_was_written(site, talk):
    for n, text in ((2, "Three."), (0, "One."), (1, "Two.")):
        patch(site, talk, {"id": n, "text": text})
    first = site.client.get(f"/api/media/{talk}/edits?limit=2").json()
    rest = site.client.get(f"/api/media/{talk}/edits", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    told = first["items"] + rest["items"]
    assert [(e["new"], e["old"], e["segments"]) for e in told] == [
        ("Three.", TALK[2], [2]),
        ("One.", TALK[0], [0]),
        ("Two.", TALK[1], [1]),
    ]
    assert (told[0]["start_s"], told[0]["end_s"], told[0]["what"]) == (8.0, 11.5, "text")
    assert rest["next_cursor"] is None
    assert site.client.get(f"/api/media/{talk}/edits?cursor=x").json()["code"] == "bad_input"
    assert site.client.get("/api/media/nobody/edits").status_code == 404

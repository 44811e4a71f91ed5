"""Items, hits and transcripts as the contract writes them."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from nexus_api import shown
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Item, Kind
from nexus_pipeline.domain.search import Found, Hit
from nexus_pipeline.domain.states import State, StepStatus
from nexus_pipeline.domain.timeline import Coverage, Segment, Transcript, Word

AT = datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC)
ITEM = Item("abcd2345abcd2345", "local", 1, "A talk", "upload", "none", "sha256:00", AT, AT)
HIT = Hit(ITEM.id, "speech", 65.0, 70.25, "the quick fox", ((4, 9),), None, "en", ("work",), 0.12345678)
SAID = Transcript(
    "en",
    "faster-whisper:base",
    (
        Segment(0, 0.0, 1.5, "Hello {there} & <you>", "S1", (Word(0.0, 0.5, "Hello"),)),
        Segment(1, 3661.0, 3662.25, "Two\n\nlines", None),
    ),
    Coverage(2.0, 1.9, ((1.0, 2.0),)),
    {"S1": "Ann"},
)

ITEM_FIELDS = """id, title, kind, source, platform, origin, filename, bytes, duration_s, width, height, fps, channels,
language, author, description, published_at, state, duplicate_of, tags, summary, category, sentiment, priority,
created_at, updated_at, steps"""
STEP_FIELDS = """step, state, phase, reason, progress, attempt, error, engine, seconds, cost, run_id, started_at,
ended_at"""
HIT_FIELDS = """item_id, title, kind, start_s, end_s, text, highlights, speaker, language, tags, score, play_url,
thumbnail_url"""


def names(told):
    return re.split(r",\s*", told)


def test_an_item_has_all_fields_of_the_contract_in_their_order():
    told = shown.item(ITEM)
    assert list(told) == names(ITEM_FIELDS)
    assert json.loads(json.dumps(told))["state"] == "waiting"


def test_an_items_steps_are_all_there_in_the_order_of_the_chain():
    item = replace(
        ITEM, steps=(StepStatus("transcript", State.RUNNING, progress=0.123456), StepStatus("raw", State.DONE))
    )
    steps = shown.item(item)["steps"]
    assert [step["step"] for step in steps] == list(STEPS)
    assert [step["state"] for step in steps] == ["done", "waiting", "running", *(["waiting"] * len(STEPS[3:]))]
    assert steps[2]["progress"] == 0.1235
    assert all(list(step) == names(STEP_FIELDS) for step in steps)


def test_a_steps_error_is_null_or_whole():
    assert shown.step(StepStatus("raw"))["error"] is None
    told = shown.step(StepStatus("raw", State.FAILED, error_code="source_busy", error_message="later", retryable=True))
    assert told["error"] == {"code": "source_busy", "message": "later", "retryable": True, "next_attempt_at": None}


@pytest.mark.parametrize(
    "at",
    [AT, AT.replace(tzinfo=None), AT.astimezone(timezone(timedelta(hours=5, minutes=30)))],
)
def test_an_instant_is_utc_with_z_whatever_zone_it_came_in(at):
    assert shown.instant(at) == "2026-11-21T10:00:00.123Z"


def test_a_hit_says_where_it_plays():
    told = shown.hit(HIT, replace(ITEM, kind=Kind.VIDEO, width=640), "http://127.0.0.1:8000/")
    assert list(told) == names(HIT_FIELDS)
    assert told["play_url"] == f"http://127.0.0.1:8000/api/media/{ITEM.id}/play#t=65"
    assert told["thumbnail_url"] == f"http://127.0.0.1:8000/api/media/{ITEM.id}/thumbnail"
    assert told["highlights"] == [[4, 9]]
    assert shown.hit(replace(HIT, start_s=100.0), ITEM, "http://x")["play_url"].endswith("#t=100")
    assert shown.hit(HIT, ITEM, "http://x")["thumbnail_url"] is None


def test_a_search_leaves_out_hits_of_items_that_are_gone():
    found = Found((HIT, replace(HIT, item_id="gone")), total=2, total_is_bound=False, facets={"kind": {"speech": 2}})
    told = shown.found(found, {ITEM.id: ITEM}, "http://x", 12.345)
    assert list(told) == ["hits", "groups", "facets", "total", "total_is_bound", "took_ms"]
    assert [hit["item_id"] for hit in told["hits"]] == [ITEM.id]
    assert told["took_ms"] == 12.3


def test_a_transcript_has_all_fields_of_the_contract():
    told = shown.transcript(ITEM.id, SAID, ["en", "de"])
    assert list(told) == ["item_id", "language", "languages", "engine", "coverage", "speakers", "segments"]
    assert told["languages"] == ["en", "de"]
    assert told["coverage"] == {"voiced_s": 2.0, "transcribed_s": 1.9, "repaired": [[1.0, 2.0]], "findings": []}
    assert list(told["segments"][0]) == [
        *("id", "start_s", "end_s", "speaker", "text", "words", "language", "doubtful", "edited")
    ]
    assert told["segments"][0]["words"] == [{"start_s": 0.0, "end_s": 0.5, "text": "Hello"}]


@pytest.mark.parametrize(("seconds", "told"), [(0, "0:00"), (65.9, "1:05"), (3661, "1:01:01")])
def test_times_read_like_a_clock(seconds, told):
    assert shown.clock(seconds) == told


@pytest.mark.parametrize(("count", "told"), [(0, "0 bytes"), (999, "999 bytes"), (91_300_000, "91.3 MB")])
def test_sizes_read_like_sizes(count, told):
    assert shown.size(count) == told

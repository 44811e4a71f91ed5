"""Items, transcripts and hits as the contract writes them: the one place where JSON for people and programs is made.

Every field of the contract is always there, null where nothing is known; instants are RFC 3339 in UTC with `Z`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.fingerprints import Related
from nexus_pipeline.domain.history import Frequent, Searched
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.listing import Page, Promises, Receipt
from nexus_pipeline.domain.search import Found, Group, Hit, Near
from nexus_pipeline.domain.states import StepStatus
from nexus_pipeline.domain.timeline import Segment, Transcript

Json = dict[str, Any]


def instant(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond: `2026-11-21T10:00:00.000Z`. An instant without a zone is UTC."""
    if at is None:
        return None
    utc = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def item(told: Item) -> Json:
    """The contract's Item, its steps in the order of the chain."""
    return {
        "id": told.id,
        "title": told.title,
        "kind": told.kind,
        "source": told.source,
        "platform": told.platform,
        "origin": told.origin,
        "filename": told.filename,
        "bytes": told.bytes,
        "duration_s": _seconds(told.duration_s),
        "width": told.width,
        "height": told.height,
        "fps": told.fps,
        "channels": told.channels,
        "language": told.language,
        "author": told.author,
        "description": told.description,
        "published_at": instant(told.published_at),
        "state": told.state,
        "duplicate_of": told.duplicate_of,
        "tags": list(told.tags),
        "summary": told.summary,
        "category": told.category,
        "sentiment": told.sentiment,
        "priority": told.priority,
        "created_at": instant(told.created_at),
        "updated_at": instant(told.updated_at),
        "steps": [step(told.step(name)) for name in STEPS],
    }


def step(told: StepStatus) -> Json:
    """The contract's step; `error` is null where nothing went wrong."""
    error = None
    if told.error_code is not None:
        error = {
            "code": told.error_code,
            "message": told.error_message,
            "retryable": told.retryable,
            "next_attempt_at": instant(told.next_attempt_at),
        }
    return {
        "step": told.step,
        "state": told.state,
        "phase": told.phase,
        "reason": told.reason,
        "progress": round(told.progress, 4),
        "attempt": told.attempt,
        "error": error,
        "engine": told.engine,
        "seconds": _seconds(told.seconds),
        "cost": told.cost,
        "run_id": told.run_id,
        "started_at": instant(told.started_at),
        "ended_at": instant(told.ended_at),
    }


def listing(told: Page) -> Json:
    """A page of items: the contract's list body."""
    return items(told.items, told.next_cursor)


def items(told: Iterable[Item], next_cursor: str | None = None) -> Json:
    """Any items as the contract's list body."""
    return {"items": [item(one) for one in told], "next_cursor": next_cursor}


def hit(told: Hit, of: Item, site: str) -> Json:
    """The contract's Hit; `site` is the address of Nexus's pages, without a slash at its end."""
    media = f"{site.rstrip('/')}/api/media/{told.item_id}"
    return {
        "item_id": told.item_id,
        "title": of.title,
        "kind": told.kind,
        "start_s": _seconds(told.start_s),
        "end_s": _seconds(told.end_s),
        "text": told.text,
        "highlights": [list(one) for one in told.highlights],
        "speaker": told.speaker,
        "language": told.language,
        "tags": list(told.tags),
        "score": round(told.score, 6),
        "play_url": f"{media}/play#t={told.start_s:.3f}".rstrip("0").rstrip("."),
        "thumbnail_url": f"{media}/thumbnail" if of.width else None,
    }


def group(told: Group, of: Item, site: str) -> Json:
    """The best hits of an item together."""
    hits = [hit(one, of, site) for one in told.hits]
    return {"item_id": told.item_id, "title": of.title, "hits": hits, "more": told.more}


def found(told: Found, items: Mapping[str, Item], site: str, took_ms: float) -> Json:
    """The body of a search: hits whose item is not there (any more) are left out."""
    groups = None
    if told.groups is not None:
        groups = [group(one, items[one.item_id], site) for one in told.groups if one.item_id in items]
    return {
        "hits": [hit(one, items[one.item_id], site) for one in told.hits if one.item_id in items],
        "groups": groups,
        "facets": {field: dict(counts) for field, counts in told.facets.items()},
        "total": told.total,
        "total_is_bound": told.total_is_bound,
        "took_ms": round(took_ms, 1),
    }


def transcript(item_id: str, told: Transcript, languages: Sequence[str] = ()) -> Json:
    """The contract's Transcript; `languages`: all in which there is one."""
    return {
        "item_id": item_id,
        "language": told.language,
        "languages": list(languages),
        "engine": told.engine,
        "coverage": {
            "voiced_s": _seconds(told.coverage.voiced_s),
            "transcribed_s": _seconds(told.coverage.transcribed_s),
            "repaired": [[_seconds(a), _seconds(b)] for a, b in told.coverage.repaired],
            "findings": [
                {"doubt": f.doubt, "start_s": _seconds(f.start_s), "end_s": _seconds(f.end_s)}
                for f in told.coverage.findings
            ],
        },
        "speakers": dict(told.speakers),
        "segments": [_segment(one, doubtful=told.coverage.doubts(one) and not one.edited) for one in told.segments],
    }


def _segment(told: Segment, *, doubtful: bool) -> Json:
    return {
        "id": told.id,
        "start_s": _seconds(told.start_s),
        "end_s": _seconds(told.end_s),
        "speaker": told.speaker,
        "text": told.text,
        "words": [asdict(word) for word in told.words],
        "language": told.language,
        "doubtful": doubtful,
        "edited": told.edited,
    }


def similar(told: Related, of: Item) -> Json:
    """An item that shares sound with another one, seen from that one."""
    return {
        "item_id": told.other_id,
        "title": of.title,
        "relation": told.relation,
        "excerpt_id": told.excerpt_id,
        "seconds": round(told.seconds, 3),
        "stretches": [{name: round(at, 3) for name, at in asdict(one).items()} for one in told.stretches],
    }


def near(told: Near, of: Item) -> Json:
    """An item that says the like of another one."""
    plain: Json = {"excerpt_id": None, "seconds": 0.0, "stretches": []}
    likeness = round(min(told.likeness, 1.0), 4)
    return {"item_id": told.item_id, "title": of.title, "relation": "meaning", **plain, "likeness": likeness}


def searched(told: Searched) -> Json:
    """A search of one's own history."""
    opened = [{"item_id": one.item_id, "start_s": _seconds(one.start_s), "at": instant(one.at)} for one in told.opened]
    asked = {"id": told.id, "query": told.query, "count": 1, "mode": told.mode, "filters": dict(told.filters)}
    answered = {"hits": told.hits, "took_ms": told.took_ms, "opened": opened, "opened_count": told.opened_count}
    return {**asked, **answered, "at": instant(told.at)}


def frequent(told: Frequent) -> Json:
    """What was searched for several times."""
    asked: Json = {"id": None, "query": told.query, "count": told.count, "mode": None, "filters": {}}
    answered: Json = {"hits": told.hits, "took_ms": None, "opened": [], "opened_count": told.opened}
    return {**asked, **answered, "at": instant(told.at)}


def promises(told: Promises) -> Json:
    """A page of action items, each with the item in which it was said."""
    items = [{"item_id": one.item_id, "title": one.title, **asdict(one.action_item)} for one in told.items]
    return {"items": items, "next_cursor": told.next_cursor}


def receipt(told: Receipt) -> Json:
    """The contract's receipt."""
    return {
        "item_id": told.item_id,
        "erased": {"blobs": told.blobs, "rows": told.rows, "passages": told.passages, "versions": told.versions},
        "at": instant(told.at),
    }


def clock(seconds: float) -> str:
    """`m:ss`, from an hour on `h:mm:ss`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: int) -> str:
    """Bytes for people: `91.3 MB`."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:  # noqa: PLR2004 - what a kilobyte has
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _seconds(told: float | None) -> float | None:
    return None if told is None else round(told, 3)

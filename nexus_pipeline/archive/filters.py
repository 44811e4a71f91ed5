"""A search's filters as SQL: known fields only, every value quoted."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from nexus_pipeline.domain.errors import BadInput

_MONTH = re.compile(r"(20[0-9][0-9])-(0[1-9]|1[0-2])")

VALUES_AT_MOST = 10_000
"""In one list; more make no sense in a filter and long SQL."""


def quoted(value: str) -> str:
    """As SQL says a text."""
    return "'" + value.replace("'", "''") + "'"


def one_of(field: str, values: Iterable[str]) -> str:
    """The field is one of these."""
    return f"{field} IN ({', '.join(quoted(v) for v in values)})"


def compiled(filters: Mapping[str, Any]) -> str | None:
    """All filters together, or None where there is none.

    Raises BadInput for a field that is not one of FIELDS and for a value that does not fit it.
    """
    parts = []
    for field, value in filters.items():
        if field not in FIELDS:
            raise BadInput(f"There is no filter of that name; the filters are {', '.join(sorted(FIELDS))}")
        parts.append(FIELDS[field](field, value))
    return " AND ".join(f"({part})" for part in parts) or None


def _text(field: str, value: Any) -> str:
    values = _texts(field, value)
    known = [v for v in values if v is not None]
    parts = ([one_of(field, known)] if known else []) + ([f"{field} IS NULL"] if None in values else [])
    return " OR ".join(parts) or "false"


def _tags(field: str, value: Any) -> str:
    values = [v for v in _texts(field, value) if v is not None]
    return f"array_has_any({field}, [{', '.join(quoted(v) for v in values)}])" if values else "false"


def _month(field: str, value: Any) -> str:
    spans = []
    for told in _texts(field, value):
        found = _MONTH.fullmatch(told or "")
        if found is None:
            raise BadInput(f"The filter {field} wants months like 2026-01")
        year, month = int(found[1]), int(found[2])
        span = {
            "gte": datetime(year, month, 1, tzinfo=UTC),
            "lt": datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC),
        }
        spans.append("(" + _instant("item_created_at", span) + ")")
    return " OR ".join(spans) or "false"


def _instant(field: str, value: Any) -> str:
    if not isinstance(value, Mapping) or not value or set(value) - {"gte", "lt"}:
        raise BadInput(f'The filter {field} wants {{"gte": instant, "lt": instant}}, or one of the two')
    return " AND ".join(
        f"{field} {'>=' if bound == 'gte' else '<'} timestamp '{_utc(field, told)}'" for bound, told in value.items()
    )


def _flag(field: str, value: Any) -> str:
    if not isinstance(value, bool):
        raise BadInput(f"The filter {field} wants true or false")
    return f"{field} = {str(value).lower()}"


def _texts(field: str, value: Any) -> list[str | None]:
    values = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    if len(values) > VALUES_AT_MOST or any(not (v is None or isinstance(v, str)) or "\0" in (v or "") for v in values):
        raise BadInput(f"The filter {field} wants a text or a list of at most {VALUES_AT_MOST} texts")
    return values


def _utc(field: str, told: Any) -> str:
    try:
        instant = told if isinstance(told, datetime) else datetime.fromisoformat(told)
    except (TypeError, ValueError) as error:
        raise BadInput(f"The filter {field} wants instants like 2026-01-31T12:00:00Z") from error
    zoned = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return zoned.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


FIELDS: Mapping[str, Callable[[str, Any], str]] = {
    "owner": _text,
    "kind": _text,
    "item_id": _text,
    "speaker": _text,
    "language": _text,
    "source": _text,
    "month": _month,
    "tags": _tags,
    "item_created_at": _instant,
    "partial": _flag,
}
"""What may be filtered by, and how."""

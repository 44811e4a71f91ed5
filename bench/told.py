"""A table for people, then one JSON line."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def tell(name: str, rows: Sequence[Mapping[str, Any]], bars: Mapping[str, bool], **more: Any) -> None:
    """Print what was measured; `holds` is whether every bar does."""
    columns = list(dict.fromkeys(c for row in rows for c in row))
    width = {c: max(len(c), *(len(_cell(row.get(c))) for row in rows)) for c in columns}
    print("  ".join(c.rjust(width[c]) for c in columns))
    for row in rows:
        print("  ".join(_cell(row.get(c)).rjust(width[c]) for c in columns))
    for bar, held in bars.items():
        print(f"{'holds ' if held else 'MISSED'} {bar}")
    print(json.dumps({"bench": name, "holds": all(bars.values()), "bars": dict(bars), "rows": list(rows), **more}))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)

"""Whether chat says that the archive does not say: questions that nothing answers, and as many that something does.

The meetings go in as `bench.answers` puts them in; then each question goes to `POST /api/chat` with the extractive
engine, over everything. Right is a refusal of the 30 of `unanswerable.json`, and an answer to as many of
`queries.json` (those that stand alone, evenly drawn). Every second question of both kinds was used to fit the scale of
`nexus_api/answering/judging.py` (`--fit` fits it anew, bench/refusing.py says how); the other half was not, and is
told apart. A second kind of question without an answer is told, too, and has no bar: every answerable one, asked of
all meetings but its own.

Bars: 85 % right of either kind, of all and of the half that nothing was fitted on. `python -m bench.refusals
[--data FOLDER] [--fit]`
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench.answers import DONE_S, QMSUM, added
from bench.refusing import fit
from bench.told import tell
from bench.up import Nexus

RIGHT = 0.85


def main() -> None:
    """Import, ask, tell."""
    told = argparse.ArgumentParser()
    told.add_argument("--data", type=Path, default=QMSUM)
    told.add_argument("--fit", action="store_true")
    args = told.parse_args()
    data = args.data.resolve()
    absent = json.loads((data / "unanswerable.json").read_text("utf-8"))
    pooled = [one for one in json.loads((data / "queries.json").read_text("utf-8")) if one["pooled"]]
    nexus = Nexus(NEXUS_ANSWERER="extractive")
    try:
        base = f"http://127.0.0.1:{nexus.api_port}"
        with httpx.Client(base_url=base, timeout=120, trust_env=False) as client:
            ids = added(client, data)
            nexus.wait_done(len(ids), DONE_S)
            if args.fit:
                fit(nexus.parts.settings.root, absent, pooled, ids)
                return
            none = [asked(client, one, ids) for one in absent]
            some = [asked(client, one, ids) for one in drawn(pooled, len(absent))]
            elsewhere = [asked(client, one, ids, but_own=True) for one in drawn(pooled, len(absent))]
    finally:
        nexus.close()
    report(none, some, elsewhere)


def drawn(pooled: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """So many of them, evenly."""
    return [pooled[n * len(pooled) // count] for n in range(min(count, len(pooled)))]


def asked(client: httpx.Client, query: dict[str, Any], ids: dict[str, str], *, but_own: bool = False) -> dict[str, Any]:
    """Whether it was refused, whether a quote is of the right meeting and moment, and the caller's milliseconds."""
    items = [id_ for name, id_ in ids.items() if name != query["item"]] if but_own else []
    began = time.perf_counter()
    answer = client.post("/api/chat", json={"question": query["query"], "item_ids": items})
    took_ms = 1000 * (time.perf_counter() - began)
    answer.raise_for_status()
    told = answer.json()
    own = ids.get(query.get("item", ""))
    cited = [c for c in told["citations"] if c["item_id"] == own]
    moment = any(c["start_s"] < end and c["end_s"] > start for c in cited for start, end in query.get("spans", ()))
    return {
        "refused": told["refused"],
        "supported": all(s["supported"] for s in told["sentences"]),
        "item": bool(cited),
        "moment": moment,
        "took_ms": took_ms,
    }


def report(none: list[dict[str, Any]], some: list[dict[str, Any]], elsewhere: list[dict[str, Any]]) -> None:
    """The table, the bars and the JSON line."""
    rows = [
        row
        for questions, take in (
            ("all", slice(None)),
            ("fitted on", slice(0, None, 2)),
            ("checked on", slice(1, None, 2)),
        )
        for row in (
            _row("without an answer", questions, none[take], refused=True),
            _row("with an answer", questions, some[take], refused=False),
            _row("answered elsewhere", questions, elsewhere[take], refused=True),
        )
    ]
    bars = {
        f"{row['kind']}, {row['questions']}: at least {100 * RIGHT:.0f} % right": row["right"] >= RIGHT
        for row in rows
        if row["kind"] != "answered elsewhere" and row["questions"] != "fitted on"
    }
    took = [one["took_ms"] for one in (*none, *some)]
    more = {f"chat_p{n}_ms": float(np.percentile(took, n)) for n in (50, 95)}
    print("  ".join(f"{name} {value:.0f}" for name, value in more.items()))
    tell("refusals", rows, bars, **more)


def _row(kind: str, questions: str, told: Sequence[dict[str, Any]], *, refused: bool) -> dict[str, Any]:
    answered = [one for one in told if not one["refused"]]
    return {
        "kind": kind,
        "questions": questions,
        "n": len(told),
        "right": float(np.mean([one["refused"] == refused for one in told])),
        "every sentence stands": float(np.mean([one["supported"] for one in answered])) if answered else None,
        "quotes the meeting": float(np.mean([one["item"] for one in answered])) if answered and not refused else None,
        "quotes the moment": float(np.mean([one["moment"] for one in answered])) if answered and not refused else None,
    }


if __name__ == "__main__":
    main()

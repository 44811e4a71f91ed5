"""Whether a search finds the moment: meetings, questions and the spans that answer them, through the product itself.

Transcripts go in by `POST /api/media/file` to a `nexus up` of its own, the chain makes them searchable, the questions
go to `POST /api/search`, over everything and limited to the question's own meeting, and the set's own `evaluate.py`
judges the answers. A set is a folder with `meetings/*.json`, `queries.json` and `evaluate.py`
(shared/data/qmsum-dev beside the checkout; its README tells what its figures mean).

Bars: over everything hit@5 at least 72 % and hit@1 at least 54 %, in the meeting hit@5 at least 84 % and hit@1 at least
54 %, p95 of a search 150 ms. Seconds are the caller's, with HTTP. `python -m bench.answers [--data FOLDER]
[--reranker ENGINE] [--enricher none]`
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench.said import DATA, ROOT
from bench.told import tell
from bench.up import Nexus

QMSUM = ROOT.parent / "shared" / "data" / "qmsum-dev"
BARS = {"pooled": {"hit@5": 0.72, "hit@1": 0.54}, "item": {"hit@5": 0.84, "hit@1": 0.54}}
P95_MS = 150.0
WARM = 5
DONE_S = 1200.0
"""Patience for all meetings: enriching and embedding a hundred thousand words takes two minutes of one core."""


@dataclass
class Asked:
    """Answers in the form that evaluate.py reads, and how long each took."""

    answers: dict[str, list[list[Any]]] = field(default_factory=dict)
    wall_ms: list[float] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)


def main() -> None:
    """Import, ask, judge, tell."""
    told = argparse.ArgumentParser()
    told.add_argument("--data", type=Path, default=QMSUM)
    told.add_argument("--reranker", default="none")
    told.add_argument("--enricher", default="auto", help="none: three times as quick; then no summary is in the list")
    args = told.parse_args()
    data = args.data.resolve()
    if not (data / "evaluate.py").is_file():
        sys.exit(f"{data} holds no set (meetings/, queries.json, evaluate.py): name its folder with --data")
    queries = json.loads((data / "queries.json").read_text("utf-8"))
    nexus = Nexus(NEXUS_RERANKER=args.reranker, NEXUS_ENRICHER=args.enricher)
    try:
        base = f"http://127.0.0.1:{nexus.api_port}"
        with httpx.Client(base_url=base, timeout=60, trust_env=False) as client:
            began = time.monotonic()
            ids = added(client, data)
            nexus.wait_done(len(ids), DONE_S)
            ready_s = time.monotonic() - began
            asked = answered(client, queries, ids)
    finally:
        nexus.close()
    report(data, queries, asked, ready_s)


def added(client: httpx.Client, data: Path) -> dict[str, str]:
    """Every meeting as an item of kind text, under its own title: id by the meeting's name."""
    ids = {}
    for path in sorted((data / "meetings").glob("*.json")):
        title = json.loads(path.read_text("utf-8"))["title"]
        answer = client.post(
            "/api/media/file",
            files={"file": (path.name, path.read_bytes(), "application/json")},
            data={"title": title},
        )
        answer.raise_for_status()
        ids[path.stem] = answer.json()["id"]
    return ids


def answered(client: httpx.Client, queries: list[dict[str, Any]], ids: dict[str, str]) -> Asked:
    """Each question over everything and in its own meeting."""
    names = {id_: name for name, id_ in ids.items()}
    asked = Asked()
    for query in queries[:WARM]:
        search(client, query["query"], {}, names)
    for query in queries:
        for key, filters in ((query["id"], {}), (f"{query['id']}@item", {"item_id": ids[query["item"]]})):
            hits, wall_ms, took_ms = search(client, query["query"], filters, names)
            asked.answers[key] = hits
            asked.wall_ms.append(wall_ms)
            asked.took_ms.append(took_ms)
    return asked


def search(
    client: httpx.Client, words: str, filters: dict[str, Any], names: dict[str, str]
) -> tuple[list[list[Any]], float, float]:
    """Ten hits as [meeting, start_s, end_s]; the caller's milliseconds, and those that the answer tells."""
    began = time.perf_counter()
    answer = client.post("/api/search", json={"query": words, "limit": 10, "filters": filters})
    wall_ms = 1000 * (time.perf_counter() - began)
    answer.raise_for_status()
    found = answer.json()
    hits = [[names[hit["item_id"]], hit["start_s"], hit["end_s"]] for hit in found["hits"]]
    return hits, wall_ms, found["took_ms"]


def judged(data: Path, queries: list[dict[str, Any]], answers: dict[str, list[list[Any]]]) -> dict[str, Any]:
    """What the set's evaluate.py says of the answers to these questions."""
    DATA.mkdir(exist_ok=True)
    results, asked = DATA / "answers-results.json", DATA / "answers-queries.json"
    ids = {query["id"] for query in queries}
    kept = {key: hits for key, hits in answers.items() if key.removesuffix("@item") in ids}
    results.write_text(json.dumps(kept))
    asked.write_text(json.dumps(queries))
    command = [sys.executable, str(data / "evaluate.py"), str(results), str(asked)]
    judgement: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return judgement


def halves(queries: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """All, and by every other meeting: what was tuned on the first half is checked on the second."""
    meetings = sorted({query["item"] for query in queries})
    first = set(meetings[::2])
    return {
        "all": queries,
        "tuned on": [q for q in queries if q["item"] in first],
        "checked on": [q for q in queries if q["item"] not in first],
    }


def report(data: Path, queries: list[dict[str, Any]], asked: Asked, ready_s: float) -> None:
    """The table, the bars and the JSON line."""
    rows, whole = [], {}
    for name, some in halves(queries).items():
        told = judged(data, some, asked.answers)
        whole = whole or told
        for setting in ("pooled", "item", "item_moment", "pooled_all"):
            if told[setting]:
                share = told[setting]["hit@5"]
                margin = 1.96 * (share * (1 - share) / told[setting]["n"]) ** 0.5
                rows.append({"meetings": name, "setting": setting, **told[setting], "hit@5 +-": margin})
    wall = {f"p{n}": float(np.percentile(asked.wall_ms, n)) for n in (50, 95)}
    bars = {
        f"{setting} {name} >= {100 * least:.0f} %": whole[setting][name] >= least
        for setting, least_of in BARS.items()
        for name, least in least_of.items()
    }
    bars[f"p95 of a search <= {P95_MS:.0f} ms"] = wall["p95"] <= P95_MS
    took = {f"took_p{n}_ms": float(np.percentile(asked.took_ms, n)) for n in (50, 95)}
    more = {"search_p50_ms": wall["p50"], "search_p95_ms": wall["p95"], **took, "searchable_s": ready_s}
    print("  ".join(f"{name} {value:.1f}" for name, value in more.items()))
    tell("answers", rows, bars, mean_result_s=whole["mean_result_s"], **more)


if __name__ == "__main__":
    main()

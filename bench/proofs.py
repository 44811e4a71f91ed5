"""How much of a claim must stand in a passage to be proven by it: the source of `HOLDS` in answering/proving.py.

Claims are the sentences of the summaries with which people answered the questions of the development set. They write
in their own words, so few are proven even by the spans that they summarize; what counts is how rarely one is proven
by a passage elsewhere. Passages are those of the archive; "near" ones share the most rare words with the claim, as
those that a search would find. `python -m bench.proofs [--data FOLDER]`
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.said import ROOT
from bench.told import tell
from nexus_api.answering import proving
from nexus_pipeline.domain.passages import passages
from nexus_pipeline.domain.sentences import sentences
from nexus_pipeline.domain.timeline import Segment

QMSUM = ROOT.parent / "shared" / "data" / "qmsum-dev"
NEAR = 10
"""Passages that an engine is shown."""
SHARES = (0.4, 0.5, 0.6, 0.7, 0.8)
FALSE = 0.02


class Cut:
    """A passage as its sentences."""

    def __init__(self, item: str, start_s: float, end_s: float, text: str) -> None:
        self.item, self.start_s, self.end_s = item, start_s, end_s
        self.said = _sentences(text)
        self.words = set(proving.words(text))


def main() -> None:
    """Every claim against its own passages and against those of other meetings that are near."""
    told = argparse.ArgumentParser()
    told.add_argument("--data", type=Path, default=QMSUM)
    data = told.parse_args().data.resolve()
    cut = [one for path in sorted((data / "meetings").glob("*.json")) for one in _cut(path)]
    often = Counter(word for one in cut for word in one.words)
    own, elsewhere = [], []
    for query in json.loads((data / "queries.json").read_text("utf-8"))[::2]:
        for claim in _sentences(query["answer"]):
            own.append(_best(claim, _near(claim, [c for c in cut if _inside(c, query)], often)))
            elsewhere.append(_best(claim, _near(claim, [c for c in cut if c.item != query["item"]], often)))
    rows = [
        {
            "share": share,
            "claims": len(own),
            "proven by their own spans": float(np.mean([one >= share for one in own])),
            "proven elsewhere": float(np.mean([one >= share for one in elsewhere])),
        }
        for share in SHARES
    ]
    false = float(np.mean([one >= proving.HOLDS for one in elsewhere]))
    tell("proofs", rows, {f"at {proving.HOLDS} at most {100 * FALSE:.0f} % are proven elsewhere": false <= FALSE})


def _cut(path: Path) -> list[Cut]:
    meeting = json.loads(path.read_text("utf-8"))
    segments = [
        Segment(n, s["start_s"], s["end_s"], s["text"], s["speaker"]) for n, s in enumerate(meeting["segments"])
    ]
    return [Cut(path.stem, p.start_s, p.end_s, p.text) for p in passages(segments, title=meeting["title"])]


def _sentences(text: str) -> list[str]:
    return [s.text for s in sentences([Segment(0, 0.0, 0.0, text)])]


def _inside(one: Cut, query: dict[str, Any]) -> bool:
    return one.item == query["item"] and any(one.start_s < end and one.end_s > start for start, end in query["spans"])


def _near(claim: str, cut: Sequence[Cut], often: Counter[str]) -> list[Cut]:
    wanted = [w for w in proving.words(claim) if often[w]]
    worth = {w: math.log(len(cut) / often[w] + 1) for w in wanted}
    return sorted(cut, key=lambda one: -sum(worth[w] for w in wanted if w in one.words))[:NEAR]


def _best(claim: str, cut: Sequence[Cut]) -> float:
    """The share of it that stands in one of them, whatever is asked for; names and numbers must be there anyway."""
    spans = [
        " ".join(one.said[first : first + length])
        for one in cut
        for length in range(1, proving.SPAN + 1)
        for first in range(len(one.said) - length + 1)
    ]
    return max((proving.held(claim, span, "") for span in spans), default=0.0)


if __name__ == "__main__":
    main()

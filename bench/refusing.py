"""The scale by which chat judges whether passages answer, fitted anew on what retrieval says of questions.

For each question the evidence of `nexus_api/answering/judging.py` is looked up through the product's own search, kept
in `.data`, and a logistic regression (ridge 0.1 on standardized evidence, answers weighing 1.5 times as much as none)
is fitted on every second question. Questions with an answer are all of `queries.json` that stand alone; without one are
those of `unanswerable.json` and, weighing a tenth as much, the answerable ones asked of all meetings but their own:
these have no words that stand nowhere, as the others do by their making.
"""

import json
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from bench.said import DATA
from nexus_api.answering.judging import Scale, evidence
from nexus_api.answering.retrieving import Retrieval
from nexus_api.local import Local
from nexus_pipeline.settings import Settings

KEPT = DATA / "refusals-evidence.json"
RIDGE = 0.1
ELSEWHERE = 0.1
SHIFT = 1.5
"""What an answer weighs more: with it both kinds are judged alike well on halves that nothing was fitted on."""


def fit(home: Path, absent: list[dict[str, Any]], pooled: list[dict[str, Any]], ids: dict[str, str]) -> None:
    """Print constants for judging.py, and how many they judge rightly on either half."""
    nexus = Local(Settings(home=home, _env_file=None))
    rows = {
        "none": [looked_up(nexus, one["query"], []) for one in absent],
        "some": [looked_up(nexus, one["query"], []) for one in pooled],
        "elsewhere": [
            looked_up(nexus, one["query"], [id_ for name, id_ in ids.items() if name != one["item"]]) for one in pooled
        ],
    }
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(rows))
    for name, of, shift in (("BY_BOTH", (0, 1), SHIFT), ("BY_WORDS", (1, 2), 1.0)):
        scale = fitted(rows, of, shift)
        print(name, scale)
        for half, take in (("fitted on", slice(0, None, 2)), ("checked on", slice(1, None, 2))):
            print(half, {kind: round(right(scale, told[take], kind), 3) for kind, told in rows.items()})


def looked_up(nexus: Local, question: str, item_ids: Sequence[str]) -> list[float]:
    """The evidence of one question."""
    retrieval = Retrieval(nexus, item_ids, {})
    passages = retrieval.passages(question)
    parts = nexus.parts
    return list(astuple(evidence(question, passages, retrieval.often, parts.archive.count(), parts.engines.embedder())))


def fitted(rows: dict[str, list[list[float]]], of: Sequence[int], shift: float) -> Scale:
    """By Newton's method, on the even questions."""
    kinds = {"some": (1.0, 1.0), "none": (0.0, 1.0), "elsewhere": (0.0, ELSEWHERE)}
    x, y, weight = [], [], []
    for kind, (label, share) in kinds.items():
        told = rows[kind][::2]
        x += told
        y += [label] * len(told)
        weight += [share / len(told)] * len(told)
    points, labels, w = np.array(x)[:, list(of)], np.array(y), np.array(weight)
    w[labels == 0] *= w[labels == 1].sum() / w[labels == 0].sum() / shift
    mean, deviation = points.mean(axis=0), points.std(axis=0) + 1e-9
    design = np.hstack([np.ones((len(points), 1)), (points - mean) / deviation])
    ridge = RIDGE * np.diag([0.0, *([1.0] * len(of))])
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ beta))
        gradient = design.T @ (w * (labels - p)) - ridge @ beta
        hessian = (design * (w * p * (1 - p))[:, None]).T @ design + ridge
        beta += np.linalg.solve(hessian, gradient)
    weights = [0.0] * 3
    for place, value in zip(of, beta[1:] / deviation, strict=True):
        weights[place] = round(float(value), 2)
    bias = round(float(beta[0] - (beta[1:] * mean / deviation).sum()), 2)
    return Scale(bias, (weights[0], weights[1], weights[2]))


def right(scale: Scale, rows: Sequence[Sequence[float]], kind: str) -> float:
    """The share that is judged as it should be."""
    scores = [scale.bias + sum(a * b for a, b in zip(scale.weights, row, strict=True)) for row in rows]
    return float(np.mean([(score >= 0) == (kind == "some") for score in scores]))

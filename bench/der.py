"""Diarization error rate, and words with a wrong speaker: the usual measures.

DER: missed, falsely found and confused seconds of speakers over all seconds of speakers, overlaps counted for each; a
collar around each boundary of the truth counts nothing. Labels are matched so that the error is the least.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np

Turn = tuple[float, float, str]
STEP_S = 0.01


def der(truth: Sequence[Turn], found: Sequence[Turn], duration_s: float, collar_s: float = 0.25) -> float:
    """From 0; more than 1 where more is wrong than there is."""
    frames = int(np.ceil(duration_s / STEP_S))
    at = (np.arange(frames) + 0.5) * STEP_S
    counts = np.ones(frames, bool)
    for start_s, end_s, _ in truth:
        for edge in (start_s, end_s):
            counts &= np.abs(at - edge) > collar_s
    names, labels = sorted({t[2] for t in truth}), sorted({t[2] for t in found})
    said, heard = _grid(truth, names, at) & counts, _grid(found, labels, at) & counts
    total = said.sum()
    both = np.minimum(said.sum(axis=0), heard.sum(axis=0)).sum()
    right = _matched(said.astype(np.int64) @ heard.T.astype(np.int64))[1]
    missed = np.maximum(said.sum(axis=0) - heard.sum(axis=0), 0).sum()
    false = np.maximum(heard.sum(axis=0) - said.sum(axis=0), 0).sum()
    return float(missed + false + both - right) / float(total)


def names_of(truth: Sequence[Turn], found: Sequence[Turn]) -> dict[str, str]:
    """Which of the true speakers a found label is."""
    end_s = max(t[1] for t in (*truth, *found))
    at = (np.arange(int(np.ceil(end_s / STEP_S))) + 0.5) * STEP_S
    names, labels = sorted({t[2] for t in truth}), sorted({t[2] for t in found})
    pairs, _ = _matched(_grid(truth, names, at).astype(np.int64) @ _grid(found, labels, at).T.astype(np.int64))
    return {labels[j]: names[i] for i, j in pairs}


def wrong_words(
    truth: Sequence[tuple[str, str]], found: Sequence[tuple[str, str | None]], names: Mapping[str, str]
) -> tuple[int, int]:
    """Of words with their speakers: how many that both have are given to somebody else, and how many both have."""
    a, b = ([_plain(word) for word, _ in words] for words in (truth, found))
    wrong = total = 0
    for block in difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks():
        for n in range(block.size):
            speaker = found[block.b + n][1]
            wrong += names.get(speaker or "") != truth[block.a + n][1]
            total += 1
    return wrong, total


def _plain(word: str) -> str:
    return re.sub(r"[^\w]", "", word.lower())


def _grid(turns: Sequence[Turn], who: Sequence[str], at: np.ndarray) -> np.ndarray:
    rows = np.zeros((len(who), len(at)), bool)
    for start_s, end_s, speaker in turns:
        rows[who.index(speaker)] |= (at >= start_s) & (at < end_s)
    return rows


def _matched(shared: np.ndarray) -> tuple[list[tuple[int, int]], int]:
    """The pairs with the largest sum: tried one after the other, for there are few speakers."""
    if not shared.size:
        return [], 0
    turned = shared.shape[0] > shared.shape[1]
    grid = shared.T if turned else shared
    few = len(grid)
    # nobody's voice is in nine of the found speakers
    keep = np.argsort(-grid.max(axis=0))[:9]
    best = max(permutations(keep.tolist(), min(few, len(keep))), key=lambda p: sum(grid[i, j] for i, j in enumerate(p)))
    pairs = [(j, i) if turned else (i, j) for i, j in enumerate(best)]
    return pairs, int(sum(shared[i, j] for i, j in pairs))

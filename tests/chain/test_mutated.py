"""Mutated files through the real steps: each ends with an answer, and nothing else happens on the machine."""

import hashlib
import re
from collections import Counter
from pathlib import Path

import psutil
import pytest

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Item, Kind
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts
from tests.bad_input import land
from tests.mutated import mutated, seeds
from tests.running import drop, srt
from tests.speech import MODELS, SPEECH
from tests.test_docs import rows

IN_THE_SUITE, IN_A_SOAK, AT_ONCE = 500, 10_000, 100
LIMIT_S = 60.0
"""Of one step of a file of 20 kB, on a busy machine."""
TRANSCRIPTS = (".srt", ".vtt", ".json")
_PLACE = re.compile(rf"blobs/items/local/([a-z2-7]{{16}})/(?:{'|'.join(STEPS)})/[\w.]+(?:/\d+\.json)?")
_OTHERS = re.compile(r"catalog\.sqlite(-wal|-shm)?|archive/.*|cache/minilm-[\w-]+/[\w.]+|cache/scratch/\d+")


def outside(home: Path) -> dict[str, str]:
    """What lies around the home, with the digests of its bytes."""
    around = [p for p in home.parent.rglob("*") if p.is_file() and not p.is_relative_to(home)]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in around}


def misplaced(home: Path, items: list[Item]) -> list[str]:
    """Files below the home that are neither an item's results nor a store's own."""
    ids = {item.id for item in items}
    paths = [str(p.relative_to(home)) for p in home.rglob("*") if p.is_file()]
    told = [(path, _PLACE.fullmatch(path)) for path in paths if not _OTHERS.fullmatch(path)]
    return [path for path, match in told if match is None or match[1] not in ids]


def answered(item: Item, codes: set[str]) -> bool:
    """It is done or a copy, or has failed for good with a documented code and words, within the time."""
    ended = [s for s in item.steps if s.error_code]
    right = item.state.value in {"done", "duplicate"} or (
        item.state.value == "failed" and all(s.error_code in codes and len(s.error_message) > 20 for s in ended)
    )
    return right and all((s.seconds or 0.0) < LIMIT_S for s in item.steps)


def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> Counter[str]:
    """All of them; states and codes that came out."""
    around = tmp_path / "around"
    (around / "tmp").mkdir(parents=True)
    (around / "notes.txt").write_text("not Nexus's")
    monkeypatch.chdir(around)
    monkeypatch.setenv("TMPDIR", str(around / "tmp"))
    (tmp_path / "seeds").mkdir()
    made = seeds(tmp_path / "seeds")
    parts = Parts(Settings(home=tmp_path / "home", speech=SPEECH, models=MODELS))
    everything = land(parts, [drop(parts, "a.wav", made["a.wav"])])  # vendors leave a file of theirs when first used
    kept, before = outside(tmp_path / "home"), set(psutil.Process().children(recursive=True))
    codes = {row[0] for row in rows("docs/errors.md")} - {"unexpected"}
    found: Counter[str] = Counter()
    for first in range(0, count, AT_ONCE):
        new = []
        for name, data in mutated(made, first, min(AT_ONCE, count - first)):
            kind = Kind.TEXT if name.endswith(TRANSCRIPTS) else None
            new.append(drop(parts, name, data, kind=kind))
        good = [drop(parts, f"good {first}.srt", srt(f"Good number {first}.", "It is here."), kind=Kind.TEXT)]
        *items, neighbour = land(parts, [*new, *good], f"run {first}")
        assert neighbour.state.value == "done"
        assert [(i.filename, i.steps) for i in items if not answered(i, codes)] == []
        found.update(s.error_code or i.state.value for i in items for s in i.steps[:1])
        everything += [*items, neighbour]
    assert list(parts.inbox.under()) == []
    assert misplaced(tmp_path / "home", everything) == []
    assert outside(tmp_path / "home") == kept
    assert set(psutil.Process().children(recursive=True)) <= before
    return found


def test_every_one_of_500_mutated_files_gets_an_answer_and_does_no_harm(tmp_path, monkeypatch):
    found = go(tmp_path, monkeypatch, IN_THE_SUITE)
    # they reach everything: some are still media, some are damaged, some are nothing at all
    assert min(found["done"], found["damaged_media"], found["unsupported_media"]) > IN_THE_SUITE // 50


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_every_one_of_10_000_mutated_files_gets_an_answer_and_does_no_harm(tmp_path, monkeypatch):
    assert sum(go(tmp_path, monkeypatch, IN_A_SOAK).values()) == IN_A_SOAK

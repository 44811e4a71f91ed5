"""A hundred thousand passages for benchmarks of search: words as a language spreads them, vectors as MiniLM does.

And archives of them, kept from one run to the next.

Vectors lie in clusters around real embeddings of English (what Python's own modules say of themselves), so that an
index meets the uneven density that it meets in life; all that is drawn follows from one seed.
"""

import ast
import shutil
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.said import DATA
from nexus_pipeline.archive import LanceArchive
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.passages import Passage
from nexus_pipeline.ports import ItemPassages, Vectors
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts

EACH = 25
"""Passages of an item: a quarter of an hour of talk."""
CLUSTERS = 4000
"""Centres, one real embedding each: at 100,000 passages 25 around each."""
VOCABULARY = 50_000
SPREAD = 0.8
"""Length of the noise around a centre of length 1: members of a cluster have cosines of 0.6 to each other."""
SYLLABLES = tuple(a + b for a in "bdfgklmnprst" for b in "aeiou")
OWNERS = {"one": 0.01, "ten": 0.10, "rest": 0.89}
"""Owners and their shares of the items."""
TOGETHER = 64
"""Items of one commit, as the embedding step gathers them."""


@dataclass(frozen=True)
class World:
    """What was drawn: item n has rows n * EACH and on; `texts` are their words."""

    vectors: Vectors
    words: npt.NDArray[np.int32]
    owners: list[str]
    vocabulary: list[str]

    def text(self, row: int) -> str:
        """A passage's words."""
        return " ".join(self.vocabulary[w] for w in self.words[row])

    def items(self, first: int = 0, last: int | None = None) -> Iterator[ItemPassages]:
        """Items as the embedding step writes them."""
        for n in range(first, len(self.owners) if last is None else last):
            rows = range(n * EACH, (n + 1) * EACH)
            found = [
                Passage(i, 10.0 * i, 10.0 * i + 10, self.text(r), f"Talk {n}: {self.text(r)}", f"S{n % 7}")
                for i, r in enumerate(rows)
            ]
            tags = (f"tag{n % 40}", f"tag{n % 7}")
            yield ItemPassages(item(n, self.owners[n]), found, self.vectors[rows.start : rows.stop], tags=tags)


def item(n: int, owner: str) -> Item:
    """The n-th item."""
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=n)
    return Item(f"item{n:012d}", owner, 1, "", "inbox", "none", f"bench:{n}", at, at, language="en")


def world(passages: int, seed: int = 4) -> World:
    """So many passages, always the same."""
    draw = np.random.default_rng(seed)
    items = passages // EACH
    centres = around(real(min(CLUSTERS, items)))
    # an item talks of five things
    topics = draw.integers(0, len(centres), size=(items, 5))
    own = topics[np.arange(items).repeat(EACH), draw.integers(0, 5, size=items * EACH)]
    vectors = unit(centres[own] + noise(draw, len(own)))
    owners = draw.choice(list(OWNERS), p=list(OWNERS.values()), size=items).tolist()
    return World(vectors, _zipf(draw, items * EACH), owners, _vocabulary(draw))


def near(world: World, row: int, draw: np.random.Generator) -> tuple[str, Vectors]:
    """A question about a passage: four of its words and a vector with a cosine of 0.6 to 0.8 to its own."""
    words = draw.choice(world.words[row], size=4, replace=False)
    return " ".join(world.vocabulary[w] for w in words), unit(world.vectors[row] + noise(draw, 1)[0])


def noise(draw: np.random.Generator, n: int) -> Vectors:
    """Rows of length SPREAD, in any direction."""
    return SPREAD * unit(draw.standard_normal((n, 384), np.float32))


def unit(rows: Vectors) -> Vectors:
    """Rows of length 1."""
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def around(found: Vectors) -> Vectors:
    """CLUSTERS centres: the real ones, repeated where there are too few."""
    return found[np.arange(CLUSTERS) % len(found)]


def opened(path: Path) -> LanceArchive:
    """The archive, as wiring opens it."""
    return LanceArchive(str(path), "minilm", 384)


def kept(path: Path, items: Iterable[ItemPassages], together: int = TOGETHER) -> Path:
    """The folder of an archive of these, written and cared for as the chain and care do; made once."""
    if path.exists():
        return path
    making = path.with_suffix(".part")
    shutil.rmtree(making, ignore_errors=True)
    archive, some = opened(making), []
    for one in items:
        some.append(one)
        if len(some) == together:
            archive.replace(some)
            some = []
            if archive.needs_tending():
                archive.tend()
    archive.replace(some)
    archive.tend()
    archive.tend(full=True)
    making.rename(path)
    return path


def real(wanted: int = CLUSTERS) -> Vectors:
    """Embeddings of what Python's standard library says of itself; all of them (two minutes) are kept."""
    there = DATA / "minilm-english.npy"
    if there.exists():
        return np.load(there)[:wanted]
    DATA.mkdir(exist_ok=True)
    texts = sorted(set(_english()))[:wanted]
    parts = Parts(Settings(home=DATA / "home", _env_file=None))
    found = parts.engines.embedder().embed(texts)
    if wanted >= CLUSTERS:
        np.save(there.with_suffix(".part.npy"), found)
        there.with_suffix(".part.npy").rename(there)
    return found


def _english() -> Iterator[str]:
    library = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(library.rglob("*.py")):
        if "site-packages" in path.parts or "test" in path.parts or "tests" in path.parts:
            continue
        try:
            tree = ast.parse(path.read_text())
        except (SyntaxError, UnicodeDecodeError, ValueError):
            continue  # some are broken on purpose
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                words = (ast.get_docstring(node) or "").split()
                yield from (" ".join(words[i : i + 60]) for i in range(0, len(words) - 15, 60))


def _zipf(draw: np.random.Generator, rows: int, words: int = 60) -> npt.NDArray[np.int32]:
    """Sixty words a row, the n-th of the vocabulary as often as 1 / n."""
    share = np.cumsum(1.0 / np.arange(1, VOCABULARY + 1))
    return np.searchsorted(share / share[-1], draw.random((rows, words))).astype(np.int32)


def _vocabulary(draw: np.random.Generator) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < VOCABULARY:
        found["".join(draw.choice(SYLLABLES, size=draw.integers(2, 6)))] = None
    return list(found)

"""Items, passages and vectors for the archive's tests, and a child process that writes them."""

import sys
from datetime import UTC, datetime

import numpy as np

from nexus_pipeline.archive import LanceArchive
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.passages import Passage
from nexus_pipeline.ports import ItemPassages

DIMENSIONS = 8
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def item(id_, gen=1, owner="local", created_at=LONG_AGO):
    return Item(
        id=id_,
        owner=owner,
        gen=gen,
        title="",
        source="inbox",
        platform="none",
        origin=id_,
        created_at=created_at,
        updated_at=created_at,
    )


def vector(n):
    found = np.random.default_rng(n).normal(size=DIMENSIONS).astype(np.float32)
    return found / np.linalg.norm(found)


def vectors(n):
    return np.stack([vector(i) for i in range(n)]) if n else np.zeros((0, DIMENSIONS), np.float32)


def passages(texts, *, kind="speech", speaker=None, title=""):
    return [
        Passage(i, 10.0 * i, 10.0 * i + 10, text, f"{title}: {text}" if title else text, speaker, kind)
        for i, text in enumerate(texts)
    ]


def rows_of(id_, n, *, gen=1, partial=False, word="word", **facts):
    """`n` passages of an item whose texts say which write they are of."""
    found = passages([f"{word} {i} of {id_} gen {gen}" for i in range(n)])
    own = {k: facts.pop(k) for k in ("owner", "created_at") if k in facts}
    return ItemPassages(item(id_, gen, **own), found, vectors(n), partial=partial, **facts)


def open_archive(path):
    return LanceArchive(str(path), "tiny", DIMENSIONS)


def whole(archive, *ids):
    """Everything that the table says of these items."""
    return [(row["id"], row["gen"], row["partial"], row["text"]) for id_ in ids for row in archive.passages(id_)]


def expected(*writes):
    """The same, of what was written."""
    return [(f"{w.item.id}:{p.kind}:{p.position}", w.item.gen, w.partial, p.text) for w in writes for p in w.passages]


def texts(found):
    return [hit.text for hit in found.hits]


def fill(archive):
    """Two items of two owners: five passages, whose vectors are `vector(0)` to `vector(4)`."""
    archive.replace(
        [
            ItemPassages(
                item("zoo", owner="ann", created_at=datetime(2026, 3, 1, tzinfo=UTC)),
                passages(["The foxes were jumping over a fence.", "Nothing.", "A zebra looked on."], speaker="Ann Lee"),
                vectors(3),
                tags=("animals", "it's"),
                language="en",
            ),
            ItemPassages(
                item("talk", owner="bob", created_at=datetime(2026, 4, 1, tzinfo=UTC)),
                passages(["Un café, s'il vous plaît.", "The fox of the who."], speaker="O'Brien"),
                vectors(5)[3:],
                language="fr",
            ),
        ]
    )


def write_for_ever(path):
    """Replace six items again and again with ever other numbers of passages; says what is whole."""
    archive = open_archive(path)
    round_ = 0
    while True:
        round_ += 1
        archive.replace([rows_of(f"item{i}", (round_ * (i + 3)) % 17, gen=round_) for i in range(6)])
        sys.stdout.write(f"{round_}\n")
        sys.stdout.flush()


def write_side_by_side(path, name, rounds):
    """Replace items of its own and one that everybody replaces."""
    archive = open_archive(path)
    for n in range(int(rounds)):
        archive.replace([rows_of(f"{name}-{n}", 3), rows_of("shared", 5, gen=n + 1)])


if __name__ == "__main__":
    {"for_ever": write_for_ever, "side_by_side": write_side_by_side}[sys.argv[1]](*sys.argv[2:])

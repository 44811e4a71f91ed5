"""Every byte of every store below a home, looked through for words in whatever form they may be kept."""

import base64
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import lancedb
import pyarrow as pa
import pyarrow.parquet as pq


def forms(word: str) -> dict[str, bytes]:
    """How a text may stand in a file; compared without regard to case."""
    raw = word.encode()
    # of each of the three ways in which it may lie on groups of three bytes, what does not depend on its neighbours
    coded = {
        f"base64+{cut}": base64.b64encode(b"x" * cut + raw)[(0, 2, 3)[cut] : (cut + len(raw)) // 3 * 4]
        for cut in range(3)
    }
    escaped = "".join(f"\\u{ord(c):04x}" for c in word)
    plain = {
        "utf-8": raw,
        "utf-16": word.encode("utf-16-le"),
        "utf-16 be": word.encode("utf-16-be"),
        "json": json.dumps(word)[1:-1].encode(),
        "escapes": escaped.encode(),
        "hex": raw.hex().encode(),
        "percent": "".join(f"%{b:02x}" for b in raw).encode(),
    }
    return {**plain, **coded}


def places(home: Path, words: Iterable[str], vectors: Iterable[bytes] = ()) -> list[str]:
    """Where any of these is found: file, form and word; names of files and folders count."""
    needles = [(word, form, data) for word in words for form, data in forms(word).items()]
    found = [f"{path}: the name" for path in home.rglob("*") for word, *_ in needles if word in path.name.lower()]
    for path, data in _contents(home):
        low = data.lower()
        found += [
            f"{path}: {word} ({form})"
            for word, form, needle in needles
            if (needle if form.startswith("base64") else needle.lower()) in (data if form.startswith("base64") else low)
        ]
        found += [f"{path}: a vector" for vector in vectors if vector in data]
    return sorted(set(found))


def _contents(home: Path) -> Iterator[tuple[str, bytes]]:
    """Bytes of files as they are, unpacked where they are packed, and tables in every version as text."""
    for path in sorted(p for p in home.rglob("*") if p.is_file() and not p.is_symlink()):
        data = path.read_bytes()
        yield str(path.relative_to(home)), data
        with suppress(OSError, EOFError, zlib.error):
            yield f"{path.relative_to(home)} (gzip)", gzip.decompress(data)
        if path.suffix == ".arrow":
            yield f"{path.relative_to(home)} (arrow)", _text(pa.ipc.open_file(path).read_all())
        if path.suffix == ".parquet":
            yield f"{path.relative_to(home)} (parquet)", _text(pq.read_table(path))
    for folder in home.rglob("*.lance"):
        if not folder.is_dir():
            continue
        table = lancedb.connect(str(folder.parent)).open_table(folder.stem)
        for version in table.list_versions():
            table.checkout(version["version"])
            yield f"{folder.name} version {version['version']}", _text(table.to_arrow())


def _text(table: pa.Table) -> bytes:
    columns = [name for name in table.column_names if not pa.types.is_fixed_size_list(table.schema.field(name).type)]
    return json.dumps(table.select(columns).to_pylist(), default=str, ensure_ascii=False).encode()

"""Which version of a file a site serves, so that a download that broke goes on with the same one or begins anew.

Beside an unfinished download stand `NAME.version` (what it is a part of) and, for one that comes in pieces,
`NAME.pieces` (how long the file was after each).
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_PARTIAL = 206
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Version:
    """What a site said of the bytes behind an address: a strong ETag or else Last-Modified; the length if it is told.

    Without a validator two answers cannot be told to be parts of one file.
    """

    validator: str | None
    total: int | None

    @classmethod
    def told(cls, status: int, headers: Mapping[str, str], before: "Version | None" = None) -> "Version":
        """From an answer; `before` is what was asked for. Packed bytes have no version: ranges count the packed ones.

        A part that was asked for by its date need not tell the date again (RFC 9110, 15.3.7); an ETag it must.
        """
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            return cls(None, None)
        etag = headers.get("ETag")
        strong = etag if etag and not etag.startswith("W/") else None
        length = headers.get("Content-Length", "")
        if status == _PARTIAL:
            found = _RANGE.match(headers.get("Content-Range", ""))
            length = found[3] if found else ""
        validator = strong or headers.get("Last-Modified")
        if status == _PARTIAL and validator is None and before and before.validator and before.validator[0] != '"':
            validator = before.validator
        return cls(validator, int(length) if length.isdecimal() else None)

    def is_part_of(self, other: "Version") -> bool:
        """Whether bytes of both may stand in one file."""
        lengths = {self.total, other.total} - {None}
        return self.validator is not None and self.validator == other.validator and len(lengths) < 2  # noqa: PLR2004


class Unfinished:
    """The unfinished download of one file, as this run or one before it left it."""

    def __init__(self, name: Path, form: str) -> None:
        """`name` is where the whole file will stand; `form` says which of the site's files it is (format, protocol)."""
        self.name = name
        self.form = form
        self.part = name.with_name(f"{name.name}.part")
        self._note = name.with_name(f"{name.name}.version")
        self._pieces = name.with_name(f"{name.name}.pieces")
        self._index = name.with_name(f"{name.name}.ytdl")

    def version(self) -> Version | None:
        """Of what it is a part; None, and the part is gone, where that cannot be told."""
        told = self._read()
        version = Version(told.get("validator"), told.get("total"))
        size = self.part.stat().st_size if self.part.exists() else 0
        if version.validator is None or (version.total is not None and size > version.total):
            self.drop()
            return None
        if size and size == version.total:
            self.part.replace(self.name)  # its run was ended before it could
        return version

    def is_of(self, version: Version) -> None:
        """Keep what it is a part of."""
        self._write(asdict(version))

    def pieces_of(self, listed: str | None) -> None:
        """It is made of these pieces. Others lay here before, or none can tell: it begins anew.

        `listed` identifies the list of pieces; None for one that says nothing of what it lists.
        """
        if listed is None or self._read().get("listed") != listed or not self._settled():
            self.drop()
        for half in self.name.parent.glob(f"{self.part.name}-Frag*"):
            half.unlink()
        self._write({"listed": listed})

    def piece_came(self, number: int) -> None:
        """Piece `number` (from 1) has come and is about to be appended."""
        size = self.part.stat().st_size if self.part.exists() else 0
        _replace(self._pieces, json.dumps([number - 1, size]))

    def drop(self) -> None:
        """Begin anew."""
        for path in (self.part, self._note, self._pieces, self._index):
            path.unlink(missing_ok=True)

    def done(self) -> None:
        """The whole file is there."""
        for path in (self._note, self._pieces):
            path.unlink(missing_ok=True)

    def _settled(self) -> bool:
        """Whether the file ends after a whole piece; what a kill left behind the last one is cut off."""
        if not self._index.exists():
            return not self.part.exists()
        with suppress(ValueError, TypeError, KeyError, OSError):
            number, size = json.loads(self._pieces.read_bytes())
            at = self._counted()
            if at is None:  # yt-dlp was ended while it wrote how many there are
                _replace(self._index, json.dumps({"downloader": {"current_fragment": {"index": number}}}))
                at = number
            if at == number and self.part.stat().st_size >= size:
                with self.part.open("r+b") as file:
                    file.truncate(size)
                return bool(at > 0)
            return bool(at == number + 1)
        return False

    def _counted(self) -> int | None:
        """Whole pieces by yt-dlp's own count."""
        with suppress(ValueError, TypeError, KeyError):
            return int(json.loads(self._index.read_bytes())["downloader"]["current_fragment"]["index"])
        return None

    def _read(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            told = json.loads(self._note.read_bytes())
            if isinstance(told, dict) and told.get("form") == self.form:
                return told
        return {}

    def _write(self, told: Mapping[str, Any]) -> None:
        _replace(self._note, json.dumps({"form": self.form, **told}))


def listed(pieces: Sequence[str], version: Version) -> str | None:
    """What identifies a list of pieces: their addresses without what is signed anew each time, and its own version.

    None where pieces are ranges of one file: their addresses say nothing.
    """
    paths = [piece.partition("?")[0] for piece in pieces]
    if any("BYTERANGE" in path for path in paths):
        return None
    digest = hashlib.sha256("\n".join(paths).encode(errors="replace"))
    return f"{digest.hexdigest()} {version.validator}"


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, "utf-8")
    new.replace(path)

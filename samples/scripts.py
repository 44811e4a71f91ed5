"""What the samples say: one file each under `scripts/`, read into plain values."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE / "scripts"
MODEL = HERE / "models" / "whisper-nano-en"
"""The small speech model that hears the samples: it knows the words of its `words.txt` and no others."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What is seen during a turn: a source of ffmpeg's lavfi, with a text on it."""

    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What one voice says, sentence by sentence."""

    voice: str
    says: tuple[str, ...]
    picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class Planted:
    """A sentence that one search must find; the search says it in other or fewer words."""

    query: str
    says: str


@dataclass(frozen=True, slots=True)
class Script:
    """One sample. It has turns, or is a copy of another one, or is silent for some seconds.

    `expect` is how its item must end: `done`, `duplicate` or `silent` (done, with its speech skipped).
    """

    file: str
    kind: str
    expect: str
    turns: tuple[Turn, ...] = ()
    planted: Planted | None = None
    copy_of: str | None = None
    cut_s: float = 0.0
    silence_s: float = 0.0


def scripts(folder: Path = SCRIPTS) -> list[Script]:
    """All of them, in the order of their names; a copy comes after what it is a copy of."""
    return [_script(tomllib.loads(path.read_text("utf-8"))) for path in sorted(folder.glob("*.toml"))]


def source_digest(*more: Path) -> str:
    """SHA-256 over all scripts and some more files: changes when the samples would."""
    digest = hashlib.sha256()
    for path in (*sorted(SCRIPTS.glob("*.toml")), *more):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _script(told: dict[str, Any]) -> Script:
    planted = told.pop("planted", None)
    turns = told.pop("turn", ())
    return Script(**told, turns=tuple(map(_turn, turns)), planted=Planted(**planted) if planted else None)


def _turn(told: dict[str, Any]) -> Turn:
    picture = told.get("picture")
    return Turn(told["voice"], tuple(told["says"]), Picture(**picture) if picture else None)

"""Reads docs/contract.md: its routes, fields, commands and settings, as tests compare them with what there is.

What the contract says in prose stays prose; what stands in its tables and in its notation for JSON is read here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONTRACT = ROOT / "docs" / "contract.md"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "WS")

Shape = Mapping[str, "Shape"]
"""Names of fields, each with those below it."""


@dataclass(frozen=True, order=True)
class Route:
    """A line of the table of routes; `path` has `{}` for each of its parts that differ, `method` may be open (`*`)."""

    method: str
    path: str
    parameters: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def text() -> str:
    return CONTRACT.read_text("utf-8")


def section(number: int) -> str:
    """The text below a numbered heading."""
    return re.search(rf"^## {number}\. .*?\n(.*?)(?=^## |\Z)", text(), re.MULTILINE | re.DOTALL)[1]


def cells(of: str) -> list[tuple[str, ...]]:
    """The rows of the tables in a text, without heads."""
    lines = of.splitlines()
    rows = [line for head, line in pairwise(["", *lines]) if line.startswith("|") and head.startswith("|")]
    return [tuple(c.strip() for c in re.split(r" \|(?= |$)", row.strip()[1:-1])) for row in rows if "---" not in row]


def routes() -> set[Route]:
    """Every route that the table of section 4 names, in either column."""
    return {route for left, right in cells(section(4)) for route in (*_left(left), *_right(right))}


def _left(cell: str) -> Iterator[Route]:
    methods: list[str] = []
    before = ""
    closed = True
    for told in re.findall(r"`([^`]+)`", cell):
        if told in METHODS:
            methods = [told] if closed else [*methods, told]
            closed = False
            continue
        method, _, path = told.rpartition(" ")
        if not path.startswith("/"):
            continue  # a value
        if method:
            methods = [method] if closed else [*methods, method]
        if not re.match(r"/(api|health|metrics|ws|openapi)\b", path):
            path = before.split("{id}", 1)[0] + "{id}" + path
        before, closed = path, True
        for one in methods or ["*"]:
            yield _route(one, path)


def _right(cell: str) -> Iterator[Route]:
    for method, path in re.findall(r"`([A-Z]+) (/[^`\s]+)`", cell):
        yield _route(method, path)


def _route(method: str, told: str) -> Route:
    path, _, query = told.partition("?")
    names = tuple(part.partition("=")[0] for part in query.split("&") if part)
    return Route(method, re.sub(r"\{\w+\}", "{}", path), names)


def shape(name: str) -> Shape:
    """The fields of what section 4 defines in bold: `**Item**: ...`."""
    told = re.search(rf"\*\*{name}(?: \(json\))?\*\*: `(.+?)`", section(4))
    return braces(told[1]) if told[1].startswith("{") else listed(told[1])


def listed(told: str) -> Shape:
    """`id, kind (audio, video), error {code, message}, highlights [[from, to]]`."""
    plain = re.sub(r"\([^)]*\)|\[\[.*?\]\]", "", told)
    return {
        name: {inner.strip(): {} for inner in below.split(",")} if below else {}
        for name, below in re.findall(r"(\w+)(?:\s*\{([^}]*)\})?", plain)
    }


def braces(told: str) -> Shape:
    """`{"a", "b": [{"c"}], "d": {label: name}}`: quoted names are fields, all else is a value."""
    found, rest = _object(re.findall(r'"\w+"|[{}\[\],:]|[^{}\[\],:"]+', told))
    assert not rest, f"something stands after the last brace: {rest}"
    return found


def _object(tokens: list[str]) -> tuple[Shape, list[str]]:
    assert tokens[0] == "{", tokens
    tokens = tokens[1:]
    found: dict[str, Shape] = {}
    name, in_value = None, False
    while tokens[0] != "}":
        if tokens[0] == "{":
            below, tokens = _object(tokens)
            if name is not None:
                found[name] = below
            continue
        if tokens[0] in ":,":
            in_value = tokens[0] == ":"
        elif tokens[0].startswith('"') and not in_value:
            name = tokens[0].strip('"')
            found[name] = {}
        tokens = tokens[1:]
    return found, tokens[1:]


def values(name: str) -> tuple[str, ...]:
    """What stands in parentheses after a field: `kind (audio, video, image, text)`."""
    return tuple(re.search(rf"\b{name} \(([^)]*)\)", section(4))[1].split(", "))


def states() -> tuple[str, ...]:
    """Those of an item."""
    told = re.search(r"\*\*State\*\*: (.*?)\.\n", section(4))[1]
    return tuple(re.sub(r"\s*\([^)]*\)", "", told).split(", "))


def filters() -> tuple[str, ...]:
    """By which items are listed."""
    return tuple(re.search(r"items; filters `([^`]+)`", section(4))[1].split(", "))


def commands() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Every command of section 2 with its options and its subcommands."""
    block = re.search(r"```\n(nexus up.*?)```", section(2), re.DOTALL)[1]
    found = {}
    for told in re.split(r"(?:^|\s{3,}|\n)(?=nexus )", block):
        if not told.strip():
            continue
        line = told.split("   ")[0]  # what comes after is said in words
        name = line.split()[1]
        below = re.findall(r"(?:\[|\| )([a-z]+)\b", line.split(name, 1)[1])
        if name == "keys":
            below = ["add", *below]
        options = tuple(dict.fromkeys(re.findall(r"--[a-z][a-z-]*", line)))
        found[name] = options, tuple(dict.fromkeys(below))
    return found


def settings() -> set[str]:
    """Names of section 3."""
    return set(re.findall(r"`(NEXUS_[A-Z0-9_]+)`", section(3)))


def targets() -> set[str]:
    """Make's, of section 1, `bench-NAME` as `bench-%`."""
    return {t.replace("NAME", "%") for row in cells(section(1)) for t in re.findall(r"`make ([\w-]+)`", row[0])}

"""The table of docs/bad-input.md, as the tests of it read it, and one batch of items through the chain's own flow."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Item, NewItem
from nexus_pipeline.flow import Flow
from nexus_pipeline.machine import widths
from nexus_pipeline.steps import CHAIN
from nexus_pipeline.turns import Run
from nexus_pipeline.wiring import Parts
from tests.running import OFF

PAGE = Path(__file__).parents[1] / "docs" / "bad-input.md"


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    input: str
    item: str
    steps: str
    code: str
    reads: str

    def expected(self) -> list[tuple[str, str | None]]:
        """State and reason of each step."""
        done = [("skipped", "switched_off") if step in OFF else ("done", None) for step in STEPS]
        if self.steps == "all done":
            return done
        told = re.fullmatch(r"(?:from )?(\w+) (failed|blocked|skipped)(?:: (\w+))?", self.steps)
        at = STEPS.index(told[1])
        own = (told[2], told[3])
        rest = own if self.steps.startswith("from ") else ("waiting", None)
        return done[:at] + [own] + [rest] * (len(STEPS) - at - 1)

    def fits(self, item: Item) -> bool:
        """True where the item ended as the line says; else the assertion that fails says what differs."""
        found = [(s.state.value, s.reason) for s in item.steps]
        assert (item.state.value, found) == (self.item, self.expected()), item.steps
        ended = [s for s in item.steps if s.error_code]
        assert [s.error_code for s in ended] == ([self.code] if self.code else []), ended
        pattern = ".+".join(map(re.escape, self.reads.split("…")))
        unlike = [s.error_message for s in ended if not re.fullmatch(pattern, s.error_message)]
        assert unlike == [], (unlike, self.reads)
        return True


def lines() -> dict[str, Line]:
    """All lines, by their first cell as it is written."""
    below = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in below]
    return {row[0]: Line(row[0], row[1], row[2], row[3].strip("`"), row[4]) for row in cells}


def land(parts: Parts, new: Iterable[NewItem], run: str = "first") -> list[Item]:
    """All of them in one run of the real steps, without Dagster; as the catalog has them then."""
    ids = [item.id for item in parts.catalog.add(list(new))]
    run_over(parts, ids, run)
    return [parts.catalog.get(item_id) for item_id in ids]


def run_over(parts: Parts, ids: list[str], run: str) -> None:
    """A run over items that are there."""
    for _ in Flow(CHAIN, parts, Run(run, run, frozenset(STEPS)), widths(parts.settings)).land(ids):
        pass

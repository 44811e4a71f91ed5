"""Shows the samples' steps as they land, a plain line each."""

from collections.abc import Iterable, Sequence

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.listing import ItemQuery
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.ports import Catalog
from samples.make import Sample

LANDED = frozenset({State.DONE, State.SKIPPED, State.FAILED, State.BLOCKED, State.CANCELLED})
ENDED = frozenset({ItemState.DONE, ItemState.DUPLICATE, ItemState.FAILED, ItemState.BLOCKED, ItemState.CANCELLED})


class Watch:
    """The items of some samples in one catalog, found by the names of their files."""

    def __init__(self, catalog: Catalog, samples: Sequence[Sample]) -> None:
        """Nothing has been shown yet."""
        self._catalog = catalog
        self._names = {s.path.name for s in samples}
        self._shown: dict[tuple[str, str], State] = {}

    def items(self) -> dict[str, Item]:
        """Those that are there already, by the name of their file."""
        page = self._catalog.page(ItemQuery(limit=200))
        return {item.filename: item for item in page.items if item.filename in self._names}

    def look(self) -> Iterable[str]:
        """A line for each step that has landed since the last look."""
        for item in self.items().values():
            for name in STEPS:
                step = item.step(name)
                if step.state in LANDED and self._shown.get((item.id, name)) != step.state:
                    self._shown[item.id, name] = step.state
                    why = step.error_message or step.reason or ""
                    took = f"{step.seconds:6.1f} s" if step.seconds is not None else " " * 8
                    yield f"  {item.title:<28} {name:<12} {step.state:<9} {took}  {why}".rstrip()

    def ended(self) -> bool:
        """Whether all of them are there and nothing more will happen to them by itself."""
        items = self.items()
        return items.keys() == self._names and all(item.state in ENDED for item in items.values())

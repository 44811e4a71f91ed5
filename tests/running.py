"""Items into the inbox and runs of the chain over them, as tests need them again and again."""

from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from nexus_pipeline.chain import ITEMS
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Item, NewItem
from nexus_pipeline.wiring import Parts

OFF = frozenset({"speakers", "translation"})
"""Steps that are skipped until a person switches them on."""
CUES = "{n}\n00:00:{a:02d},000 --> 00:00:{b:02d},500\n{text}\n"


def srt(*sentences: str) -> bytes:
    """A subtitle file with a cue every four seconds."""
    cues = [CUES.format(n=i + 1, a=4 * i, b=4 * i + 3, text=text) for i, text in enumerate(sentences)]
    return "\n".join(cues).encode()


def drop(parts: Parts, name: str, data: bytes | Path, **fields) -> NewItem:
    """Put bytes into the inbox and say what item they are; the sensor's part without its waiting."""
    if isinstance(data, Path):
        parts.inbox.put_file(name, data)
    else:
        parts.inbox.put(name, data)
    origin = f"inbox:{name}@{parts.inbox.info(name).version}"
    return NewItem("local", origin, "inbox", Path(name).stem, filename=name, inbox_key=name, **fields)


@dataclass
class Runs:
    """Runs of the chain in this process."""

    chain: dg.AssetsDefinition
    parts: Parts
    instance: dg.DagsterInstance

    def add(self, *new: NewItem) -> list[Item]:
        """Rows and partitions."""
        items = self.parts.catalog.add(new)
        self.instance.add_dynamic_partitions("items", [item.id for item in items])
        return items

    def go(self, items, *, config=None, tags=None, selection=None) -> dg.ExecuteInProcessResult:
        """One run over a range of these items, as a sensor asks for it."""
        ids = [item.id for item in items]
        sensor = {"dagster/sensor_name": "inbox"} if tags is None else tags
        span = {"dagster/asset_partition_range_start": ids[0], "dagster/asset_partition_range_end": ids[-1]}
        return dg.materialize(
            [self.chain],
            instance=self.instance,
            resources={"parts": self.parts},
            run_config={"ops": {"chain": {"config": {"items": ids, **(config or {})}}}},
            tags={**sensor, **span},
            selection=selection,
            raise_on_error=False,
        )

    def statuses(self, items) -> dict[str, list[str | None]]:
        """Dagster's own partition status of each item, in the order of the steps."""
        ids = [item.id for item in items]
        per_step = [self.instance.get_status_by_partition(dg.AssetKey(s), ids, ITEMS) or {} for s in STEPS]
        return {i: [getattr(status.get(i), "value", None) for status in per_step] for i in ids}

    def now(self, item: Item) -> Item:
        """The item as the catalog has it."""
        return self.parts.catalog.get(item.id)

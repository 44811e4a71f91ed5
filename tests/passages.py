"""Facts of passages by their ids, as a search of the archive has them."""

from datetime import UTC, datetime

import pyarrow as pa

from nexus_pipeline.archive.facts import Facts


def facts_of(ids, *, length_s=10.0, gap_s=0.0, **columns):
    """`item:kind:position` each; passages follow one another, or with a gap. `columns` say what else stands there."""
    apart = [id_.rsplit(":", 2) for id_ in ids]
    starts = [int(position) * (length_s + gap_s) for *_, position in apart]
    told = {
        "item_id": [item for item, *_ in apart],
        "kind": [kind for _, kind, _ in apart],
        "position": pa.array([int(position) for *_, position in apart], pa.int32()),
        "start_s": pa.array(starts, pa.float64()),
        "end_s": pa.array([start_s + length_s for start_s in starts], pa.float64()),
        "speaker": [None] * len(apart),
        "language": [None] * len(apart),
        "source": ["inbox"] * len(apart),
        "tags": pa.array([[]] * len(apart), pa.list_(pa.utf8())),
        "item_created_at": pa.array([datetime(2026, 3, 1, tzinfo=UTC)] * len(apart), pa.timestamp("us", "UTC")),
        **columns,
    }
    texts = ("item_id", "kind", "speaker", "language", "source")
    return Facts.of(pa.table({name: pa.array(v, pa.utf8()) if name in texts else v for name, v in told.items()}))

"""What was removed leaves the files, too: data, indexes, old versions.

A delete only marks rows. Their words stay in the data until its file is written anew, in an index of words or tags
until that is made anew (an update keeps every word it ever had), and in all older versions until those are cleaned.
"""

from functools import partial
from typing import Any

from nexus_pipeline.archive.schema import INDEXES, VECTOR
from nexus_pipeline.archive.tables import retried
from nexus_pipeline.archive.tending import KEPT_FOR, merge_vectors

_IDS = frozenset({"id", "item_id", "item_created_at"})
"""Indexed columns without words: the vendor takes the ids of removed rows out of them."""


def purge(table: Any) -> int:
    """Write anew what removed rows still stand in; the version from which on nothing of them is left.

    Rows that are removed meanwhile may need another round. 100,000 passages take 8 s of CPU, peak RSS 720 MB.
    """
    retried(
        lambda: table.to_lance().optimize.compact_files(
            materialize_deletions=True, materialize_deletions_threshold=0.0
        ),
        "tended",
    )
    table.checkout_latest()
    there = {column for index in table.list_indices() for column in index.columns}
    for column in INDEXES.keys() & there - _IDS:
        retried(partial(table.create_index, column, config=INDEXES[column], replace=True), "indexed")
    if VECTOR in there:
        merge_vectors(table)
    table.checkout_latest()
    return int(table.version)


def older(table: Any, version: int) -> int:
    """How many versions before this one are still there; none where the table was made anew since."""
    numbers = [int(one["version"]) for one in table.list_versions()]
    return 0 if max(numbers) < version else sum(number < version for number in numbers)


def clean(table: Any, *, alone: bool) -> None:
    """Remove versions older than a minute. `alone`: nobody writes now, so what killed writers have left goes, too."""
    retried(
        lambda: table.to_lance().cleanup_old_versions(older_than=KEPT_FOR, delete_unverified=alone),
        "cleaned",
    )
    table.checkout_latest()

"""What can be found: passages with text, seconds and vector, in LanceDB; one table for each embedding model.

The archive is derived: it can always be made again from blobs and catalog.
"""

import os

# Read by the vendor's native code when it is first imported, and nowhere to be set but here. Without the first two
# every search of words writes a warning to stderr; the third keeps megabytes of centroids out of statistics.
os.environ.setdefault("LANCEDB_LOG", "error")
os.environ.setdefault("LANCE_LOG", "error")
os.environ.setdefault("LANCE_INCLUDE_VECTOR_CENTROIDS", "false")

from nexus_pipeline.archive.lance import LanceArchive
from nexus_pipeline.archive.words import cut

__all__ = ["LanceArchive", "cut"]
